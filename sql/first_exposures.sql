-- One row per unit: its earliest exposure, and whether it was ever seen in a second group.
-- version: 2
WITH units AS (
  SELECT
    d.unit_id,
    MIN_BY(d.group_id, :earliest) AS group_id,
    MIN(d.first_exposure) AS first_exposure,
    MIN(d.ds) AS first_exposure_ds,
    MIN(d.min_group_id) <> MAX(d.max_group_id) AS crossover
  FROM unit_day_exposures AS d
  GROUP BY
    d.unit_id
), crossings AS (
  SELECT
    d.unit_id,
    MIN(CASE WHEN d.group_id <> u.group_id THEN d.first_exposure ELSE d.crossover_at END) AS crossover_at
  FROM unit_day_exposures AS d
  JOIN units AS u
    ON u.unit_id = d.unit_id
  WHERE
    u.crossover
  GROUP BY
    d.unit_id
)
SELECT
  u.unit_id,
  u.group_id,
  u.first_exposure,
  u.first_exposure_ds,
  u.crossover,
  c.crossover_at
FROM units AS u
LEFT JOIN crossings AS c
  ON c.unit_id = u.unit_id
