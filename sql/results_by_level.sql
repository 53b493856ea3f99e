-- Statistics by level of a dimension: those of units whose group id begins with two digits, the number of their level.
-- Ten levels are told apart, the largest as of the last day, and units without one; the others are OTHER.
-- version: 1
WITH level_sizes AS (
  SELECT
    :level AS level,
    SUM(CASE WHEN f.crossover AND :crossovers_leave THEN 0 ELSE 1 END) AS units
  FROM first_exposures AS f
  GROUP BY
    :level
), ranked_levels AS (
  SELECT
    e.level,
    e.is_large,
    ROW_NUMBER() OVER (PARTITION BY e.is_large, e.level IS NULL ORDER BY e.units DESC, e.level ASC) AS place
  FROM (
    SELECT
      c.level,
      c.units,
      c.units >= :least AND COALESCE(c.level <> 'OTHER', TRUE) AS is_large
    FROM level_sizes AS c
  ) AS e
), dimension_levels AS (
  SELECT
    r.level,
    CASE
      WHEN NOT r.is_large OR r.place > 10 THEN '21'
      WHEN r.level IS NULL THEN '20'
      ELSE CAST(r.place + 9 AS VARCHAR)
    END AS number,
    CASE WHEN r.is_large AND r.place <= 10 THEN r.level ELSE 'OTHER' END AS dimension_value
  FROM ranked_levels AS r
), dimension_units AS (
  SELECT
    f.unit_id,
    CONCAT(l.number, f.group_id) AS group_id,
    f.first_exposure,
    f.first_exposure_ds,
    f.crossover,
    f.crossover_at
  FROM first_exposures AS f
  JOIN dimension_levels AS l
    ON COALESCE(l.level, '') = COALESCE(:level, '') AND (l.level IS NULL) = (:level IS NULL)
), numbered_levels AS (
  SELECT DISTINCT
    l.number,
    l.dimension_value
  FROM dimension_levels AS l
), dimension_groups AS (
  SELECT
    CONCAT(n.number, g.group_id) AS group_id
  FROM numbered_levels AS n
  CROSS JOIN (
    SELECT DISTINCT
      s.group_id
    FROM exposures_summary AS s
  ) AS g
), dimension_summary AS (
  SELECT
    d.ds,
    d.group_id,
    CAST(d.cumulative_exposures AS BIGINT) AS cumulative_exposures
  FROM summary_by_level AS d
)
SELECT
  s.rollup,
  s.ds,
  s.day_index,
  s.metric,
  :dimension AS dimension,
  n.dimension_value,
  SUBSTR(s.group_id, 3) AS group_id,
  s.units
FROM statistics AS s
JOIN numbered_levels AS n
  ON n.number = SUBSTR(s.group_id, 1, 2)
WHERE
  s.dimension IS NULL
