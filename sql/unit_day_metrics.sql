-- One row per exposed unit and day: the aggregates of its rows at or after its first exposure.
-- version: 2
SELECT
  e.unit_id,
  e.ds
FROM metric_rows AS e
JOIN first_exposures AS f
  ON f.unit_id = e.unit_id AND :exposed
GROUP BY
  e.unit_id,
  e.ds
