-- The rows of first_exposures that may have changed; a unit without exposures is marked as deleted.
-- version: 1
SELECT
  t.unit_id,
  f.group_id,
  f.first_exposure,
  f.first_exposure_ds,
  f.crossover,
  f.crossover_at,
  f.unit_id IS NULL AS is_deleted
FROM touched_units AS t
LEFT JOIN first_exposures AS f
  ON f.unit_id = t.unit_id
