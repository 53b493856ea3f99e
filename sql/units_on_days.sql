-- The units that have an exposure on some days.
-- version: 1
SELECT DISTINCT
  d.unit_id
FROM unit_day_exposures AS d
WHERE
  :on_days
