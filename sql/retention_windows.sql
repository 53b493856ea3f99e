-- One row per unit and day on which a window is over that the unit started: whether it came back in it.
-- version: 1
WITH activity AS (
  SELECT
    u.unit_id,
    u.ds,
    :starts AS starts,
    :completes AS completes
  FROM unit_days AS u
  WHERE
    :starts > 0 OR :completes > 0
), followed AS (
  SELECT
    a.unit_id,
    a.ds,
    a.starts,
    MAX(a.completes) OVER (
      PARTITION BY a.unit_id
      ORDER BY DATE_DIFF('day', CAST('2000-01-01' AS DATE), a.ds)
      RANGE BETWEEN :first FOLLOWING AND :end FOLLOWING
    ) AS completes
  FROM activity AS a
)
SELECT
  f.unit_id,
  CAST(DATE_ADD('day', :end, f.ds) AS DATE) AS ds,
  1 AS windows,
  CASE WHEN f.completes > 0 THEN 1 ELSE 0 END AS completed
FROM followed AS f
WHERE
  f.starts > 0 AND DATE_DIFF('day', f.ds, :through) >= :end
