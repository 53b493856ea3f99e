-- Rows of a metric source as they were kept when they were read.
-- version: 1
SELECT
  m.unit_id,
  m.occurred_at,
  m.ds
FROM metric_rows AS m
WHERE
  :on_days
