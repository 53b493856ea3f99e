-- exposure_counts: ReplacePartitions exposure_counts_123 2026-01-03, 2026-01-04
-- fills 2026-01-03
-- the same with {'ds': '2026-01-04', 'day_start': '2026-01-04 00:00:00', 'day_end': '2026-01-05 00:00:00'}
SELECT
  CAST('2026-01-03' AS DATE) AS ds,
  COALESCE("s"."group_id", '') AS group_id,
  COUNT(*) AS exposures,
  COUNT(*) FILTER(WHERE
    COALESCE("s"."user_id", '') = '') AS without_unit
FROM "shop"."exposures" AS s
WHERE
  "s"."experiment_id" = '123'
  AND (
    "s"."exposed_at" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP(6))
    AND "s"."exposed_at" < CAST('2026-01-04 00:00:00' AS TIMESTAMP(6))
  )
GROUP BY
  1,
  2;

-- exposures_left_out: check
SELECT
  COALESCE(SUM(c.without_unit), 0) AS without_unit,
  COALESCE(SUM(c.exposures) FILTER(WHERE
    c.group_id = ''), 0) AS without_group,
  COALESCE(SUM(c.exposures) FILTER(WHERE
    c.group_id <> '' AND FALSE), 0) AS unlisted,
  MIN(c.group_id) FILTER(WHERE
    c.group_id <> '' AND FALSE) AS unlisted_example
FROM "statsig_staging"."exposure_counts_123" AS c;

-- unit_day_exposures: ReplacePartitions unit_day_exposures_123 2026-01-03, 2026-01-04
-- fills 2026-01-03
-- the same with {'ds': '2026-01-04', 'day_start': '2026-01-04 00:00:00', 'day_end': '2026-01-05 00:00:00'}
WITH by_group AS (
  SELECT
    e.unit_id,
    e.ds,
    e.group_id,
    MIN(e.exposed_at) AS first_exposure,
    MIN_BY("e"."context_0", ROW(e.exposed_at, "e"."context_0")) FILTER(WHERE
      NOT "e"."context_0" IS NULL) AS "context_0",
    MIN(e.exposed_at) FILTER(WHERE
      NOT "e"."context_0" IS NULL) AS "context_0_at"
  FROM (
    SELECT
      "s"."user_id" AS unit_id,
      "s"."group_id" AS group_id,
      "s"."exposed_at" AS exposed_at,
      CAST('2026-01-03' AS DATE) AS ds,
      "s"."group_id" AS context_0
    FROM "shop"."exposures" AS s
    WHERE
      "s"."experiment_id" = '123'
      AND (
        "s"."exposed_at" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP(6))
        AND "s"."exposed_at" < CAST('2026-01-04 00:00:00' AS TIMESTAMP(6))
      )
      AND "s"."user_id" <> ''
      AND "s"."group_id" <> ''
  ) AS e
  GROUP BY
    e.unit_id,
    e.ds,
    e.group_id
)
SELECT
  g.unit_id,
  g.ds,
  MIN(g.first_exposure) AS first_exposure,
  MIN_BY(g.group_id, ROW(g.first_exposure, g.group_id)) AS group_id,
  MIN(g.group_id) AS min_group_id,
  MAX(g.group_id) AS max_group_id,
  CASE WHEN COUNT(*) > 1 THEN MIN(g.first_exposure, 2)[2] END AS crossover_at,
  MIN_BY("g"."context_0", ROW("g"."context_0_at", "g"."context_0")) FILTER(WHERE
    NOT "g"."context_0" IS NULL) AS "device"
FROM by_group AS g
GROUP BY
  g.unit_id,
  g.ds;

-- first_exposures: Merge first_exposures_123 by unit_id, deleting where is_deleted
SELECT
  t.unit_id,
  f.group_id,
  f.first_exposure,
  f.first_exposure_ds,
  f.crossover,
  f.crossover_at,
  f.unit_id IS NULL AS is_deleted,
  "f"."device"
FROM (
  SELECT
    t.unit_id
  FROM (
    SELECT
      d.unit_id
    FROM "statsig_staging"."unit_day_exposures_123" AS d
    WHERE
      d.ds IN (CAST('2026-01-03' AS DATE), CAST('2026-01-04' AS DATE))
    UNION
    SELECT
      p.unit_id
    FROM "statsig_staging"."unit_day_exposures_123" FOR VERSION AS OF 3 AS p
    WHERE
      p.ds IN (CAST('2026-01-03' AS DATE), CAST('2026-01-04' AS DATE))
  ) AS t
) AS t
LEFT JOIN (
  WITH units AS (
    SELECT
      d.unit_id,
      MIN_BY(d.group_id, d.first_exposure) AS group_id,
      MIN(d.first_exposure) AS first_exposure,
      MIN(d.ds) AS first_exposure_ds,
      MIN(d.min_group_id) <> MAX(d.max_group_id) AS crossover,
      MIN_BY("d"."device", d.first_exposure) AS "device"
    FROM (
      SELECT
        d.*
      FROM "statsig_staging"."unit_day_exposures_123" AS d
      JOIN (
        SELECT
          t.unit_id
        FROM (
          SELECT
            d.unit_id
          FROM "statsig_staging"."unit_day_exposures_123" AS d
          WHERE
            d.ds IN (CAST('2026-01-03' AS DATE), CAST('2026-01-04' AS DATE))
          UNION
          SELECT
            p.unit_id
          FROM "statsig_staging"."unit_day_exposures_123" FOR VERSION AS OF 3 AS p
          WHERE
            p.ds IN (CAST('2026-01-03' AS DATE), CAST('2026-01-04' AS DATE))
        ) AS t
      ) AS t
        ON t.unit_id = d.unit_id
    ) AS d
    GROUP BY
      d.unit_id
  ), crossings AS (
    SELECT
      d.unit_id,
      MIN(CASE WHEN d.group_id <> u.group_id THEN d.first_exposure ELSE d.crossover_at END) AS crossover_at
    FROM (
      SELECT
        d.*
      FROM "statsig_staging"."unit_day_exposures_123" AS d
      JOIN (
        SELECT
          t.unit_id
        FROM (
          SELECT
            d.unit_id
          FROM "statsig_staging"."unit_day_exposures_123" AS d
          WHERE
            d.ds IN (CAST('2026-01-03' AS DATE), CAST('2026-01-04' AS DATE))
          UNION
          SELECT
            p.unit_id
          FROM "statsig_staging"."unit_day_exposures_123" FOR VERSION AS OF 3 AS p
          WHERE
            p.ds IN (CAST('2026-01-03' AS DATE), CAST('2026-01-04' AS DATE))
        ) AS t
      ) AS t
        ON t.unit_id = d.unit_id
    ) AS d
    JOIN units AS u
      ON u.unit_id = d.unit_id
    WHERE
      u.crossover
    GROUP BY
      d.unit_id
  )
  SELECT
    u.unit_id,
    u.group_id,
    u.first_exposure,
    u.first_exposure_ds,
    u.crossover,
    c.crossover_at,
    "u"."device"
  FROM units AS u
  LEFT JOIN crossings AS c
    ON c.unit_id = u.unit_id
) AS f
  ON f.unit_id = t.unit_id;

