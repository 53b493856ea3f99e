-- The units of the experiment, with the day from which each counts and the day from which it does not.
-- version: 1
SELECT
  f.unit_id,
  f.group_id,
  f.first_exposure_ds,
  :enters AS enters_ds,
  CASE WHEN f.crossover AND :crossovers_leave THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
FROM first_exposures AS f
