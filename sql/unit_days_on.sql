-- The unit-days of some days.
-- version: 1
SELECT
  d.unit_id,
  d.ds,
  d.first_exposure,
  d.group_id,
  d.min_group_id,
  d.max_group_id,
  d.crossover_at
FROM unit_day_exposures AS d
WHERE
  :on_days
