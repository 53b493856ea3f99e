-- Each day of a value of a unit, with the day from which it no longer counts: so many days later, or the next of its days.
-- version: 1
WITH followed AS (
  SELECT
    v.unit_id,
    v.aggregate,
    v.ds,
    LEAD(v.ds) OVER (PARTITION BY v.unit_id, v.aggregate, v.value ORDER BY v.ds) AS next_ds
  FROM distinct_values AS v
  WHERE
    :wanted
)
SELECT
  n.unit_id,
  n.aggregate,
  n.ds,
  CASE WHEN n.next_ds < :gone_on THEN n.next_ds ELSE :gone_on END AS gone_ds
FROM followed AS n
