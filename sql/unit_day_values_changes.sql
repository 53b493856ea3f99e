-- The values of late units; one that no longer has a row is marked as deleted.
-- version: 2
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  COALESCE(n.aggregate, o.aggregate) AS aggregate,
  COALESCE(n.value, o.value) AS value,
  n.unit_id IS NULL AS is_deleted
FROM unit_day_values AS n
FULL JOIN staged_values AS o
  ON o.unit_id = n.unit_id AND o.ds = n.ds AND o.aggregate = n.aggregate AND o.value = n.value
