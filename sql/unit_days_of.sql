-- The days of the units in question.
-- version: 1
SELECT
  d.*
FROM unit_day_exposures AS d
JOIN touched_units AS t
  ON t.unit_id = d.unit_id
