-- The earliest day that has to be restated for a late unit.
-- version: 1
SELECT
  MIN(l.from_ds) AS ds
FROM late_units AS l
