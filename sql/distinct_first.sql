-- The first day of each value of a unit: from then on it is one more.
-- version: 1
SELECT
  v.unit_id,
  v.aggregate,
  MIN(v.ds) AS ds
FROM distinct_values AS v
WHERE
  :wanted
GROUP BY
  v.unit_id,
  v.aggregate,
  v.value