-- exposures_summary: Replace exposures_summary_123
WITH moves AS (
  SELECT
    f.first_exposure_ds AS ds,
    f.group_id,
    COUNT(*) AS entering,
    0 AS leaving
  FROM "statsig_staging"."first_exposures_123" AS f
  GROUP BY
    f.first_exposure_ds,
    f.group_id
  UNION ALL
  SELECT
    CAST(f.crossover_at AS DATE) AS ds,
    f.group_id,
    0 AS entering,
    COUNT(*) AS leaving
  FROM "statsig_staging"."first_exposures_123" AS f
  WHERE
    f.crossover AND TRUE
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
  FROM (
    SELECT
      d.ds
    FROM (VALUES
      (CAST('2026-01-01' AS DATE)),
      (CAST('2026-01-02' AS DATE)),
      (CAST('2026-01-03' AS DATE)),
      (CAST('2026-01-04' AS DATE))) AS d(ds)
  ) AS d
  CROSS JOIN (
    SELECT DISTINCT
      c.group_id
    FROM "statsig_staging"."exposure_counts_123" AS c
    WHERE
      c.group_id <> '' AND c.exposures > c.without_unit
  ) AS g
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
  SUM(c.entering - c.leaving) OVER (
    PARTITION BY c.group_id
    ORDER BY c.ds
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS cumulative_exposures
FROM dense AS c;

-- metric_rows_events: CreateTable metric_rows_123_events
-- fills 2026-01-04
SELECT
  "s"."user_id" AS unit_id,
  "s"."ts" AS occurred_at,
  CAST('2026-01-04' AS DATE) AS ds,
  (
    "s"."kind" = 'purchase'
  ) AS where_0dc0dabe,
  CAST((
    (
      "s"."amount_cents" / 100.0
    )
  ) AS DOUBLE) AS value_18aa0787
FROM "shop"."events" AS s
WHERE
  (
    "s"."ts" >= CAST('2026-01-04 00:00:00' AS TIMESTAMP(6))
    AND "s"."ts" < CAST('2026-01-05 00:00:00' AS TIMESTAMP(6))
  );

-- late_metric_rows_events: guard
SELECT
  CAST(DATE_ADD('DAY', 0, MIN(l.from_ds)) AS DATE) AS ds
FROM (
  SELECT
    COALESCE(n.unit_id, p.unit_id) AS unit_id,
    LEAST(
      COALESCE(n.first_exposure_ds, p.first_exposure_ds),
      COALESCE(p.first_exposure_ds, n.first_exposure_ds)
    ) AS from_ds
  FROM "statsig_staging"."first_exposures_123" AS n
  FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
    ON p.unit_id = n.unit_id
  WHERE
    n.first_exposure IS NULL
    OR p.first_exposure IS NULL
    OR n.first_exposure <> p.first_exposure
) AS l;

-- late_metric_rows_events: ReplacePartitions metric_rows_123_events 2026-01-03
-- fills 2026-01-03
SELECT
  "s"."user_id" AS unit_id,
  "s"."ts" AS occurred_at,
  CAST('2026-01-03' AS DATE) AS ds,
  (
    "s"."kind" = 'purchase'
  ) AS where_0dc0dabe,
  CAST((
    (
      "s"."amount_cents" / 100.0
    )
  ) AS DOUBLE) AS value_18aa0787
FROM "shop"."events" AS s
WHERE
  (
    "s"."ts" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP(6))
    AND "s"."ts" < CAST('2026-01-04 00:00:00' AS TIMESTAMP(6))
  );

-- unit_day_metrics_events: ReplacePartitions unit_day_metrics_123_events 2026-01-04
-- fills 2026-01-04
SELECT
  e.unit_id,
  e.ds,
  NULLIF(COUNT(*) FILTER(WHERE
    e.where_0dc0dabe), 0) AS count_59959d15,
  NULLIF(COUNT(e.value_18aa0787) FILTER(WHERE
    e.where_0dc0dabe), 0) AS records_usd_ebe8be74,
  SUM(e.value_18aa0787) FILTER(WHERE
    e.where_0dc0dabe) AS sum_usd_21961929,
  SUM(e.value_18aa0787) AS sum_usd_6644efa2
FROM (
  SELECT
    m.unit_id,
    m.occurred_at,
    m.ds,
    m.where_0dc0dabe,
    m.value_18aa0787
  FROM "statsig_staging"."metric_rows_123_events" AS m
  WHERE
    m.ds = CAST('2026-01-04' AS DATE)
) AS e
JOIN "statsig_staging"."first_exposures_123" AS f
  ON f.unit_id = e.unit_id
  AND e.occurred_at >= f.first_exposure
  AND f.first_exposure_ds <= CAST('2026-01-04' AS DATE)
GROUP BY
  e.unit_id,
  e.ds
HAVING
  COUNT(*) FILTER(WHERE
    e.where_0dc0dabe) > 0
  OR COUNT(e.value_18aa0787) FILTER(WHERE
    e.where_0dc0dabe) > 0
  OR COUNT(e.value_18aa0787) FILTER(WHERE
    e.where_0dc0dabe) > 0
  OR COUNT(e.value_18aa0787) > 0;

-- late_units_events: guard
SELECT
  CAST(DATE_ADD('DAY', 0, MIN(l.from_ds)) AS DATE) AS ds
FROM (
  SELECT
    COALESCE(n.unit_id, p.unit_id) AS unit_id,
    LEAST(
      COALESCE(n.first_exposure_ds, p.first_exposure_ds),
      COALESCE(p.first_exposure_ds, n.first_exposure_ds)
    ) AS from_ds
  FROM "statsig_staging"."first_exposures_123" AS n
  FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
    ON p.unit_id = n.unit_id
  WHERE
    n.first_exposure IS NULL
    OR p.first_exposure IS NULL
    OR n.first_exposure <> p.first_exposure
) AS l;

-- late_units_events: Merge unit_day_metrics_123_events by unit_id, ds, deleting where is_deleted
-- fills 2026-01-03
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  n.unit_id IS NULL AS is_deleted,
  n.count_59959d15,
  n.records_usd_ebe8be74,
  n.sum_usd_21961929,
  n.sum_usd_6644efa2
FROM (
  SELECT
    e.unit_id,
    e.ds,
    NULLIF(COUNT(*) FILTER(WHERE
      e.where_0dc0dabe), 0) AS count_59959d15,
    NULLIF(COUNT(e.value_18aa0787) FILTER(WHERE
      e.where_0dc0dabe), 0) AS records_usd_ebe8be74,
    SUM(e.value_18aa0787) FILTER(WHERE
      e.where_0dc0dabe) AS sum_usd_21961929,
    SUM(e.value_18aa0787) AS sum_usd_6644efa2
  FROM (
    SELECT
      m.unit_id,
      m.occurred_at,
      m.ds,
      m.where_0dc0dabe,
      m.value_18aa0787
    FROM "statsig_staging"."metric_rows_123_events" AS m
    WHERE
      m.ds = CAST('2026-01-03' AS DATE)
  ) AS e
  JOIN (
    SELECT
      f.unit_id,
      f.first_exposure,
      f.first_exposure_ds
    FROM "statsig_staging"."first_exposures_123" AS f
    JOIN (
      SELECT
        COALESCE(n.unit_id, p.unit_id) AS unit_id,
        LEAST(
          COALESCE(n.first_exposure_ds, p.first_exposure_ds),
          COALESCE(p.first_exposure_ds, n.first_exposure_ds)
        ) AS from_ds
      FROM "statsig_staging"."first_exposures_123" AS n
      FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
        ON p.unit_id = n.unit_id
      WHERE
        n.first_exposure IS NULL
        OR p.first_exposure IS NULL
        OR n.first_exposure <> p.first_exposure
    ) AS l
      ON l.unit_id = f.unit_id
  ) AS f
    ON f.unit_id = e.unit_id
    AND e.occurred_at >= f.first_exposure
    AND f.first_exposure_ds <= CAST('2026-01-03' AS DATE)
  GROUP BY
    e.unit_id,
    e.ds
  HAVING
    COUNT(*) FILTER(WHERE
      e.where_0dc0dabe) > 0
    OR COUNT(e.value_18aa0787) FILTER(WHERE
      e.where_0dc0dabe) > 0
    OR COUNT(e.value_18aa0787) FILTER(WHERE
      e.where_0dc0dabe) > 0
    OR COUNT(e.value_18aa0787) > 0
) AS n
FULL JOIN (
  SELECT
    m.unit_id,
    m.ds
  FROM "statsig_staging"."unit_day_metrics_123_events" AS m
  JOIN (
    SELECT
      COALESCE(n.unit_id, p.unit_id) AS unit_id,
      LEAST(
        COALESCE(n.first_exposure_ds, p.first_exposure_ds),
        COALESCE(p.first_exposure_ds, n.first_exposure_ds)
      ) AS from_ds
    FROM "statsig_staging"."first_exposures_123" AS n
    FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
      ON p.unit_id = n.unit_id
    WHERE
      n.first_exposure IS NULL
      OR p.first_exposure IS NULL
      OR n.first_exposure <> p.first_exposure
  ) AS l
    ON l.unit_id = m.unit_id
  WHERE
    m.ds = CAST('2026-01-03' AS DATE)
) AS o
  ON o.unit_id = n.unit_id AND o.ds = n.ds;

-- metric_rows_visits: CreateTable metric_rows_123_visits
-- fills 2026-01-04
SELECT
  CAST("s"."user_id" AS VARCHAR) AS unit_id,
  CAST("s"."ds" AS TIMESTAMP(6)) AS occurred_at,
  CAST('2026-01-04' AS DATE) AS ds,
  (
    "s"."pages" > 1
  ) AS where_c3d28730,
  CASE
    WHEN IS_FINITE(CAST((
      "s"."seconds"
    ) AS DOUBLE))
    THEN CAST((
      "s"."seconds"
    ) AS DOUBLE)
  END AS value_ff3fee50
FROM "shop"."visits" AS s
WHERE
  (
    "s"."ds" >= CAST('2026-01-04' AS DATE) AND "s"."ds" < CAST('2026-01-05' AS DATE)
  );

-- late_metric_rows_visits: guard
SELECT
  CAST(DATE_ADD('DAY', 0, MIN(l.from_ds)) AS DATE) AS ds
FROM (
  SELECT
    COALESCE(n.unit_id, p.unit_id) AS unit_id,
    LEAST(
      COALESCE(n.first_exposure_ds, p.first_exposure_ds),
      COALESCE(p.first_exposure_ds, n.first_exposure_ds)
    ) AS from_ds
  FROM "statsig_staging"."first_exposures_123" AS n
  FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
    ON p.unit_id = n.unit_id
  WHERE
    n.first_exposure IS NULL
    OR p.first_exposure IS NULL
    OR n.first_exposure <> p.first_exposure
) AS l;

-- late_metric_rows_visits: ReplacePartitions metric_rows_123_visits 2026-01-03
-- fills 2026-01-03
SELECT
  CAST("s"."user_id" AS VARCHAR) AS unit_id,
  CAST("s"."ds" AS TIMESTAMP(6)) AS occurred_at,
  CAST('2026-01-03' AS DATE) AS ds,
  (
    "s"."pages" > 1
  ) AS where_c3d28730,
  CASE
    WHEN IS_FINITE(CAST((
      "s"."seconds"
    ) AS DOUBLE))
    THEN CAST((
      "s"."seconds"
    ) AS DOUBLE)
  END AS value_ff3fee50
FROM "shop"."visits" AS s
WHERE
  (
    "s"."ds" >= CAST('2026-01-03' AS DATE) AND "s"."ds" < CAST('2026-01-04' AS DATE)
  );

-- unit_day_metrics_visits: ReplacePartitions unit_day_metrics_123_visits 2026-01-04
-- fills 2026-01-04
SELECT
  e.unit_id,
  e.ds,
  NULLIF(COUNT(*) FILTER(WHERE
    e.where_c3d28730), 0) AS count_b3dcc3bb,
  SUM(e.value_ff3fee50) AS sum_seconds_402b9b31
FROM (
  SELECT
    m.unit_id,
    m.occurred_at,
    m.ds,
    m.where_c3d28730,
    m.value_ff3fee50
  FROM "statsig_staging"."metric_rows_123_visits" AS m
  WHERE
    m.ds = CAST('2026-01-04' AS DATE)
) AS e
JOIN "statsig_staging"."first_exposures_123" AS f
  ON f.unit_id = e.unit_id
  AND e.ds >= f.first_exposure_ds
  AND f.first_exposure_ds <= CAST('2026-01-04' AS DATE)
GROUP BY
  e.unit_id,
  e.ds
HAVING
  COUNT(*) FILTER(WHERE
    e.where_c3d28730) > 0 OR COUNT(e.value_ff3fee50) > 0;

-- late_units_visits: guard
SELECT
  CAST(DATE_ADD('DAY', 0, MIN(l.from_ds)) AS DATE) AS ds
FROM (
  SELECT
    COALESCE(n.unit_id, p.unit_id) AS unit_id,
    LEAST(
      COALESCE(n.first_exposure_ds, p.first_exposure_ds),
      COALESCE(p.first_exposure_ds, n.first_exposure_ds)
    ) AS from_ds
  FROM "statsig_staging"."first_exposures_123" AS n
  FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
    ON p.unit_id = n.unit_id
  WHERE
    n.first_exposure IS NULL
    OR p.first_exposure IS NULL
    OR n.first_exposure <> p.first_exposure
) AS l;

-- late_units_visits: Merge unit_day_metrics_123_visits by unit_id, ds, deleting where is_deleted
-- fills 2026-01-03
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  n.unit_id IS NULL AS is_deleted,
  n.count_b3dcc3bb,
  n.sum_seconds_402b9b31
FROM (
  SELECT
    e.unit_id,
    e.ds,
    NULLIF(COUNT(*) FILTER(WHERE
      e.where_c3d28730), 0) AS count_b3dcc3bb,
    SUM(e.value_ff3fee50) AS sum_seconds_402b9b31
  FROM (
    SELECT
      m.unit_id,
      m.occurred_at,
      m.ds,
      m.where_c3d28730,
      m.value_ff3fee50
    FROM "statsig_staging"."metric_rows_123_visits" AS m
    WHERE
      m.ds = CAST('2026-01-03' AS DATE)
  ) AS e
  JOIN (
    SELECT
      f.unit_id,
      f.first_exposure,
      f.first_exposure_ds
    FROM "statsig_staging"."first_exposures_123" AS f
    JOIN (
      SELECT
        COALESCE(n.unit_id, p.unit_id) AS unit_id,
        LEAST(
          COALESCE(n.first_exposure_ds, p.first_exposure_ds),
          COALESCE(p.first_exposure_ds, n.first_exposure_ds)
        ) AS from_ds
      FROM "statsig_staging"."first_exposures_123" AS n
      FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
        ON p.unit_id = n.unit_id
      WHERE
        n.first_exposure IS NULL
        OR p.first_exposure IS NULL
        OR n.first_exposure <> p.first_exposure
    ) AS l
      ON l.unit_id = f.unit_id
  ) AS f
    ON f.unit_id = e.unit_id
    AND e.ds >= f.first_exposure_ds
    AND f.first_exposure_ds <= CAST('2026-01-03' AS DATE)
  GROUP BY
    e.unit_id,
    e.ds
  HAVING
    COUNT(*) FILTER(WHERE
      e.where_c3d28730) > 0 OR COUNT(e.value_ff3fee50) > 0
) AS n
FULL JOIN (
  SELECT
    m.unit_id,
    m.ds
  FROM "statsig_staging"."unit_day_metrics_123_visits" AS m
  JOIN (
    SELECT
      COALESCE(n.unit_id, p.unit_id) AS unit_id,
      LEAST(
        COALESCE(n.first_exposure_ds, p.first_exposure_ds),
        COALESCE(p.first_exposure_ds, n.first_exposure_ds)
      ) AS from_ds
    FROM "statsig_staging"."first_exposures_123" AS n
    FULL JOIN "statsig_staging"."first_exposures_123" FOR VERSION AS OF 4 AS p
      ON p.unit_id = n.unit_id
    WHERE
      n.first_exposure IS NULL
      OR p.first_exposure IS NULL
      OR n.first_exposure <> p.first_exposure
  ) AS l
    ON l.unit_id = m.unit_id
  WHERE
    m.ds = CAST('2026-01-03' AS DATE)
) AS o
  ON o.unit_id = n.unit_id AND o.ds = n.ds;

-- unit_totals_events: Replace unit_totals_123_events
SELECT
  u.unit_id,
  CAST('2026-01-04' AS DATE) AS ds,
  SUM(u.count_59959d15) AS count_59959d15,
  SUM(u.records_usd_ebe8be74) AS records_usd_ebe8be74,
  SUM(u.sum_usd_21961929) AS sum_usd_21961929,
  SUM(u.sum_usd_6644efa2) AS sum_usd_6644efa2
FROM (
  SELECT
    u.unit_id,
    u.ds,
    u.count_59959d15,
    u.records_usd_ebe8be74,
    u.sum_usd_21961929,
    u.sum_usd_6644efa2
  FROM "statsig_staging"."unit_day_metrics_123_events" AS u
  WHERE
    u.ds <= CAST('2026-01-04' AS DATE)
) AS u
GROUP BY
  u.unit_id;

-- unit_totals_visits: Replace unit_totals_123_visits
SELECT
  u.unit_id,
  CAST('2026-01-04' AS DATE) AS ds,
  SUM(u.count_b3dcc3bb) AS count_b3dcc3bb,
  SUM(u.sum_seconds_402b9b31) AS sum_seconds_402b9b31
FROM (
  SELECT
    u.unit_id,
    u.ds,
    u.count_b3dcc3bb,
    u.sum_seconds_402b9b31
  FROM "statsig_staging"."unit_day_metrics_123_visits" AS u
  WHERE
    u.ds <= CAST('2026-01-04' AS DATE)
) AS u
GROUP BY
  u.unit_id;

-- results: Replace results_123
SELECT
  '123' AS experiment_id,
  z.rollup,
  z.ds,
  z.day_index,
  z.metric,
  z.dimension,
  z.dimension_value,
  z.group_id,
  z.units,
  CASE WHEN IS_FINITE(z.total) THEN z.total END AS total,
  CASE WHEN IS_FINITE(z.total_squares) THEN z.total_squares END AS total_squares,
  COALESCE(
    CASE WHEN IS_FINITE(z.percentile) THEN z.percentile END,
    CASE
      WHEN IS_FINITE(z.total / NULLIF(z.divisor, 0))
      THEN z.total / NULLIF(z.divisor, 0)
    END
  ) AS mean,
  CASE
    WHEN z.units > 1 AND IS_FINITE(z.total_squares - z.total * z.total / z.units)
    THEN GREATEST(
      (
        z.total_squares - z.total * z.total / z.units
      ) / (
        z.units - 1
      ),
      CAST(0 AS DOUBLE)
    )
  END AS variance,
  CASE WHEN IS_FINITE(z.denominator_total) THEN z.denominator_total END AS denominator_total,
  CASE
    WHEN IS_FINITE(z.denominator_total_squares)
    THEN z.denominator_total_squares
  END AS denominator_total_squares,
  CASE
    WHEN IS_FINITE(z.numerator_denominator_product)
    THEN z.numerator_denominator_product
  END AS numerator_denominator_product,
  CASE WHEN IS_FINITE(z.covariate_total) THEN z.covariate_total END AS covariate_total,
  CASE WHEN IS_FINITE(z.covariate_total_squares) THEN z.covariate_total_squares END AS covariate_total_squares,
  CASE WHEN IS_FINITE(z.covariate_product) THEN z.covariate_product END AS covariate_product,
  CASE
    WHEN IS_FINITE(z.denominator_covariate_total)
    THEN z.denominator_covariate_total
  END AS denominator_covariate_total,
  CASE
    WHEN IS_FINITE(z.denominator_covariate_total_squares)
    THEN z.denominator_covariate_total_squares
  END AS denominator_covariate_total_squares,
  CASE
    WHEN IS_FINITE(z.numerator_denominator_covariate_product)
    THEN z.numerator_denominator_covariate_product
  END AS numerator_denominator_covariate_product,
  CASE
    WHEN IS_FINITE(z.denominator_covariate_product)
    THEN z.denominator_covariate_product
  END AS denominator_covariate_product,
  CASE
    WHEN IS_FINITE(z.denominator_denominator_covariate_product)
    THEN z.denominator_denominator_covariate_product
  END AS denominator_denominator_covariate_product,
  CASE WHEN IS_FINITE(z.covariates_product) THEN z.covariates_product END AS covariates_product
FROM (
  WITH members AS (
    SELECT
      f.unit_id,
      f.group_id,
      ROW_NUMBER() OVER () AS unit_key
    FROM "statsig_staging"."first_exposures_123" AS f
    WHERE
      NOT (
        f.crossover AND TRUE
      )
  ), activity AS (
    SELECT
      m.unit_key,
      m.group_id,
      CASE
        WHEN u.ds < CAST('2026-01-02' AS DATE)
        THEN CAST('2026-01-02' AS DATE)
        ELSE u.ds
      END AS ds,
      COALESCE(SUM(u.a0), CAST(0 AS DOUBLE)) AS a0,
      COALESCE(SUM(u.a1), CAST(0 AS DOUBLE)) AS a1,
      COALESCE(SUM(u.a2), CAST(0 AS DOUBLE)) AS a2,
      COALESCE(SUM(u.a3), CAST(0 AS DOUBLE)) AS a3,
      COALESCE(SUM(u.a4), CAST(0 AS DOUBLE)) AS a4,
      COALESCE(SUM(u.a5), CAST(0 AS DOUBLE)) AS a5
    FROM (
      SELECT
        b.unit_id,
        b.ds,
        SUM(b.a0) AS a0,
        SUM(b.a1) AS a1,
        SUM(b.a2) AS a2,
        SUM(b.a3) AS a3,
        SUM(b.a4) AS a4,
        SUM(b.a5) AS a5
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.count_59959d15 AS DOUBLE) AS a0,
          CAST(NULL AS DOUBLE) AS a1,
          CAST(u.records_usd_ebe8be74 AS DOUBLE) AS a2,
          CAST(NULL AS DOUBLE) AS a3,
          CAST(u.sum_usd_21961929 AS DOUBLE) AS a4,
          CAST(u.sum_usd_6644efa2 AS DOUBLE) AS a5
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.count_59959d15,
            u.records_usd_ebe8be74,
            u.sum_usd_21961929,
            u.sum_usd_6644efa2
          FROM "statsig_staging"."unit_day_metrics_123_events" AS u
        ) AS u
        UNION ALL
        SELECT
          u.unit_id,
          u.ds,
          CAST(NULL AS DOUBLE) AS a0,
          CAST(u.count_b3dcc3bb AS DOUBLE) AS a1,
          CAST(NULL AS DOUBLE) AS a2,
          CAST(u.sum_seconds_402b9b31 AS DOUBLE) AS a3,
          CAST(NULL AS DOUBLE) AS a4,
          CAST(NULL AS DOUBLE) AS a5
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.count_b3dcc3bb,
            u.sum_seconds_402b9b31
          FROM "statsig_staging"."unit_day_metrics_123_visits" AS u
        ) AS u
      ) AS b
      GROUP BY
        b.unit_id,
        b.ds
    ) AS u
    JOIN members AS m
      ON m.unit_id = u.unit_id
    GROUP BY
      m.unit_key,
      m.group_id,
      CASE
        WHEN u.ds < CAST('2026-01-02' AS DATE)
        THEN CAST('2026-01-02' AS DATE)
        ELSE u.ds
      END
  ), running AS (
    SELECT
      a.group_id,
      a.ds,
      a.a0,
      SUM(a.a0) OVER (
        PARTITION BY a.unit_key
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a0_total,
      a.a1,
      SUM(a.a1) OVER (
        PARTITION BY a.unit_key
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a1_total,
      a.a2,
      SUM(a.a2) OVER (
        PARTITION BY a.unit_key
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a2_total,
      a.a3,
      SUM(a.a3) OVER (
        PARTITION BY a.unit_key
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a3_total,
      a.a4,
      SUM(a.a4) OVER (
        PARTITION BY a.unit_key
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a4_total,
      a.a5,
      SUM(a.a5) OVER (
        PARTITION BY a.unit_key
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a5_total
    FROM activity AS a
  ), moments AS (
    SELECT
      r.ds,
      r.group_id,
      SUM(r.a0) AS m0_daily,
      SUM(r.a0) AS m0_move,
      SUM(
        CASE WHEN r.a0 > CAST(0 AS DOUBLE) THEN CAST(1 AS DOUBLE) ELSE CAST(0 AS DOUBLE) END
      ) AS m1_daily,
      SUM(
        CASE
          WHEN r.a0_total > CAST(0 AS DOUBLE)
          THEN CAST(1 AS DOUBLE)
          ELSE CAST(0 AS DOUBLE)
        END - (
          CASE
            WHEN (
              r.a0_total - r.a0
            ) > CAST(0 AS DOUBLE)
            THEN CAST(1 AS DOUBLE)
            ELSE CAST(0 AS DOUBLE)
          END
        )
      ) AS m1_move,
      SUM(r.a0 * r.a0) AS m2_daily,
      SUM(r.a0 * r.a0_total + r.a0_total * r.a0 - r.a0 * r.a0) AS m2_move,
      SUM(r.a1) AS m3_daily,
      SUM(r.a1) AS m3_move,
      SUM(r.a1 * r.a1) AS m4_daily,
      SUM(r.a1 * r.a1_total + r.a1_total * r.a1 - r.a1 * r.a1) AS m4_move,
      SUM(r.a2) AS m5_daily,
      SUM(r.a2) AS m5_move,
      SUM(r.a2 * r.a2) AS m6_daily,
      SUM(r.a2 * r.a2_total + r.a2_total * r.a2 - r.a2 * r.a2) AS m6_move,
      SUM(r.a3) AS m7_daily,
      SUM(r.a3) AS m7_move,
      SUM(r.a3 * r.a3) AS m8_daily,
      SUM(r.a3 * r.a3_total + r.a3_total * r.a3 - r.a3 * r.a3) AS m8_move,
      SUM(r.a4) AS m9_daily,
      SUM(r.a4) AS m9_move,
      SUM(r.a4 * r.a2) AS m10_daily,
      SUM(r.a4 * r.a2_total + r.a4_total * r.a2 - r.a4 * r.a2) AS m10_move,
      SUM(r.a4 * r.a4) AS m11_daily,
      SUM(r.a4 * r.a4_total + r.a4_total * r.a4 - r.a4 * r.a4) AS m11_move,
      SUM(r.a5) AS m12_daily,
      SUM(r.a5) AS m12_move,
      SUM(r.a5 * r.a1) AS m13_daily,
      SUM(r.a5 * r.a1_total + r.a5_total * r.a1 - r.a5 * r.a1) AS m13_move,
      SUM(r.a5 * r.a5) AS m14_daily,
      SUM(r.a5 * r.a5_total + r.a5_total * r.a5 - r.a5 * r.a5) AS m14_move
    FROM running AS r
    GROUP BY
      r.ds,
      r.group_id
  ), leavers AS (
    SELECT
      f.unit_id,
      f.group_id,
      CAST(f.crossover_at AS DATE) AS leaves_ds
    FROM "statsig_staging"."first_exposures_123" AS f
    WHERE
      f.crossover AND TRUE AND CAST(f.crossover_at AS DATE) > CAST('2026-01-03' AS DATE)
  ), leaver_activity AS (
    SELECT
      l.unit_id,
      l.group_id,
      l.leaves_ds,
      u.ds,
      COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0,
      COALESCE(u.a1, CAST(0 AS DOUBLE)) AS a1,
      COALESCE(u.a2, CAST(0 AS DOUBLE)) AS a2,
      COALESCE(u.a3, CAST(0 AS DOUBLE)) AS a3,
      COALESCE(u.a4, CAST(0 AS DOUBLE)) AS a4,
      COALESCE(u.a5, CAST(0 AS DOUBLE)) AS a5
    FROM (
      SELECT
        b.unit_id,
        b.ds,
        SUM(b.a0) AS a0,
        SUM(b.a1) AS a1,
        SUM(b.a2) AS a2,
        SUM(b.a3) AS a3,
        SUM(b.a4) AS a4,
        SUM(b.a5) AS a5
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.count_59959d15 AS DOUBLE) AS a0,
          CAST(NULL AS DOUBLE) AS a1,
          CAST(u.records_usd_ebe8be74 AS DOUBLE) AS a2,
          CAST(NULL AS DOUBLE) AS a3,
          CAST(u.sum_usd_21961929 AS DOUBLE) AS a4,
          CAST(u.sum_usd_6644efa2 AS DOUBLE) AS a5
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.count_59959d15,
            u.records_usd_ebe8be74,
            u.sum_usd_21961929,
            u.sum_usd_6644efa2
          FROM "statsig_staging"."unit_day_metrics_123_events" AS u
        ) AS u
        UNION ALL
        SELECT
          u.unit_id,
          u.ds,
          CAST(NULL AS DOUBLE) AS a0,
          CAST(u.count_b3dcc3bb AS DOUBLE) AS a1,
          CAST(NULL AS DOUBLE) AS a2,
          CAST(u.sum_seconds_402b9b31 AS DOUBLE) AS a3,
          CAST(NULL AS DOUBLE) AS a4,
          CAST(NULL AS DOUBLE) AS a5
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.count_b3dcc3bb,
            u.sum_seconds_402b9b31
          FROM "statsig_staging"."unit_day_metrics_123_visits" AS u
        ) AS u
      ) AS b
      GROUP BY
        b.unit_id,
        b.ds
    ) AS u
    JOIN leavers AS l
      ON l.unit_id = u.unit_id AND u.ds < l.leaves_ds
  ), leaver_running AS (
    SELECT
      a.group_id,
      a.ds,
      COALESCE(LEAD(a.ds) OVER (PARTITION BY a.unit_id ORDER BY a.ds), a.leaves_ds) AS until_ds,
      a.a0,
      SUM(a.a0) OVER (
        PARTITION BY a.unit_id
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a0_total,
      a.a1,
      SUM(a.a1) OVER (
        PARTITION BY a.unit_id
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a1_total,
      a.a2,
      SUM(a.a2) OVER (
        PARTITION BY a.unit_id
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a2_total,
      a.a3,
      SUM(a.a3) OVER (
        PARTITION BY a.unit_id
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a3_total,
      a.a4,
      SUM(a.a4) OVER (
        PARTITION BY a.unit_id
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a4_total,
      a.a5,
      SUM(a.a5) OVER (
        PARTITION BY a.unit_id
        ORDER BY a.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS a5_total
    FROM leaver_activity AS a
  ), leaver_moments AS (
    SELECT
      d.ds,
      r.group_id,
      SUM(CASE WHEN d.ds = r.ds THEN r.a0 END) AS m0_daily,
      SUM(r.a0_total) AS m0_standing,
      SUM(
        CASE
          WHEN d.ds = r.ds
          THEN CASE WHEN r.a0 > CAST(0 AS DOUBLE) THEN CAST(1 AS DOUBLE) ELSE CAST(0 AS DOUBLE) END
        END
      ) AS m1_daily,
      SUM(
        CASE
          WHEN r.a0_total > CAST(0 AS DOUBLE)
          THEN CAST(1 AS DOUBLE)
          ELSE CAST(0 AS DOUBLE)
        END
      ) AS m1_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a0 * r.a0 END) AS m2_daily,
      SUM(r.a0_total * r.a0_total) AS m2_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a1 END) AS m3_daily,
      SUM(r.a1_total) AS m3_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a1 * r.a1 END) AS m4_daily,
      SUM(r.a1_total * r.a1_total) AS m4_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a2 END) AS m5_daily,
      SUM(r.a2_total) AS m5_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a2 * r.a2 END) AS m6_daily,
      SUM(r.a2_total * r.a2_total) AS m6_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a3 END) AS m7_daily,
      SUM(r.a3_total) AS m7_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a3 * r.a3 END) AS m8_daily,
      SUM(r.a3_total * r.a3_total) AS m8_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a4 END) AS m9_daily,
      SUM(r.a4_total) AS m9_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a4 * r.a2 END) AS m10_daily,
      SUM(r.a4_total * r.a2_total) AS m10_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a4 * r.a4 END) AS m11_daily,
      SUM(r.a4_total * r.a4_total) AS m11_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a5 END) AS m12_daily,
      SUM(r.a5_total) AS m12_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a5 * r.a1 END) AS m13_daily,
      SUM(r.a5_total * r.a1_total) AS m13_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a5 * r.a5 END) AS m14_daily,
      SUM(r.a5_total * r.a5_total) AS m14_standing
    FROM leaver_running AS r
    JOIN (
      SELECT
        d.ds
      FROM (VALUES
        (CAST('2026-01-03' AS DATE)),
        (CAST('2026-01-04' AS DATE))) AS d(ds)
    ) AS d
      ON d.ds >= r.ds AND d.ds < r.until_ds
    GROUP BY
      d.ds,
      r.group_id
  ), series AS (
    SELECT
      s.ds,
      s.group_id,
      s.cumulative_exposures AS units,
      COALESCE(m.m0_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m0_daily, CAST(0 AS DOUBLE)) AS m0_daily,
      SUM(COALESCE(m.m0_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m0_standing, CAST(0 AS DOUBLE)) AS m0_cumulative,
      COALESCE(m.m1_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m1_daily, CAST(0 AS DOUBLE)) AS m1_daily,
      SUM(COALESCE(m.m1_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m1_standing, CAST(0 AS DOUBLE)) AS m1_cumulative,
      COALESCE(m.m2_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m2_daily, CAST(0 AS DOUBLE)) AS m2_daily,
      SUM(COALESCE(m.m2_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m2_standing, CAST(0 AS DOUBLE)) AS m2_cumulative,
      COALESCE(m.m3_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m3_daily, CAST(0 AS DOUBLE)) AS m3_daily,
      SUM(COALESCE(m.m3_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m3_standing, CAST(0 AS DOUBLE)) AS m3_cumulative,
      COALESCE(m.m4_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m4_daily, CAST(0 AS DOUBLE)) AS m4_daily,
      SUM(COALESCE(m.m4_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m4_standing, CAST(0 AS DOUBLE)) AS m4_cumulative,
      COALESCE(m.m5_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m5_daily, CAST(0 AS DOUBLE)) AS m5_daily,
      SUM(COALESCE(m.m5_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m5_standing, CAST(0 AS DOUBLE)) AS m5_cumulative,
      COALESCE(m.m6_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m6_daily, CAST(0 AS DOUBLE)) AS m6_daily,
      SUM(COALESCE(m.m6_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m6_standing, CAST(0 AS DOUBLE)) AS m6_cumulative,
      COALESCE(m.m7_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m7_daily, CAST(0 AS DOUBLE)) AS m7_daily,
      SUM(COALESCE(m.m7_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m7_standing, CAST(0 AS DOUBLE)) AS m7_cumulative,
      COALESCE(m.m8_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m8_daily, CAST(0 AS DOUBLE)) AS m8_daily,
      SUM(COALESCE(m.m8_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m8_standing, CAST(0 AS DOUBLE)) AS m8_cumulative,
      COALESCE(m.m9_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m9_daily, CAST(0 AS DOUBLE)) AS m9_daily,
      SUM(COALESCE(m.m9_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m9_standing, CAST(0 AS DOUBLE)) AS m9_cumulative,
      COALESCE(m.m10_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m10_daily, CAST(0 AS DOUBLE)) AS m10_daily,
      SUM(COALESCE(m.m10_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m10_standing, CAST(0 AS DOUBLE)) AS m10_cumulative,
      COALESCE(m.m11_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m11_daily, CAST(0 AS DOUBLE)) AS m11_daily,
      SUM(COALESCE(m.m11_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m11_standing, CAST(0 AS DOUBLE)) AS m11_cumulative,
      COALESCE(m.m12_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m12_daily, CAST(0 AS DOUBLE)) AS m12_daily,
      SUM(COALESCE(m.m12_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m12_standing, CAST(0 AS DOUBLE)) AS m12_cumulative,
      COALESCE(m.m13_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m13_daily, CAST(0 AS DOUBLE)) AS m13_daily,
      SUM(COALESCE(m.m13_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m13_standing, CAST(0 AS DOUBLE)) AS m13_cumulative,
      COALESCE(m.m14_daily, CAST(0 AS DOUBLE)) + COALESCE(l.m14_daily, CAST(0 AS DOUBLE)) AS m14_daily,
      SUM(COALESCE(m.m14_move, CAST(0 AS DOUBLE))) OVER (
        PARTITION BY s.group_id
        ORDER BY s.ds
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE(l.m14_standing, CAST(0 AS DOUBLE)) AS m14_cumulative
    FROM "statsig_staging"."exposures_summary_123" AS s
    LEFT JOIN moments AS m
      ON m.ds = s.ds AND m.group_id = s.group_id
    LEFT JOIN leaver_moments AS l
      ON l.ds = s.ds AND l.group_id = s.group_id
  ), by_rollup AS (
    SELECT
      r.rollup,
      t.ds,
      t.group_id,
      t.units,
      CASE WHEN r.rollup = 'daily' THEN t.m0_daily ELSE t.m0_cumulative END AS m0,
      CASE WHEN r.rollup = 'daily' THEN t.m1_daily ELSE t.m1_cumulative END AS m1,
      CASE WHEN r.rollup = 'daily' THEN t.m2_daily ELSE t.m2_cumulative END AS m2,
      CASE WHEN r.rollup = 'daily' THEN t.m3_daily ELSE t.m3_cumulative END AS m3,
      CASE WHEN r.rollup = 'daily' THEN t.m4_daily ELSE t.m4_cumulative END AS m4,
      CASE WHEN r.rollup = 'daily' THEN t.m5_daily ELSE t.m5_cumulative END AS m5,
      CASE WHEN r.rollup = 'daily' THEN t.m6_daily ELSE t.m6_cumulative END AS m6,
      CASE WHEN r.rollup = 'daily' THEN t.m7_daily ELSE t.m7_cumulative END AS m7,
      CASE WHEN r.rollup = 'daily' THEN t.m8_daily ELSE t.m8_cumulative END AS m8,
      CASE WHEN r.rollup = 'daily' THEN t.m9_daily ELSE t.m9_cumulative END AS m9,
      CASE WHEN r.rollup = 'daily' THEN t.m10_daily ELSE t.m10_cumulative END AS m10,
      CASE WHEN r.rollup = 'daily' THEN t.m11_daily ELSE t.m11_cumulative END AS m11,
      CASE WHEN r.rollup = 'daily' THEN t.m12_daily ELSE t.m12_cumulative END AS m12,
      CASE WHEN r.rollup = 'daily' THEN t.m13_daily ELSE t.m13_cumulative END AS m13,
      CASE WHEN r.rollup = 'daily' THEN t.m14_daily ELSE t.m14_cumulative END AS m14
    FROM series AS t
    CROSS JOIN (
      SELECT
        r.rollup
      FROM (VALUES
        ('daily'),
        ('cumulative')) AS r(rollup)
    ) AS r
  )
  SELECT
    k.rollup,
    t.ds,
    CAST(NULL AS BIGINT) AS day_index,
    k.metric,
    CAST(NULL AS VARCHAR) AS dimension,
    CAST(NULL AS VARCHAR) AS dimension_value,
    t.group_id,
    t.units,
    CASE k.number
      WHEN 0
      THEN t.m0
      WHEN 1
      THEN t.m12
      WHEN 2
      THEN t.m9
      WHEN 3
      THEN t.m1
      WHEN 4
      THEN t.m12
      WHEN 5
      THEN t.m7
    END AS total,
    CASE k.number
      WHEN 0
      THEN t.m2
      WHEN 1
      THEN t.m14
      WHEN 2
      THEN t.m11
      WHEN 3
      THEN t.m1
      WHEN 4
      THEN t.m14
      WHEN 5
      THEN t.m8
    END AS total_squares,
    CASE k.number
      WHEN 0
      THEN CAST(t.units AS DOUBLE)
      WHEN 1
      THEN CAST(t.units AS DOUBLE)
      WHEN 2
      THEN t.m5
      WHEN 3
      THEN CAST(t.units AS DOUBLE)
      WHEN 4
      THEN t.m3
      WHEN 5
      THEN CAST(t.units AS DOUBLE)
    END AS divisor,
    CASE k.number WHEN 2 THEN t.m5 WHEN 4 THEN t.m3 END AS denominator_total,
    CASE k.number WHEN 2 THEN t.m6 WHEN 4 THEN t.m4 END AS denominator_total_squares,
    CASE k.number WHEN 2 THEN t.m10 WHEN 4 THEN t.m13 END AS numerator_denominator_product,
    CAST(NULL AS DOUBLE) AS covariate_total,
    CAST(NULL AS DOUBLE) AS covariate_total_squares,
    CAST(NULL AS DOUBLE) AS covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_covariate_total,
    CAST(NULL AS DOUBLE) AS denominator_covariate_total_squares,
    CAST(NULL AS DOUBLE) AS numerator_denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS covariates_product,
    CAST(NULL AS DOUBLE) AS percentile
  FROM by_rollup AS t
  JOIN (
    SELECT
      k.rollup,
      k.metric,
      k.number
    FROM (VALUES
      ('daily', 'purchases', 0),
      ('daily', 'revenue', 1),
      ('daily', 'order_value', 2),
      ('daily', 'purchasers', 3),
      ('daily', 'revenue_per_visit', 4),
      ('daily', 'seconds', 5),
      ('cumulative', 'purchases', 0),
      ('cumulative', 'revenue', 1),
      ('cumulative', 'order_value', 2),
      ('cumulative', 'purchasers', 3),
      ('cumulative', 'revenue_per_visit', 4),
      ('cumulative', 'seconds', 5)) AS k(rollup, metric, number)
  ) AS k
    ON k.rollup = t.rollup
) AS z
WHERE
  z.ds >= CAST('2026-01-03' AS DATE)
  OR NOT z.group_id IN (
    SELECT DISTINCT
      p.group_id
    FROM "statsig_staging"."results_123" FOR VERSION AS OF 10 AS p
  )
  OR z.ds IS NULL
UNION ALL
SELECT
  p.experiment_id,
  p.rollup,
  p.ds,
  p.day_index,
  p.metric,
  p.dimension,
  p.dimension_value,
  p.group_id,
  p.units,
  p.total,
  p.total_squares,
  p.mean,
  p.variance,
  p.denominator_total,
  p.denominator_total_squares,
  p.numerator_denominator_product,
  p.covariate_total,
  p.covariate_total_squares,
  p.covariate_product,
  p.denominator_covariate_total,
  p.denominator_covariate_total_squares,
  p.numerator_denominator_covariate_product,
  p.denominator_covariate_product,
  p.denominator_denominator_covariate_product,
  p.covariates_product
FROM "statsig_staging"."results_123" FOR VERSION AS OF 10 AS p
WHERE
  p.ds < CAST('2026-01-03' AS DATE)
  AND p.group_id IN (
    SELECT
      s.group_id
    FROM "statsig_staging"."exposures_summary_123" AS s
  );
