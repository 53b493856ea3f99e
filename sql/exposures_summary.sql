-- One row per day and group, also for a day without exposures: units that enter and leave the results.
-- version: 1
WITH moves AS (
  SELECT
    f.first_exposure_ds AS ds,
    f.group_id,
    COUNT(*) AS entering,
    0 AS leaving
  FROM first_exposures AS f
  GROUP BY
    f.first_exposure_ds,
    f.group_id
  UNION ALL
  SELECT
    CAST(f.crossover_at AS DATE) AS ds,
    f.group_id,
    0 AS entering,
    COUNT(*) AS leaving
  FROM first_exposures AS f
  WHERE
    f.crossover AND :crossovers_leave
  GROUP BY
    CAST(f.crossover_at AS DATE),
    f.group_id
), daily AS (
  SELECT
    m.ds,
    m.group_id,
    SUM(m.entering) AS entering,
    SUM(m.leaving) AS leaving
  FROM moves AS m
  GROUP BY
    m.ds,
    m.group_id
), grid AS (
  SELECT
    d.ds,
    g.group_id
  FROM days AS d
  CROSS JOIN groups AS g
), dense AS (
  SELECT
    a.ds,
    a.group_id,
    COALESCE(b.entering, 0) AS entering,
    COALESCE(b.leaving, 0) AS leaving
  FROM grid AS a
  LEFT JOIN daily AS b
    ON b.ds = a.ds AND b.group_id = a.group_id
)
SELECT
  c.ds,
  c.group_id,
  c.entering AS daily_first_exposures,
  c.leaving AS daily_crossovers,
  SUM(c.entering - c.leaving) OVER (PARTITION BY c.group_id ORDER BY c.ds ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS cumulative_exposures
FROM dense AS c
