-- The units' values, those beyond a percentile of the values of their day put on it.
-- version: 1
WITH unclamped AS (
  SELECT
    v.*
  FROM unit_values AS v
), sorted AS (
  SELECT
    n.point
  FROM unclamped AS n
  GROUP BY
    n.point
), bounds AS (
  SELECT
    o.point
  FROM sorted AS o
)
SELECT
  c.point,
  c.unit_id,
  c.group_id
FROM unclamped AS c
JOIN bounds AS b
  ON b.point = c.point
