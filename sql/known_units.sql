-- Units that were exposed before, each as one unit-day; a second group is any other than its own.
-- version: 1
SELECT
  f.unit_id,
  f.first_exposure_ds AS ds,
  f.first_exposure,
  f.group_id,
  f.group_id AS min_group_id,
  CASE WHEN f.crossover THEN CONCAT(f.group_id, '+') ELSE f.group_id END AS max_group_id,
  f.crossover_at
FROM first_exposures AS f
JOIN touched_units AS t
  ON t.unit_id = f.unit_id
