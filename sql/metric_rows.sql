-- The rows of a metric source that feed some metric, with the library's own column names.
-- version: 1
SELECT
  :unit_id AS unit_id,
  :occurred_at AS occurred_at,
  :ds AS ds
FROM metric_source AS s
WHERE
  :within
