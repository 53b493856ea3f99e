-- One row per unit: its first exposure as the first step of a funnel that tells no sessions apart.
-- version: 2
SELECT
  f.unit_id,
  '' AS session,
  f.first_exposure AS entered_at,
  f.first_exposure AS reached_at,
  f.first_exposure_ds AS ds_1
FROM first_exposures AS f
