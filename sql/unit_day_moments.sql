-- One row per exposed unit, day, aggregate, moment and session: how many of its rows at or after its first exposure.
-- Where sessions are not told apart, they are one with an empty name.
-- version: 1
WITH found AS (
  SELECT
    e.unit_id,
    e.ds,
    k.aggregate,
    e.occurred_at AS value,
    :session AS session
  FROM metric_rows AS e
  JOIN first_exposures AS f
    ON f.unit_id = e.unit_id AND :exposed
  CROSS JOIN aggregate_keys AS k
  WHERE
    :present
)
SELECT
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value,
  v.session,
  COUNT(*) AS occurrences
FROM found AS v
GROUP BY
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value,
  v.session
