-- One row per unit and day: its first exposure of that day, and the groups it was seen in.
-- version: 2
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
)
SELECT
  g.unit_id,
  g.ds,
  MIN(g.first_exposure) AS first_exposure,
  MIN_BY(g.group_id, ROW(g.first_exposure, g.group_id)) AS group_id,
  MIN(g.group_id) AS min_group_id,
  MAX(g.group_id) AS max_group_id,
  CASE WHEN COUNT(*) > 1 THEN MIN(g.first_exposure, 2)[2] END AS crossover_at
FROM by_group AS g
GROUP BY
  g.unit_id,
  g.ds
