-- The earliest day that has to be restated for a late unit, so many days from where its exposure moved.
-- version: 2
SELECT
  CAST(DATE_ADD('day', :days, MIN(l.from_ds)) AS DATE) AS ds
FROM late_units AS l
