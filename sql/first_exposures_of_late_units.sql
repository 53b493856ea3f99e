-- First exposures of the late units only.
-- version: 1
SELECT
  f.unit_id,
  f.first_exposure,
  f.first_exposure_ds
FROM first_exposures AS f
JOIN late_units AS l
  ON l.unit_id = f.unit_id
