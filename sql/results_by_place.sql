-- Statistics of the levels of metrics: those of units at places, whose ids and groups begin with two digits, the
-- number of the place, are given the names of the levels that are there.
-- version: 1
WITH level_places AS (
  SELECT
    q.levels,
    q.value,
    q.place
  FROM places_of_levels AS q
), level_names AS (
  SELECT DISTINCT
    k.metric,
    k.dimension,
    l.place,
    CASE l.place WHEN :other THEN 'OTHER' WHEN :no_level THEN CAST(NULL AS VARCHAR) ELSE l.value END AS dimension_value
  FROM level_places AS l
  JOIN level_keys AS k
    ON k.levels = l.levels
), places AS (
  SELECT DISTINCT
    l.place
  FROM level_places AS l
), place_units AS (
  SELECT
    CONCAT(p.place, f.unit_id) AS unit_id,
    CONCAT(p.place, f.group_id) AS group_id,
    f.first_exposure,
    f.first_exposure_ds,
    f.crossover,
    f.crossover_at
  FROM first_exposures AS f
  CROSS JOIN places AS p
), place_summary AS (
  SELECT
    s.ds,
    CONCAT(p.place, s.group_id) AS group_id,
    s.cumulative_exposures
  FROM exposures_summary AS s
  CROSS JOIN places AS p
)
SELECT
  s.rollup,
  s.ds,
  s.day_index,
  s.metric,
  s.dimension,
  n.dimension_value,
  SUBSTR(s.group_id, 3) AS group_id,
  s.units
FROM statistics AS s
JOIN level_names AS n
  ON n.metric = s.metric AND n.dimension = s.dimension AND n.place = SUBSTR(s.group_id, 1, 2)
