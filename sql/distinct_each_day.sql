-- Each day of a value of a unit.
-- version: 1
SELECT
  v.unit_id,
  v.aggregate,
  v.ds
FROM distinct_values AS v
WHERE
  :wanted
