-- The units' values, those beyond a percentile of the values of their day and level put on it. Groups of one level
-- begin with the same two digits.
-- version: 1
WITH unclamped AS (
  SELECT
    v.*
  FROM unit_values AS v
), sorted AS (
  SELECT
    n.point,
    SUBSTR(n.group_id, 1, 2) AS place
  FROM unclamped AS n
  GROUP BY
    n.point,
    SUBSTR(n.group_id, 1, 2)
), bounds AS (
  SELECT
    o.point,
    o.place
  FROM sorted AS o
)
SELECT
  c.point,
  c.unit_id,
  c.group_id
FROM unclamped AS c
JOIN bounds AS b
  ON b.point = c.point AND b.place = SUBSTR(c.group_id, 1, 2)
