-- The units whose first exposure is new, gone or moved since the last published load, with the
-- earliest of their days that this touches.
-- version: 1
SELECT
  COALESCE(n.unit_id, p.unit_id) AS unit_id,
  LEAST(COALESCE(n.first_exposure_ds, p.first_exposure_ds), COALESCE(p.first_exposure_ds, n.first_exposure_ds)) AS from_ds
FROM first_exposures AS n
FULL JOIN published_first_exposures AS p
  ON p.unit_id = n.unit_id
WHERE
  n.first_exposure IS NULL
  OR p.first_exposure IS NULL
  OR n.first_exposure <> p.first_exposure
