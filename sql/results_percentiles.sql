-- Percentiles of the values of counted units by day, metric and group, and for each unit how many of its values lie
-- below. Each value stands once with how often it occurs; a percentile lies between the two around its rank.
-- version: 1
WITH standing AS (
  SELECT
    v.point,
    v.unit_id,
    v.group_id,
    v.aggregate,
    v.value,
    v.occurrences
  FROM standing_values AS v
), by_value AS (
  SELECT
    s.point,
    s.group_id,
    s.aggregate,
    s.value,
    SUM(s.occurrences) AS occurrences
  FROM standing AS s
  GROUP BY
    s.point,
    s.group_id,
    s.aggregate,
    s.value
), ranked AS (
  SELECT
    b.point,
    b.group_id,
    b.aggregate,
    b.value,
    SUM(b.occurrences) OVER (
      PARTITION BY b.point, b.group_id, b.aggregate ORDER BY b.value
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS upto,
    SUM(b.occurrences) OVER (PARTITION BY b.point, b.group_id, b.aggregate) AS of_all
  FROM by_value AS b
), placed AS (
  SELECT
    r.point,
    r.group_id,
    k.number,
    r.aggregate,
    r.value,
    r.upto,
    k.share * CAST(r.of_all - 1 AS DOUBLE) AS place
  FROM ranked AS r
  JOIN percentile_keys AS k
    ON k.aggregate = r.aggregate
), around AS (
  SELECT
    p.point,
    p.group_id,
    p.number,
    p.aggregate,
    MIN(p.place) AS place,
    MIN(CASE WHEN p.upto > FLOOR(p.place) THEN p.value END) AS below,
    MIN(CASE WHEN p.upto > CEIL(p.place) THEN p.value END) AS above
  FROM placed AS p
  GROUP BY
    p.point,
    p.group_id,
    p.number,
    p.aggregate
), bounds AS (
  SELECT
    a.point,
    a.group_id,
    a.number,
    a.aggregate,
    a.below + (a.above - a.below) * (a.place - FLOOR(a.place)) AS bound
  FROM around AS a
), unit_counts AS (
  SELECT
    q.point,
    q.group_id,
    q.number,
    s.unit_id,
    CAST(SUM(CASE WHEN s.value <= q.bound THEN s.occurrences ELSE 0 END) AS DOUBLE) AS x,
    CAST(SUM(s.occurrences) AS DOUBLE) AS y
  FROM standing AS s
  JOIN bounds AS q
    ON q.point = s.point AND q.group_id = s.group_id AND q.aggregate = s.aggregate
  GROUP BY
    q.point,
    q.group_id,
    q.number,
    s.unit_id
), moments AS (
  SELECT
    c.point,
    c.group_id,
    c.number,
    SUM(c.x) AS total,
    SUM(c.x * c.x) AS total_squares,
    SUM(c.y) AS denominator_total,
    SUM(c.y * c.y) AS denominator_total_squares,
    SUM(c.x * c.y) AS numerator_denominator_product
  FROM unit_counts AS c
  GROUP BY
    c.point,
    c.group_id,
    c.number
)
SELECT
  k.rollup,
  :ds AS ds,
  :day_index AS day_index,
  k.metric,
  CAST(NULL AS VARCHAR) AS dimension,
  CAST(NULL AS VARCHAR) AS dimension_value,
  g.group_id,
  COALESCE(n.units, 0) AS units
FROM grid AS g
CROSS JOIN statistic_keys AS k
LEFT JOIN counted AS n
  ON n.point = g.point AND n.group_id = g.group_id
LEFT JOIN moments AS t
  ON t.point = g.point AND t.group_id = g.group_id AND t.number = k.number
LEFT JOIN bounds AS q
  ON q.point = g.point AND q.group_id = g.group_id AND q.number = k.number
