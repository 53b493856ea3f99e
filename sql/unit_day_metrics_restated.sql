-- Unit-days with some aggregates computed anew and the others as they are staged.
-- version: 1
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds
FROM unit_day_metrics AS n
FULL JOIN staged_unit_days AS o
  ON o.unit_id = n.unit_id AND o.ds = n.ds
