-- One row per unit: its first exposure as the first step of a funnel.
-- version: 1
SELECT
  f.unit_id,
  f.first_exposure AS entered_at,
  f.first_exposure AS reached_at,
  f.first_exposure_ds AS ds_1
FROM first_exposures AS f
