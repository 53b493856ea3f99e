-- The unit-days of a metric source that are staged, of some days.
-- version: 1
SELECT
  m.unit_id,
  m.ds
FROM unit_day_metrics AS m
WHERE
  :on_days
