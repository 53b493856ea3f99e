-- One row per exposed unit, day, aggregate and level: what its rows at or after its first exposure come to.
-- Rows without a level have an empty one.
-- version: 1
WITH found AS (
  SELECT
    e.unit_id,
    e.ds,
    k.aggregate,
    k.together,
    COALESCE(:level, '') AS value,
    :number AS number
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
  CASE v.together WHEN 'sum' THEN SUM(v.number) WHEN 'min' THEN MIN(v.number) ELSE MAX(v.number) END AS number
FROM found AS v
GROUP BY
  v.unit_id,
  v.ds,
  v.aggregate,
  v.together,
  v.value
