-- One row per unit and day: its first exposure of that day, and the groups it was seen in.
-- version: 1
WITH by_group AS (
  SELECT
    e.unit_id,
    e.ds,
    e.group_id,
    MIN(e.exposed_at) AS first_exposure
  FROM exposures AS e
  GROUP BY
    e.unit_id,
    e.ds,
    e.group_id
), ranked AS (
  SELECT
    g.unit_id,
    g.ds,
    g.first_exposure,
    g.group_id,
    MIN(g.group_id) OVER (PARTITION BY g.unit_id, g.ds) AS min_group_id,
    MAX(g.group_id) OVER (PARTITION BY g.unit_id, g.ds) AS max_group_id,
    LEAD(g.first_exposure) OVER (PARTITION BY g.unit_id, g.ds ORDER BY g.first_exposure, g.group_id) AS crossover_at,
    ROW_NUMBER() OVER (PARTITION BY g.unit_id, g.ds ORDER BY g.first_exposure, g.group_id) AS place
  FROM by_group AS g
)
SELECT
  r.unit_id,
  r.ds,
  r.first_exposure,
  r.group_id,
  r.min_group_id,
  r.max_group_id,
  r.crossover_at
FROM ranked AS r
WHERE
  r.place = 1
