-- The levels of a metric, each with its place: the ten that most counted units have come first, then the rows
-- without a level, then all others.
-- version: 1
WITH level_sizes AS (
  SELECT
    v.value,
    COUNT(DISTINCT CASE WHEN f.crossover AND :crossovers_leave THEN NULL ELSE v.unit_id END) AS units
  FROM level_values AS v
  JOIN first_exposures AS f
    ON f.unit_id = v.unit_id
  GROUP BY
    v.value
), ranked_levels AS (
  SELECT
    e.value,
    e.is_large,
    ROW_NUMBER() OVER (PARTITION BY e.is_large, e.value = '' ORDER BY e.units DESC, e.value ASC) AS place
  FROM (
    SELECT
      c.value,
      c.units,
      c.units >= :least AND c.value <> 'OTHER' AS is_large
    FROM level_sizes AS c
  ) AS e
)
SELECT
  :levels AS levels,
  r.value,
  CASE
    WHEN NOT r.is_large OR r.place > :most THEN :other
    WHEN r.value = '' THEN :no_level
    ELSE CAST(r.place + :before_first AS VARCHAR)
  END AS place
FROM ranked_levels AS r
