-- The unit-days of late units; one that no longer has a row is marked as deleted.
-- version: 1
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  n.unit_id IS NULL AS is_deleted
FROM unit_day_metrics AS n
FULL JOIN staged_unit_days AS o
  ON o.unit_id = n.unit_id AND o.ds = n.ds
