-- Sums over the counted units by day, metric and group, of values that are worked out day by day.
-- version: 1
WITH moments AS (
  SELECT
    w.point,
    w.group_id
  FROM unit_values AS w
  GROUP BY
    w.point,
    w.group_id
)
SELECT
  k.rollup,
  :ds AS ds,
  :day_index AS day_index,
  k.metric,
  CAST(NULL AS VARCHAR) AS dimension,
  CAST(NULL AS VARCHAR) AS dimension_value,
  g.group_id,
  COALESCE(c.units, 0) AS units
FROM grid AS g
LEFT JOIN counted AS c
  ON c.point = g.point AND c.group_id = g.group_id
LEFT JOIN moments AS t
  ON t.point = g.point AND t.group_id = g.group_id
CROSS JOIN statistic_keys AS k
