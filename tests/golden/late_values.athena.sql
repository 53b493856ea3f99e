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
  (
    "s"."kind" = 'visit'
  ) AS where_32d52b63,
  CASE
    WHEN IS_FINITE(CAST((
      (
        "s"."amount_cents" / 100.0
      )
    ) AS DOUBLE))
    THEN CAST((
      (
        "s"."amount_cents" / 100.0
      )
    ) AS DOUBLE)
  END AS value_18aa0787,
  CAST((
    "s"."kind"
  ) AS VARCHAR) AS text_5625dbd3,
  (
    "s"."kind"
  ) AS text_a814a799
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
  (
    "s"."kind" = 'visit'
  ) AS where_32d52b63,
  CASE
    WHEN IS_FINITE(CAST((
      (
        "s"."amount_cents" / 100.0
      )
    ) AS DOUBLE))
    THEN CAST((
      (
        "s"."amount_cents" / 100.0
      )
    ) AS DOUBLE)
  END AS value_18aa0787,
  CAST((
    "s"."kind"
  ) AS VARCHAR) AS text_5625dbd3,
  (
    "s"."kind"
  ) AS text_a814a799
FROM "shop"."events" AS s
WHERE
  (
    "s"."ts" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP(6))
    AND "s"."ts" < CAST('2026-01-04 00:00:00' AS TIMESTAMP(6))
  );

-- unit_day_metrics_events: CreateTable unit_day_metrics_123_events
-- fills 2026-01-01
-- the same with {'ds': '2026-01-02', 'day_start': '2026-01-02 00:00:00', 'day_end': '2026-01-03 00:00:00'}
-- the same with {'ds': '2026-01-03', 'day_start': '2026-01-03 00:00:00', 'day_end': '2026-01-04 00:00:00'}
-- the same with {'ds': '2026-01-04', 'day_start': '2026-01-04 00:00:00', 'day_end': '2026-01-05 00:00:00'}
SELECT
  e.unit_id,
  e.ds,
  SUM(e.value_18aa0787) AS sum_usd_6644efa2
FROM (
  SELECT
    "s"."user_id" AS unit_id,
    "s"."ts" AS occurred_at,
    CAST('2026-01-01' AS DATE) AS ds,
    CASE
      WHEN IS_FINITE(CAST((
        (
          "s"."amount_cents" / 100.0
        )
      ) AS DOUBLE))
      THEN CAST((
        (
          "s"."amount_cents" / 100.0
        )
      ) AS DOUBLE)
    END AS value_18aa0787
  FROM "shop"."events" AS s
  WHERE
    (
      "s"."ts" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP(6))
      AND "s"."ts" < CAST('2026-01-02 00:00:00' AS TIMESTAMP(6))
    )
) AS e
JOIN "statsig_staging"."first_exposures_123" AS f
  ON f.unit_id = e.unit_id
  AND e.occurred_at >= f.first_exposure
  AND f.first_exposure_ds <= CAST('2026-01-01' AS DATE)
GROUP BY
  e.unit_id,
  e.ds
HAVING
  COUNT(e.value_18aa0787) > 0;

-- distinct_values_events: ReplacePartitions distinct_values_123_events 2026-01-04
-- fills 2026-01-04
WITH found AS (
  SELECT
    e.unit_id,
    e.ds,
    k.aggregate,
    CASE k.number WHEN 0 THEN e.text_a814a799 END AS value
  FROM (
    SELECT
      m.unit_id,
      m.occurred_at,
      m.ds,
      m.text_a814a799
    FROM "statsig_staging"."metric_rows_123_events" AS m
    WHERE
      m.ds = CAST('2026-01-04' AS DATE)
  ) AS e
  JOIN "statsig_staging"."first_exposures_123" AS f
    ON f.unit_id = e.unit_id
    AND e.occurred_at >= f.first_exposure
    AND f.first_exposure_ds <= CAST('2026-01-04' AS DATE)
  CROSS JOIN (
    SELECT
      k.number,
      k.aggregate
    FROM (VALUES
      (0, 'distinct_kind_b591b6a9')) AS k(number, aggregate)
  ) AS k
  WHERE
    CASE k.number WHEN 0 THEN NOT e.text_a814a799 IS NULL END
)
SELECT
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value,
  COUNT(*) AS occurrences
FROM found AS v
GROUP BY
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value;

-- late_distinct_values_events: guard
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

-- late_distinct_values_events: Merge distinct_values_123_events by unit_id, ds, aggregate, value, deleting where is_deleted
-- fills 2026-01-03
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  COALESCE(n.aggregate, o.aggregate) AS aggregate,
  COALESCE(n.value, o.value) AS value,
  n.unit_id IS NULL AS is_deleted,
  n.occurrences
FROM (
  WITH found AS (
    SELECT
      e.unit_id,
      e.ds,
      k.aggregate,
      CASE k.number WHEN 0 THEN e.text_a814a799 END AS value
    FROM (
      SELECT
        m.unit_id,
        m.occurred_at,
        m.ds,
        m.text_a814a799
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
    CROSS JOIN (
      SELECT
        k.number,
        k.aggregate
      FROM (VALUES
        (0, 'distinct_kind_b591b6a9')) AS k(number, aggregate)
    ) AS k
    WHERE
      CASE k.number WHEN 0 THEN NOT e.text_a814a799 IS NULL END
  )
  SELECT
    v.unit_id,
    v.ds,
    v.aggregate,
    v.value,
    COUNT(*) AS occurrences
  FROM found AS v
  GROUP BY
    v.unit_id,
    v.ds,
    v.aggregate,
    v.value
) AS n
FULL JOIN (
  SELECT
    m.unit_id,
    m.ds,
    m.aggregate,
    m.value
  FROM "statsig_staging"."distinct_values_123_events" AS m
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
  ON o.unit_id = n.unit_id
  AND o.ds = n.ds
  AND o.aggregate = n.aggregate
  AND o.value = n.value;

-- percentile_values_events: ReplacePartitions percentile_values_123_events 2026-01-04
-- fills 2026-01-04
WITH found AS (
  SELECT
    e.unit_id,
    e.ds,
    k.aggregate,
    CASE k.number WHEN 0 THEN e.value_18aa0787 END AS value
  FROM (
    SELECT
      m.unit_id,
      m.occurred_at,
      m.ds,
      m.value_18aa0787
    FROM "statsig_staging"."metric_rows_123_events" AS m
    WHERE
      m.ds = CAST('2026-01-04' AS DATE)
  ) AS e
  JOIN "statsig_staging"."first_exposures_123" AS f
    ON f.unit_id = e.unit_id
    AND e.occurred_at >= f.first_exposure
    AND f.first_exposure_ds <= CAST('2026-01-04' AS DATE)
  CROSS JOIN (
    SELECT
      k.number,
      k.aggregate
    FROM (VALUES
      (0, 'values_usd_14b2cb04')) AS k(number, aggregate)
  ) AS k
  WHERE
    CASE k.number WHEN 0 THEN NOT e.value_18aa0787 IS NULL END
)
SELECT
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value,
  COUNT(*) AS occurrences
FROM found AS v
GROUP BY
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value;

-- late_percentile_values_events: guard
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

-- late_percentile_values_events: Merge percentile_values_123_events by unit_id, ds, aggregate, value, deleting where is_deleted
-- fills 2026-01-03
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  COALESCE(n.aggregate, o.aggregate) AS aggregate,
  COALESCE(n.value, o.value) AS value,
  n.unit_id IS NULL AS is_deleted,
  n.occurrences
FROM (
  WITH found AS (
    SELECT
      e.unit_id,
      e.ds,
      k.aggregate,
      CASE k.number WHEN 0 THEN e.value_18aa0787 END AS value
    FROM (
      SELECT
        m.unit_id,
        m.occurred_at,
        m.ds,
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
    CROSS JOIN (
      SELECT
        k.number,
        k.aggregate
      FROM (VALUES
        (0, 'values_usd_14b2cb04')) AS k(number, aggregate)
    ) AS k
    WHERE
      CASE k.number WHEN 0 THEN NOT e.value_18aa0787 IS NULL END
  )
  SELECT
    v.unit_id,
    v.ds,
    v.aggregate,
    v.value,
    COUNT(*) AS occurrences
  FROM found AS v
  GROUP BY
    v.unit_id,
    v.ds,
    v.aggregate,
    v.value
) AS n
FULL JOIN (
  SELECT
    m.unit_id,
    m.ds,
    m.aggregate,
    m.value
  FROM "statsig_staging"."percentile_values_123_events" AS m
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
  ON o.unit_id = n.unit_id
  AND o.ds = n.ds
  AND o.aggregate = n.aggregate
  AND o.value = n.value;

-- funnel_events_events: ReplacePartitions funnel_events_123_events 2026-01-04
-- fills 2026-01-04
WITH found AS (
  SELECT
    e.unit_id,
    e.ds,
    k.aggregate,
    e.occurred_at AS value,
    CASE k.number WHEN 0 THEN e.text_a814a799 WHEN 1 THEN e.text_a814a799 END AS session
  FROM (
    SELECT
      m.unit_id,
      m.occurred_at,
      m.ds,
      m.where_0dc0dabe,
      m.where_32d52b63,
      m.text_a814a799
    FROM "statsig_staging"."metric_rows_123_events" AS m
    WHERE
      m.ds = CAST('2026-01-04' AS DATE)
  ) AS e
  JOIN "statsig_staging"."first_exposures_123" AS f
    ON f.unit_id = e.unit_id
    AND e.occurred_at >= f.first_exposure
    AND f.first_exposure_ds <= CAST('2026-01-04' AS DATE)
  CROSS JOIN (
    SELECT
      k.number,
      k.aggregate
    FROM (VALUES
      (0, 'moments_4d70fa7f'),
      (1, 'moments_a6e7af8c')) AS k(number, aggregate)
  ) AS k
  WHERE
    CASE k.number
      WHEN 0
      THEN e.where_32d52b63 AND NOT e.text_a814a799 IS NULL
      WHEN 1
      THEN e.where_0dc0dabe AND NOT e.text_a814a799 IS NULL
    END
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
  v.session;

-- late_funnel_events_events: guard
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

-- late_funnel_events_events: Merge funnel_events_123_events by unit_id, ds, aggregate, value, session, deleting where is_deleted
-- fills 2026-01-03
SELECT
  COALESCE(n.unit_id, o.unit_id) AS unit_id,
  COALESCE(n.ds, o.ds) AS ds,
  COALESCE(n.aggregate, o.aggregate) AS aggregate,
  COALESCE(n.value, o.value) AS value,
  n.unit_id IS NULL AS is_deleted,
  COALESCE(n.session, o.session) AS session,
  n.occurrences
FROM (
  WITH found AS (
    SELECT
      e.unit_id,
      e.ds,
      k.aggregate,
      e.occurred_at AS value,
      CASE k.number WHEN 0 THEN e.text_a814a799 WHEN 1 THEN e.text_a814a799 END AS session
    FROM (
      SELECT
        m.unit_id,
        m.occurred_at,
        m.ds,
        m.where_0dc0dabe,
        m.where_32d52b63,
        m.text_a814a799
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
    CROSS JOIN (
      SELECT
        k.number,
        k.aggregate
      FROM (VALUES
        (0, 'moments_4d70fa7f'),
        (1, 'moments_a6e7af8c')) AS k(number, aggregate)
    ) AS k
    WHERE
      CASE k.number
        WHEN 0
        THEN e.where_32d52b63 AND NOT e.text_a814a799 IS NULL
        WHEN 1
        THEN e.where_0dc0dabe AND NOT e.text_a814a799 IS NULL
      END
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
) AS n
FULL JOIN (
  SELECT
    m.unit_id,
    m.ds,
    m.aggregate,
    m.value,
    m.session
  FROM "statsig_staging"."funnel_events_123_events" AS m
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
  ON (
    o.unit_id = n.unit_id
    AND o.ds = n.ds
    AND o.aggregate = n.aggregate
    AND o.value = n.value
  )
  AND o.session = n.session;

-- level_values_events: CreateTable level_values_123_events
-- fills 2026-01-01
-- the same with {'ds': '2026-01-02', 'day_start': '2026-01-02 00:00:00', 'day_end': '2026-01-03 00:00:00'}
-- the same with {'ds': '2026-01-03', 'day_start': '2026-01-03 00:00:00', 'day_end': '2026-01-04 00:00:00'}
-- the same with {'ds': '2026-01-04', 'day_start': '2026-01-04 00:00:00', 'day_end': '2026-01-05 00:00:00'}
WITH found AS (
  SELECT
    e.unit_id,
    e.ds,
    k.aggregate,
    k.together,
    COALESCE(CASE k.number WHEN 0 THEN e.text_5625dbd3 END, '') AS value,
    CASE k.number WHEN 0 THEN e.value_18aa0787 END AS number
  FROM (
    SELECT
      "s"."user_id" AS unit_id,
      "s"."ts" AS occurred_at,
      CAST('2026-01-01' AS DATE) AS ds,
      CASE
        WHEN IS_FINITE(CAST((
          (
            "s"."amount_cents" / 100.0
          )
        ) AS DOUBLE))
        THEN CAST((
          (
            "s"."amount_cents" / 100.0
          )
        ) AS DOUBLE)
      END AS value_18aa0787,
      CAST((
        "s"."kind"
      ) AS VARCHAR) AS text_5625dbd3
    FROM "shop"."events" AS s
    WHERE
      (
        "s"."ts" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP(6))
        AND "s"."ts" < CAST('2026-01-02 00:00:00' AS TIMESTAMP(6))
      )
  ) AS e
  JOIN "statsig_staging"."first_exposures_123" AS f
    ON f.unit_id = e.unit_id
    AND e.occurred_at >= f.first_exposure
    AND f.first_exposure_ds <= CAST('2026-01-01' AS DATE)
  CROSS JOIN (
    SELECT
      k.number,
      k.aggregate,
      k.together
    FROM (VALUES
      (0, 'sum_usd_d52141e8', 'sum')) AS k(number, aggregate, together)
  ) AS k
  WHERE
    CASE k.number WHEN 0 THEN NOT e.value_18aa0787 IS NULL END
)
SELECT
  v.unit_id,
  v.ds,
  v.aggregate,
  v.value,
  CASE v.together
    WHEN 'sum'
    THEN SUM(v.number)
    WHEN 'min'
    THEN MIN(v.number)
    ELSE MAX(v.number)
  END AS number
FROM found AS v
GROUP BY
  v.unit_id,
  v.ds,
  v.aggregate,
  v.together,
  v.value;

-- unit_totals_events: Replace unit_totals_123_events
SELECT
  u.unit_id,
  CAST('2026-01-04' AS DATE) AS ds,
  SUM(u.sum_usd_6644efa2) AS sum_usd_6644efa2
FROM (
  SELECT
    u.unit_id,
    u.ds,
    u.sum_usd_6644efa2
  FROM "statsig_staging"."unit_day_metrics_123_events" AS u
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
      u.ds,
      COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0,
      COALESCE(u.a1, CAST(0 AS DOUBLE)) AS a1,
      COALESCE(u.a2, CAST(0 AS DOUBLE)) AS a2
    FROM (
      SELECT
        b.unit_id,
        b.ds,
        SUM(b.a0) AS a0,
        SUM(b.a1) AS a1,
        SUM(b.a2) AS a2
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(NULL AS DOUBLE) AS a0,
          CAST(NULL AS DOUBLE) AS a1,
          CAST(u.sum_usd_6644efa2 AS DOUBLE) AS a2
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.sum_usd_6644efa2
          FROM "statsig_staging"."unit_day_metrics_123_events" AS u
        ) AS u
        UNION ALL
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.step_1 AS DOUBLE) AS a0,
          CAST(u.step_2 AS DOUBLE) AS a1,
          CAST(NULL AS DOUBLE) AS a2
        FROM (
          WITH reached AS (
            SELECT
              r.unit_id,
              k.step,
              CASE k.step WHEN 1 THEN r.ds_1 WHEN 2 THEN r.ds_2 END AS ds,
              CAST(DATE_DIFF('MILLISECOND', r.entered_at, r.reached_at) AS DOUBLE) / 1000 AS seconds
            FROM (
              SELECT
                p.unit_id,
                p.session,
                p.entered_at,
                MIN(e.value) AS reached_at,
                CASE
                  WHEN NOT MIN(e.value) IS NULL
                  THEN GREATEST(CAST(MIN(e.value) AS DATE), p.ds_1)
                END AS ds_2,
                p.ds_1
              FROM (
                SELECT
                  e.unit_id,
                  e.session,
                  MIN(e.value) AS entered_at,
                  MIN(e.value) AS reached_at,
                  CAST(MIN(e.value) AS DATE) AS ds_1
                FROM "statsig_staging"."funnel_events_123_events" AS e
                WHERE
                  e.aggregate = 'moments_4d70fa7f'
                GROUP BY
                  e.unit_id,
                  e.session
              ) AS p
              LEFT JOIN "statsig_staging"."funnel_events_123_events" AS e
                ON e.unit_id = p.unit_id
                AND e.session = p.session
                AND e.aggregate = 'moments_a6e7af8c'
                AND e.value > p.reached_at
                AND e.value < DATE_ADD('MINUTE', 30, p.reached_at)
                AND e.value < DATE_ADD('DAY', 7, p.entered_at)
              GROUP BY
                p.unit_id,
                p.session,
                p.entered_at,
                p.ds_1
            ) AS r
            CROSS JOIN (
              SELECT
                k.step
              FROM (VALUES
                (1),
                (2)) AS k(step)
            ) AS k
          )
          SELECT
            d.unit_id,
            d.ds,
            SUM(CASE WHEN d.step = 1 THEN 1 END) AS step_1,
            SUM(CASE WHEN d.step = 2 THEN 1 END) AS step_2,
            SUM(CASE WHEN d.step = 2 THEN d.seconds END) AS seconds
          FROM reached AS d
          WHERE
            d.ds <= CAST('2026-01-04' AS DATE)
          GROUP BY
            d.unit_id,
            d.ds
        ) AS u
      ) AS b
      GROUP BY
        b.unit_id,
        b.ds
    ) AS u
    JOIN members AS m
      ON m.unit_id = u.unit_id
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
      ) AS a2_total
    FROM activity AS a
  ), moments AS (
    SELECT
      r.ds,
      r.group_id,
      SUM(r.a0) AS m0_daily,
      SUM(r.a0) AS m0_move,
      SUM(r.a0 * r.a0) AS m1_daily,
      SUM(r.a0 * r.a0_total + r.a0_total * r.a0 - r.a0 * r.a0) AS m1_move,
      SUM(r.a1) AS m2_daily,
      SUM(r.a1) AS m2_move,
      SUM(r.a1 * r.a0) AS m3_daily,
      SUM(r.a1 * r.a0_total + r.a1_total * r.a0 - r.a1 * r.a0) AS m3_move,
      SUM(r.a1 * r.a1) AS m4_daily,
      SUM(r.a1 * r.a1_total + r.a1_total * r.a1 - r.a1 * r.a1) AS m4_move,
      SUM(r.a2) AS m5_daily,
      SUM(r.a2) AS m5_move,
      SUM(r.a2 * r.a2) AS m6_daily,
      SUM(r.a2 * r.a2_total + r.a2_total * r.a2 - r.a2 * r.a2) AS m6_move
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
      f.crossover AND TRUE AND CAST(f.crossover_at AS DATE) > CAST('2026-01-01' AS DATE)
  ), leaver_activity AS (
    SELECT
      l.unit_id,
      l.group_id,
      l.leaves_ds,
      u.ds,
      COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0,
      COALESCE(u.a1, CAST(0 AS DOUBLE)) AS a1,
      COALESCE(u.a2, CAST(0 AS DOUBLE)) AS a2
    FROM (
      SELECT
        b.unit_id,
        b.ds,
        SUM(b.a0) AS a0,
        SUM(b.a1) AS a1,
        SUM(b.a2) AS a2
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(NULL AS DOUBLE) AS a0,
          CAST(NULL AS DOUBLE) AS a1,
          CAST(u.sum_usd_6644efa2 AS DOUBLE) AS a2
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.sum_usd_6644efa2
          FROM "statsig_staging"."unit_day_metrics_123_events" AS u
        ) AS u
        UNION ALL
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.step_1 AS DOUBLE) AS a0,
          CAST(u.step_2 AS DOUBLE) AS a1,
          CAST(NULL AS DOUBLE) AS a2
        FROM (
          WITH reached AS (
            SELECT
              r.unit_id,
              k.step,
              CASE k.step WHEN 1 THEN r.ds_1 WHEN 2 THEN r.ds_2 END AS ds,
              CAST(DATE_DIFF('MILLISECOND', r.entered_at, r.reached_at) AS DOUBLE) / 1000 AS seconds
            FROM (
              SELECT
                p.unit_id,
                p.session,
                p.entered_at,
                MIN(e.value) AS reached_at,
                CASE
                  WHEN NOT MIN(e.value) IS NULL
                  THEN GREATEST(CAST(MIN(e.value) AS DATE), p.ds_1)
                END AS ds_2,
                p.ds_1
              FROM (
                SELECT
                  e.unit_id,
                  e.session,
                  MIN(e.value) AS entered_at,
                  MIN(e.value) AS reached_at,
                  CAST(MIN(e.value) AS DATE) AS ds_1
                FROM "statsig_staging"."funnel_events_123_events" AS e
                WHERE
                  e.aggregate = 'moments_4d70fa7f'
                GROUP BY
                  e.unit_id,
                  e.session
              ) AS p
              LEFT JOIN "statsig_staging"."funnel_events_123_events" AS e
                ON e.unit_id = p.unit_id
                AND e.session = p.session
                AND e.aggregate = 'moments_a6e7af8c'
                AND e.value > p.reached_at
                AND e.value < DATE_ADD('MINUTE', 30, p.reached_at)
                AND e.value < DATE_ADD('DAY', 7, p.entered_at)
              GROUP BY
                p.unit_id,
                p.session,
                p.entered_at,
                p.ds_1
            ) AS r
            CROSS JOIN (
              SELECT
                k.step
              FROM (VALUES
                (1),
                (2)) AS k(step)
            ) AS k
          )
          SELECT
            d.unit_id,
            d.ds,
            SUM(CASE WHEN d.step = 1 THEN 1 END) AS step_1,
            SUM(CASE WHEN d.step = 2 THEN 1 END) AS step_2,
            SUM(CASE WHEN d.step = 2 THEN d.seconds END) AS seconds
          FROM reached AS d
          WHERE
            d.ds <= CAST('2026-01-04' AS DATE)
          GROUP BY
            d.unit_id,
            d.ds
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
      ) AS a2_total
    FROM leaver_activity AS a
  ), leaver_moments AS (
    SELECT
      d.ds,
      r.group_id,
      SUM(CASE WHEN d.ds = r.ds THEN r.a0 END) AS m0_daily,
      SUM(r.a0_total) AS m0_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a0 * r.a0 END) AS m1_daily,
      SUM(r.a0_total * r.a0_total) AS m1_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a1 END) AS m2_daily,
      SUM(r.a1_total) AS m2_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a1 * r.a0 END) AS m3_daily,
      SUM(r.a1_total * r.a0_total) AS m3_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a1 * r.a1 END) AS m4_daily,
      SUM(r.a1_total * r.a1_total) AS m4_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a2 END) AS m5_daily,
      SUM(r.a2_total) AS m5_standing,
      SUM(CASE WHEN d.ds = r.ds THEN r.a2 * r.a2 END) AS m6_daily,
      SUM(r.a2_total * r.a2_total) AS m6_standing
    FROM leaver_running AS r
    JOIN (
      SELECT
        d.ds
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
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
      ) + COALESCE(l.m6_standing, CAST(0 AS DOUBLE)) AS m6_cumulative
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
      CASE WHEN r.rollup = 'daily' THEN t.m6_daily ELSE t.m6_cumulative END AS m6
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
    CAST(CASE k.number WHEN 1 THEN 'step' WHEN 2 THEN 'step' END AS VARCHAR) AS dimension,
    CAST(CASE k.number WHEN 1 THEN '1' WHEN 2 THEN '2' END AS VARCHAR) AS dimension_value,
    t.group_id,
    t.units,
    CASE k.number WHEN 0 THEN t.m2 WHEN 1 THEN t.m0 WHEN 2 THEN t.m2 WHEN 3 THEN t.m5 END AS total,
    CASE k.number WHEN 0 THEN t.m4 WHEN 1 THEN t.m1 WHEN 2 THEN t.m4 WHEN 3 THEN t.m6 END AS total_squares,
    CASE k.number
      WHEN 0
      THEN t.m0
      WHEN 1
      THEN CAST(t.units AS DOUBLE)
      WHEN 2
      THEN t.m0
      WHEN 3
      THEN CAST(t.units AS DOUBLE)
    END AS divisor,
    CASE k.number WHEN 0 THEN t.m0 WHEN 2 THEN t.m0 END AS denominator_total,
    CASE k.number WHEN 0 THEN t.m1 WHEN 2 THEN t.m1 END AS denominator_total_squares,
    CASE k.number WHEN 0 THEN t.m3 WHEN 2 THEN t.m3 END AS numerator_denominator_product,
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
      ('daily', 'bought', 0),
      ('daily', 'bought', 1),
      ('daily', 'bought', 2),
      ('daily', 'revenue_by_kind', 3),
      ('cumulative', 'bought', 0),
      ('cumulative', 'bought', 1),
      ('cumulative', 'bought', 2),
      ('cumulative', 'revenue_by_kind', 3)) AS k(rollup, metric, number)
  ) AS k
    ON k.rollup = t.rollup
) AS z;

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
  WITH moments AS (
    SELECT
      w.point,
      w.group_id,
      SUM(w.v0) AS m0,
      SUM(w.v0 * w.v0) AS m1
    FROM (
      SELECT
        p.point,
        p.unit_id,
        p.group_id,
        p.p0 AS v0
      FROM (
        SELECT
          s.point,
          s.unit_id,
          s.group_id,
          s.a0 AS p0
        FROM (
          WITH activity AS (
            SELECT
              m.unit_id,
              m.group_id,
              m.first_exposure_ds,
              m.enters_ds,
              m.leaves_ds,
              u.ds AS ds,
              u.gone_ds AS gone_ds,
              COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0
            FROM (
              SELECT
                u.unit_id,
                u.ds,
                u.gone_ds,
                SUM(CASE WHEN u.aggregate = 'distinct_kind_b591b6a9' THEN CAST(1 AS DOUBLE) END) AS a0
              FROM (
                WITH followed AS (
                  SELECT
                    v.unit_id,
                    v.aggregate,
                    v.ds,
                    LEAD(v.ds) OVER (PARTITION BY v.unit_id, v.aggregate, v.value ORDER BY v.ds) AS next_ds
                  FROM "statsig_staging"."distinct_values_123_events" AS v
                  WHERE
                    "v"."aggregate" IN ('distinct_kind_b591b6a9')
                    AND v.ds >= CAST('2026-01-01' AS DATE)
                )
                SELECT
                  n.unit_id,
                  n.aggregate,
                  n.ds,
                  CASE
                    WHEN n.next_ds < CAST(DATE_ADD('DAY', 1, n.ds) AS DATE)
                    THEN n.next_ds
                    ELSE CAST(DATE_ADD('DAY', 1, n.ds) AS DATE)
                  END AS gone_ds
                FROM followed AS n
              ) AS u
              GROUP BY
                u.unit_id,
                u.ds,
                u.gone_ds
            ) AS u
            JOIN (
              SELECT
                f.unit_id,
                f.group_id,
                f.first_exposure_ds,
                f.first_exposure_ds AS enters_ds,
                CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
              FROM "statsig_staging"."first_exposures_123" AS f
            ) AS m
              ON m.unit_id = u.unit_id
          )
          SELECT
            d.ds AS point,
            a.unit_id,
            a.group_id,
            a.first_exposure_ds,
            SUM(a.a0) AS a0
          FROM activity AS a
          JOIN (
            SELECT
              d.ds
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE)),
              (CAST('2026-01-04' AS DATE))) AS d(ds)
          ) AS d
            ON d.ds >= a.ds AND d.ds < a.gone_ds
          WHERE
            d.ds >= a.enters_ds AND (
              a.leaves_ds IS NULL OR d.ds < a.leaves_ds
            )
          GROUP BY
            d.ds,
            a.unit_id,
            a.group_id,
            a.first_exposure_ds
        ) AS s
      ) AS p
    ) AS w
    GROUP BY
      w.point,
      w.group_id
  )
  SELECT
    k.rollup,
    g.point AS ds,
    CAST(NULL AS BIGINT) AS day_index,
    k.metric,
    CAST(NULL AS VARCHAR) AS dimension,
    CAST(NULL AS VARCHAR) AS dimension_value,
    g.group_id,
    COALESCE(c.units, 0) AS units,
    CASE k.number WHEN 0 THEN COALESCE(t.m0, CAST(0 AS DOUBLE)) END AS total,
    CASE k.number WHEN 0 THEN COALESCE(t.m1, CAST(0 AS DOUBLE)) END AS total_squares,
    CASE k.number WHEN 0 THEN CAST(COALESCE(c.units, CAST(0 AS DOUBLE)) AS DOUBLE) END AS divisor,
    CAST(NULL AS DOUBLE) AS denominator_total,
    CAST(NULL AS DOUBLE) AS denominator_total_squares,
    CAST(NULL AS DOUBLE) AS numerator_denominator_product,
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
  FROM (
    SELECT
      s.ds AS point,
      s.group_id
    FROM "statsig_staging"."exposures_summary_123" AS s
  ) AS g
  LEFT JOIN (
    SELECT
      d.ds AS point,
      m.group_id,
      COUNT(*) AS units
    FROM (
      SELECT
        d.ds
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE)),
        (CAST('2026-01-04' AS DATE))) AS d(ds)
    ) AS d
    JOIN (
      SELECT
        f.unit_id,
        f.group_id,
        f.first_exposure_ds,
        f.first_exposure_ds AS enters_ds,
        CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
      FROM "statsig_staging"."first_exposures_123" AS f
    ) AS m
      ON m.enters_ds <= d.ds
    WHERE
      m.leaves_ds IS NULL OR d.ds < m.leaves_ds
    GROUP BY
      d.ds,
      m.group_id
  ) AS c
    ON c.point = g.point AND c.group_id = g.group_id
  LEFT JOIN moments AS t
    ON t.point = g.point AND t.group_id = g.group_id
  CROSS JOIN (
    SELECT
      k.rollup,
      k.metric,
      k.number
    FROM (VALUES
      ('daily', 'kinds', 0)) AS k(rollup, metric, number)
  ) AS k
) AS z;

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
  WITH standing AS (
    SELECT
      v.point,
      v.unit_id,
      v.group_id,
      v.aggregate,
      v.value,
      v.occurrences
    FROM (
      SELECT
        d.ds AS point,
        m.unit_id,
        m.group_id,
        u.aggregate,
        u.value,
        u.occurrences
      FROM "statsig_staging"."percentile_values_123_events" AS u
      JOIN (
        SELECT
          f.unit_id,
          f.group_id,
          f.first_exposure_ds,
          f.first_exposure_ds AS enters_ds,
          CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
        FROM "statsig_staging"."first_exposures_123" AS f
      ) AS m
        ON m.unit_id = u.unit_id
      JOIN (
        SELECT
          d.ds
        FROM (VALUES
          (CAST('2026-01-01' AS DATE)),
          (CAST('2026-01-02' AS DATE)),
          (CAST('2026-01-03' AS DATE)),
          (CAST('2026-01-04' AS DATE))) AS d(ds)
      ) AS d
        ON d.ds >= u.ds AND d.ds >= m.enters_ds
      WHERE
        "u"."aggregate" IN ('values_usd_14b2cb04')
        AND u.ds >= CAST('2026-01-01' AS DATE)
        AND d.ds < CAST(DATE_ADD('DAY', 1, u.ds) AS DATE)
        AND (
          m.leaves_ds IS NULL OR d.ds < m.leaves_ds
        )
    ) AS v
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
        PARTITION BY b.point, b.group_id, b.aggregate
        ORDER BY b.value
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
    JOIN (
      SELECT
        k.number,
        k.aggregate,
        k.share
      FROM (VALUES
        (0, 'values_usd_14b2cb04', CAST('0.5' AS DOUBLE))) AS k(number, aggregate, share)
    ) AS k
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
      a.below + (
        a.above - a.below
      ) * (
        a.place - FLOOR(a.place)
      ) AS bound
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
    g.point AS ds,
    CAST(NULL AS BIGINT) AS day_index,
    k.metric,
    CAST(NULL AS VARCHAR) AS dimension,
    CAST(NULL AS VARCHAR) AS dimension_value,
    g.group_id,
    COALESCE(n.units, 0) AS units,
    COALESCE(t.total, CAST(0 AS DOUBLE)) AS total,
    COALESCE(t.total_squares, CAST(0 AS DOUBLE)) AS total_squares,
    CAST(NULL AS DOUBLE) AS divisor,
    COALESCE(t.denominator_total, CAST(0 AS DOUBLE)) AS denominator_total,
    COALESCE(t.denominator_total_squares, CAST(0 AS DOUBLE)) AS denominator_total_squares,
    COALESCE(t.numerator_denominator_product, CAST(0 AS DOUBLE)) AS numerator_denominator_product,
    CAST(NULL AS DOUBLE) AS covariate_total,
    CAST(NULL AS DOUBLE) AS covariate_total_squares,
    CAST(NULL AS DOUBLE) AS covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_covariate_total,
    CAST(NULL AS DOUBLE) AS denominator_covariate_total_squares,
    CAST(NULL AS DOUBLE) AS numerator_denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS covariates_product,
    q.bound AS percentile
  FROM (
    SELECT
      s.ds AS point,
      s.group_id
    FROM "statsig_staging"."exposures_summary_123" AS s
  ) AS g
  CROSS JOIN (
    SELECT
      k.rollup,
      k.metric,
      k.number
    FROM (VALUES
      ('daily', 'median_order', 0)) AS k(rollup, metric, number)
  ) AS k
  LEFT JOIN (
    SELECT
      d.ds AS point,
      m.group_id,
      COUNT(*) AS units
    FROM (
      SELECT
        d.ds
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE)),
        (CAST('2026-01-04' AS DATE))) AS d(ds)
    ) AS d
    JOIN (
      SELECT
        f.unit_id,
        f.group_id,
        f.first_exposure_ds,
        f.first_exposure_ds AS enters_ds,
        CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
      FROM "statsig_staging"."first_exposures_123" AS f
    ) AS m
      ON m.enters_ds <= d.ds
    WHERE
      m.leaves_ds IS NULL OR d.ds < m.leaves_ds
    GROUP BY
      d.ds,
      m.group_id
  ) AS n
    ON n.point = g.point AND n.group_id = g.group_id
  LEFT JOIN moments AS t
    ON t.point = g.point AND t.group_id = g.group_id AND t.number = k.number
  LEFT JOIN bounds AS q
    ON q.point = g.point AND q.group_id = g.group_id AND q.number = k.number
) AS z;

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
  WITH moments AS (
    SELECT
      w.point,
      w.group_id,
      SUM(w.v0) AS m0,
      SUM(w.v0 * w.v0) AS m1
    FROM (
      SELECT
        p.point,
        p.unit_id,
        p.group_id,
        p.p0 AS v0
      FROM (
        SELECT
          s.point,
          s.unit_id,
          s.group_id,
          s.a0 AS p0
        FROM (
          WITH activity AS (
            SELECT
              m.unit_id,
              m.group_id,
              m.first_exposure_ds,
              m.enters_ds,
              m.leaves_ds,
              u.ds AS ds,
              COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0
            FROM (
              SELECT
                u.unit_id,
                u.ds,
                SUM(CASE WHEN u.aggregate = 'distinct_kind_b591b6a9' THEN CAST(1 AS DOUBLE) END) AS a0
              FROM (
                SELECT
                  v.unit_id,
                  v.aggregate,
                  MIN(v.ds) AS ds
                FROM "statsig_staging"."distinct_values_123_events" AS v
                WHERE
                  "v"."aggregate" IN ('distinct_kind_b591b6a9')
                GROUP BY
                  v.unit_id,
                  v.aggregate,
                  v.value
              ) AS u
              GROUP BY
                u.unit_id,
                u.ds
            ) AS u
            JOIN (
              SELECT
                f.unit_id,
                f.group_id,
                f.first_exposure_ds,
                f.first_exposure_ds AS enters_ds,
                CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
              FROM "statsig_staging"."first_exposures_123" AS f
            ) AS m
              ON m.unit_id = u.unit_id
          ), running AS (
            SELECT
              a.unit_id,
              a.group_id,
              a.first_exposure_ds,
              a.enters_ds,
              a.leaves_ds,
              a.ds,
              LEAD(a.ds) OVER (PARTITION BY a.unit_id ORDER BY a.ds) AS until_ds,
              SUM(a.a0) OVER (
                PARTITION BY a.unit_id
                ORDER BY a.ds
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
              ) AS a0
            FROM activity AS a
          )
          SELECT
            d.ds AS point,
            r.unit_id,
            r.group_id,
            r.first_exposure_ds,
            r.a0
          FROM running AS r
          JOIN (
            SELECT
              d.ds
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE)),
              (CAST('2026-01-04' AS DATE))) AS d(ds)
          ) AS d
            ON d.ds >= r.ds AND d.ds >= r.enters_ds
          WHERE
            (
              r.until_ds IS NULL OR d.ds < r.until_ds
            )
            AND (
              r.leaves_ds IS NULL OR d.ds < r.leaves_ds
            )
        ) AS s
      ) AS p
    ) AS w
    GROUP BY
      w.point,
      w.group_id
  )
  SELECT
    k.rollup,
    g.point AS ds,
    CAST(NULL AS BIGINT) AS day_index,
    k.metric,
    CAST(NULL AS VARCHAR) AS dimension,
    CAST(NULL AS VARCHAR) AS dimension_value,
    g.group_id,
    COALESCE(c.units, 0) AS units,
    CASE k.number WHEN 0 THEN COALESCE(t.m0, CAST(0 AS DOUBLE)) END AS total,
    CASE k.number WHEN 0 THEN COALESCE(t.m1, CAST(0 AS DOUBLE)) END AS total_squares,
    CASE k.number WHEN 0 THEN CAST(COALESCE(c.units, CAST(0 AS DOUBLE)) AS DOUBLE) END AS divisor,
    CAST(NULL AS DOUBLE) AS denominator_total,
    CAST(NULL AS DOUBLE) AS denominator_total_squares,
    CAST(NULL AS DOUBLE) AS numerator_denominator_product,
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
  FROM (
    SELECT
      s.ds AS point,
      s.group_id
    FROM "statsig_staging"."exposures_summary_123" AS s
  ) AS g
  LEFT JOIN (
    SELECT
      d.ds AS point,
      m.group_id,
      COUNT(*) AS units
    FROM (
      SELECT
        d.ds
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE)),
        (CAST('2026-01-04' AS DATE))) AS d(ds)
    ) AS d
    JOIN (
      SELECT
        f.unit_id,
        f.group_id,
        f.first_exposure_ds,
        f.first_exposure_ds AS enters_ds,
        CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
      FROM "statsig_staging"."first_exposures_123" AS f
    ) AS m
      ON m.enters_ds <= d.ds
    WHERE
      m.leaves_ds IS NULL OR d.ds < m.leaves_ds
    GROUP BY
      d.ds,
      m.group_id
  ) AS c
    ON c.point = g.point AND c.group_id = g.group_id
  LEFT JOIN moments AS t
    ON t.point = g.point AND t.group_id = g.group_id
  CROSS JOIN (
    SELECT
      k.rollup,
      k.metric,
      k.number
    FROM (VALUES
      ('cumulative', 'kinds', 0)) AS k(rollup, metric, number)
  ) AS k
) AS z;

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
  WITH standing AS (
    SELECT
      v.point,
      v.unit_id,
      v.group_id,
      v.aggregate,
      v.value,
      v.occurrences
    FROM (
      SELECT
        d.ds AS point,
        m.unit_id,
        m.group_id,
        u.aggregate,
        u.value,
        u.occurrences
      FROM "statsig_staging"."percentile_values_123_events" AS u
      JOIN (
        SELECT
          f.unit_id,
          f.group_id,
          f.first_exposure_ds,
          f.first_exposure_ds AS enters_ds,
          CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
        FROM "statsig_staging"."first_exposures_123" AS f
      ) AS m
        ON m.unit_id = u.unit_id
      JOIN (
        SELECT
          d.ds
        FROM (VALUES
          (CAST('2026-01-01' AS DATE)),
          (CAST('2026-01-02' AS DATE)),
          (CAST('2026-01-03' AS DATE)),
          (CAST('2026-01-04' AS DATE))) AS d(ds)
      ) AS d
        ON d.ds >= u.ds AND d.ds >= m.enters_ds
      WHERE
        "u"."aggregate" IN ('values_usd_14b2cb04')
        AND TRUE
        AND (
          m.leaves_ds IS NULL OR d.ds < m.leaves_ds
        )
    ) AS v
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
        PARTITION BY b.point, b.group_id, b.aggregate
        ORDER BY b.value
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
    JOIN (
      SELECT
        k.number,
        k.aggregate,
        k.share
      FROM (VALUES
        (0, 'values_usd_14b2cb04', CAST('0.5' AS DOUBLE))) AS k(number, aggregate, share)
    ) AS k
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
      a.below + (
        a.above - a.below
      ) * (
        a.place - FLOOR(a.place)
      ) AS bound
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
    g.point AS ds,
    CAST(NULL AS BIGINT) AS day_index,
    k.metric,
    CAST(NULL AS VARCHAR) AS dimension,
    CAST(NULL AS VARCHAR) AS dimension_value,
    g.group_id,
    COALESCE(n.units, 0) AS units,
    COALESCE(t.total, CAST(0 AS DOUBLE)) AS total,
    COALESCE(t.total_squares, CAST(0 AS DOUBLE)) AS total_squares,
    CAST(NULL AS DOUBLE) AS divisor,
    COALESCE(t.denominator_total, CAST(0 AS DOUBLE)) AS denominator_total,
    COALESCE(t.denominator_total_squares, CAST(0 AS DOUBLE)) AS denominator_total_squares,
    COALESCE(t.numerator_denominator_product, CAST(0 AS DOUBLE)) AS numerator_denominator_product,
    CAST(NULL AS DOUBLE) AS covariate_total,
    CAST(NULL AS DOUBLE) AS covariate_total_squares,
    CAST(NULL AS DOUBLE) AS covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_covariate_total,
    CAST(NULL AS DOUBLE) AS denominator_covariate_total_squares,
    CAST(NULL AS DOUBLE) AS numerator_denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS denominator_denominator_covariate_product,
    CAST(NULL AS DOUBLE) AS covariates_product,
    q.bound AS percentile
  FROM (
    SELECT
      s.ds AS point,
      s.group_id
    FROM "statsig_staging"."exposures_summary_123" AS s
  ) AS g
  CROSS JOIN (
    SELECT
      k.rollup,
      k.metric,
      k.number
    FROM (VALUES
      ('cumulative', 'median_order', 0)) AS k(rollup, metric, number)
  ) AS k
  LEFT JOIN (
    SELECT
      d.ds AS point,
      m.group_id,
      COUNT(*) AS units
    FROM (
      SELECT
        d.ds
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE)),
        (CAST('2026-01-04' AS DATE))) AS d(ds)
    ) AS d
    JOIN (
      SELECT
        f.unit_id,
        f.group_id,
        f.first_exposure_ds,
        f.first_exposure_ds AS enters_ds,
        CASE WHEN f.crossover AND TRUE THEN CAST(f.crossover_at AS DATE) END AS leaves_ds
      FROM "statsig_staging"."first_exposures_123" AS f
    ) AS m
      ON m.enters_ds <= d.ds
    WHERE
      m.leaves_ds IS NULL OR d.ds < m.leaves_ds
    GROUP BY
      d.ds,
      m.group_id
  ) AS n
    ON n.point = g.point AND n.group_id = g.group_id
  LEFT JOIN moments AS t
    ON t.point = g.point AND t.group_id = g.group_id AND t.number = k.number
  LEFT JOIN bounds AS q
    ON q.point = g.point AND q.group_id = g.group_id AND q.number = k.number
) AS z;

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
  WITH level_sizes AS (
    SELECT
      "f"."device" AS level,
      SUM(CASE WHEN f.crossover AND TRUE THEN 0 ELSE 1 END) AS units
    FROM "statsig_staging"."first_exposures_123" AS f
    GROUP BY
      "f"."device"
  ), ranked_levels AS (
    SELECT
      e.level,
      e.is_large,
      ROW_NUMBER() OVER (PARTITION BY e.is_large, e.level IS NULL ORDER BY e.units DESC, e.level ASC) AS place
    FROM (
      SELECT
        c.level,
        c.units,
        c.units >= 1 AND COALESCE(c.level <> 'OTHER', TRUE) AS is_large
      FROM level_sizes AS c
    ) AS e
  ), dimension_levels AS (
    SELECT
      r.level,
      CASE
        WHEN NOT r.is_large OR r.place > 10
        THEN '21'
        WHEN r.level IS NULL
        THEN '20'
        ELSE CAST(r.place + 9 AS VARCHAR)
      END AS number,
      CASE WHEN r.is_large AND r.place <= 10 THEN r.level ELSE 'OTHER' END AS dimension_value
    FROM ranked_levels AS r
  ), dimension_units AS (
    SELECT
      f.unit_id,
      CONCAT(l.number, f.group_id) AS group_id,
      f.first_exposure,
      f.first_exposure_ds,
      f.crossover,
      f.crossover_at
    FROM "statsig_staging"."first_exposures_123" AS f
    JOIN dimension_levels AS l
      ON COALESCE(l.level, '') = COALESCE("f"."device", '')
      AND (
        l.level IS NULL
      ) = (
        "f"."device" IS NULL
      )
  ), numbered_levels AS (
    SELECT DISTINCT
      l.number,
      l.dimension_value
    FROM dimension_levels AS l
  ), dimension_groups AS (
    SELECT
      CONCAT(n.number, g.group_id) AS group_id
    FROM numbered_levels AS n
    CROSS JOIN (
      SELECT DISTINCT
        s.group_id
      FROM "statsig_staging"."exposures_summary_123" AS s
    ) AS g
  ), dimension_summary AS (
    SELECT
      d.ds,
      d.group_id,
      CAST(d.cumulative_exposures AS BIGINT) AS cumulative_exposures
    FROM (
      WITH moves AS (
        SELECT
          f.first_exposure_ds AS ds,
          f.group_id,
          COUNT(*) AS entering,
          0 AS leaving
        FROM dimension_units AS f
        GROUP BY
          f.first_exposure_ds,
          f.group_id
        UNION ALL
        SELECT
          CAST(f.crossover_at AS DATE) AS ds,
          f.group_id,
          0 AS entering,
          COUNT(*) AS leaving
        FROM dimension_units AS f
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
        CROSS JOIN dimension_groups AS g
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
      FROM dense AS c
    ) AS d
  )
  SELECT
    s.rollup,
    s.ds,
    s.day_index,
    s.metric,
    'device' AS dimension,
    n.dimension_value,
    SUBSTR(s.group_id, 3) AS group_id,
    s.units,
    s.total,
    s.total_squares,
    s.divisor,
    s.denominator_total,
    s.denominator_total_squares,
    s.numerator_denominator_product,
    s.covariate_total,
    s.covariate_total_squares,
    s.covariate_product,
    s.denominator_covariate_total,
    s.denominator_covariate_total_squares,
    s.numerator_denominator_covariate_product,
    s.denominator_covariate_product,
    s.denominator_denominator_covariate_product,
    s.covariates_product,
    s.percentile
  FROM (
    WITH members AS (
      SELECT
        f.unit_id,
        f.group_id,
        ROW_NUMBER() OVER () AS unit_key
      FROM dimension_units AS f
      WHERE
        NOT (
          f.crossover AND TRUE
        )
    ), activity AS (
      SELECT
        m.unit_key,
        m.group_id,
        u.ds,
        COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.sum_usd_6644efa2 AS DOUBLE) AS a0
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.sum_usd_6644efa2
          FROM "statsig_staging"."unit_day_metrics_123_events" AS u
        ) AS u
      ) AS u
      JOIN members AS m
        ON m.unit_id = u.unit_id
    ), running AS (
      SELECT
        a.group_id,
        a.ds,
        a.a0,
        SUM(a.a0) OVER (
          PARTITION BY a.unit_key
          ORDER BY a.ds
          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS a0_total
      FROM activity AS a
    ), moments AS (
      SELECT
        r.ds,
        r.group_id,
        SUM(r.a0) AS m0_daily,
        SUM(r.a0) AS m0_move,
        SUM(r.a0 * r.a0) AS m1_daily,
        SUM(r.a0 * r.a0_total + r.a0_total * r.a0 - r.a0 * r.a0) AS m1_move
      FROM running AS r
      GROUP BY
        r.ds,
        r.group_id
    ), leavers AS (
      SELECT
        f.unit_id,
        f.group_id,
        CAST(f.crossover_at AS DATE) AS leaves_ds
      FROM dimension_units AS f
      WHERE
        f.crossover AND TRUE AND CAST(f.crossover_at AS DATE) > CAST('2026-01-01' AS DATE)
    ), leaver_activity AS (
      SELECT
        l.unit_id,
        l.group_id,
        l.leaves_ds,
        u.ds,
        COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.sum_usd_6644efa2 AS DOUBLE) AS a0
        FROM (
          SELECT
            u.unit_id,
            u.ds,
            u.sum_usd_6644efa2
          FROM "statsig_staging"."unit_day_metrics_123_events" AS u
        ) AS u
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
        ) AS a0_total
      FROM leaver_activity AS a
    ), leaver_moments AS (
      SELECT
        d.ds,
        r.group_id,
        SUM(CASE WHEN d.ds = r.ds THEN r.a0 END) AS m0_daily,
        SUM(r.a0_total) AS m0_standing,
        SUM(CASE WHEN d.ds = r.ds THEN r.a0 * r.a0 END) AS m1_daily,
        SUM(r.a0_total * r.a0_total) AS m1_standing
      FROM leaver_running AS r
      JOIN (
        SELECT
          d.ds
        FROM (VALUES
          (CAST('2026-01-01' AS DATE)),
          (CAST('2026-01-02' AS DATE)),
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
        ) + COALESCE(l.m1_standing, CAST(0 AS DOUBLE)) AS m1_cumulative
      FROM dimension_summary AS s
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
        CASE WHEN r.rollup = 'daily' THEN t.m1_daily ELSE t.m1_cumulative END AS m1
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
      CASE k.number WHEN 0 THEN t.m0 END AS total,
      CASE k.number WHEN 0 THEN t.m1 END AS total_squares,
      CASE k.number WHEN 0 THEN CAST(t.units AS DOUBLE) END AS divisor,
      CAST(NULL AS DOUBLE) AS denominator_total,
      CAST(NULL AS DOUBLE) AS denominator_total_squares,
      CAST(NULL AS DOUBLE) AS numerator_denominator_product,
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
        ('daily', 'revenue_by_kind', 0),
        ('cumulative', 'revenue_by_kind', 0)) AS k(rollup, metric, number)
    ) AS k
      ON k.rollup = t.rollup
  ) AS s
  JOIN numbered_levels AS n
    ON n.number = SUBSTR(s.group_id, 1, 2)
  WHERE
    s.dimension IS NULL
) AS z;

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
  WITH level_places AS (
    SELECT
      q.levels,
      q.value,
      q.place
    FROM (
      SELECT
        q.levels,
        q.value,
        q.place
      FROM (
        WITH level_sizes AS (
          SELECT
            v.value,
            COUNT(DISTINCT CASE WHEN f.crossover AND TRUE THEN NULL ELSE v.unit_id END) AS units
          FROM (
            SELECT
              v.unit_id,
              v.value
            FROM "statsig_staging"."level_values_123_events" AS v
            WHERE
              v.aggregate IN ('sum_usd_d52141e8')
          ) AS v
          JOIN "statsig_staging"."first_exposures_123" AS f
            ON f.unit_id = v.unit_id
          GROUP BY
            v.value
        ), ranked_levels AS (
          SELECT
            e.value,
            e.is_large,
            ROW_NUMBER() OVER (PARTITION BY e.is_large, e.value = '' ORDER BY e.units DESC, e.value ASC) AS place
          FROM (
            SELECT
              c.value,
              c.units,
              c.units >= 1 AND c.value <> 'OTHER' AS is_large
            FROM level_sizes AS c
          ) AS e
        )
        SELECT
          '36e335ce' AS levels,
          r.value,
          CASE
            WHEN NOT r.is_large OR r.place > 10
            THEN '21'
            WHEN r.value = ''
            THEN '20'
            ELSE CAST(r.place + 9 AS VARCHAR)
          END AS place
        FROM ranked_levels AS r
      ) AS q
    ) AS q
  ), level_names AS (
    SELECT DISTINCT
      k.metric,
      k.dimension,
      l.place,
      CASE l.place
        WHEN '21'
        THEN 'OTHER'
        WHEN '20'
        THEN CAST(NULL AS VARCHAR)
        ELSE l.value
      END AS dimension_value
    FROM level_places AS l
    JOIN (
      SELECT
        k.levels,
        k.metric,
        k.dimension
      FROM (VALUES
        ('36e335ce', 'revenue_by_kind', 'kind')) AS k(levels, metric, dimension)
    ) AS k
      ON k.levels = l.levels
  ), places AS (
    SELECT DISTINCT
      l.place
    FROM level_places AS l
  ), place_units AS (
    SELECT
      CONCAT(p.place, f.unit_id) AS unit_id,
      CONCAT(p.place, f.group_id) AS group_id,
      f.first_exposure,
      f.first_exposure_ds,
      f.crossover,
      f.crossover_at
    FROM "statsig_staging"."first_exposures_123" AS f
    CROSS JOIN places AS p
  ), place_summary AS (
    SELECT
      s.ds,
      CONCAT(p.place, s.group_id) AS group_id,
      s.cumulative_exposures
    FROM "statsig_staging"."exposures_summary_123" AS s
    CROSS JOIN places AS p
  )
  SELECT
    s.rollup,
    s.ds,
    s.day_index,
    s.metric,
    s.dimension,
    n.dimension_value,
    SUBSTR(s.group_id, 3) AS group_id,
    s.units,
    s.total,
    s.total_squares,
    s.divisor,
    s.denominator_total,
    s.denominator_total_squares,
    s.numerator_denominator_product,
    s.covariate_total,
    s.covariate_total_squares,
    s.covariate_product,
    s.denominator_covariate_total,
    s.denominator_covariate_total_squares,
    s.numerator_denominator_covariate_product,
    s.denominator_covariate_product,
    s.denominator_denominator_covariate_product,
    s.covariates_product,
    s.percentile
  FROM (
    WITH members AS (
      SELECT
        f.unit_id,
        f.group_id,
        ROW_NUMBER() OVER () AS unit_key
      FROM place_units AS f
      WHERE
        NOT (
          f.crossover AND TRUE
        )
    ), activity AS (
      SELECT
        m.unit_key,
        m.group_id,
        u.ds,
        COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.level_c79e3af3 AS DOUBLE) AS a0
        FROM (
          SELECT
            CONCAT(COALESCE(p.place, '21'), v.unit_id) AS unit_id,
            v.ds,
            SUM(CASE WHEN v.aggregate = 'sum_usd_d52141e8' THEN v.number END) AS level_c79e3af3
          FROM "statsig_staging"."level_values_123_events" AS v
          LEFT JOIN level_places AS p
            ON p.levels = '36e335ce' AND p.value = v.value
          WHERE
            v.aggregate IN ('sum_usd_d52141e8')
          GROUP BY
            CONCAT(COALESCE(p.place, '21'), v.unit_id),
            v.ds
        ) AS u
      ) AS u
      JOIN members AS m
        ON m.unit_id = u.unit_id
    ), running AS (
      SELECT
        a.group_id,
        a.ds,
        a.a0,
        SUM(a.a0) OVER (
          PARTITION BY a.unit_key
          ORDER BY a.ds
          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS a0_total
      FROM activity AS a
    ), moments AS (
      SELECT
        r.ds,
        r.group_id,
        SUM(r.a0) AS m0_daily,
        SUM(r.a0) AS m0_move,
        SUM(r.a0 * r.a0) AS m1_daily,
        SUM(r.a0 * r.a0_total + r.a0_total * r.a0 - r.a0 * r.a0) AS m1_move
      FROM running AS r
      GROUP BY
        r.ds,
        r.group_id
    ), leavers AS (
      SELECT
        f.unit_id,
        f.group_id,
        CAST(f.crossover_at AS DATE) AS leaves_ds
      FROM place_units AS f
      WHERE
        f.crossover AND TRUE AND CAST(f.crossover_at AS DATE) > CAST('2026-01-01' AS DATE)
    ), leaver_activity AS (
      SELECT
        l.unit_id,
        l.group_id,
        l.leaves_ds,
        u.ds,
        COALESCE(u.a0, CAST(0 AS DOUBLE)) AS a0
      FROM (
        SELECT
          u.unit_id,
          u.ds,
          CAST(u.level_c79e3af3 AS DOUBLE) AS a0
        FROM (
          SELECT
            CONCAT(COALESCE(p.place, '21'), v.unit_id) AS unit_id,
            v.ds,
            SUM(CASE WHEN v.aggregate = 'sum_usd_d52141e8' THEN v.number END) AS level_c79e3af3
          FROM "statsig_staging"."level_values_123_events" AS v
          LEFT JOIN level_places AS p
            ON p.levels = '36e335ce' AND p.value = v.value
          WHERE
            v.aggregate IN ('sum_usd_d52141e8')
          GROUP BY
            CONCAT(COALESCE(p.place, '21'), v.unit_id),
            v.ds
        ) AS u
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
        ) AS a0_total
      FROM leaver_activity AS a
    ), leaver_moments AS (
      SELECT
        d.ds,
        r.group_id,
        SUM(CASE WHEN d.ds = r.ds THEN r.a0 END) AS m0_daily,
        SUM(r.a0_total) AS m0_standing,
        SUM(CASE WHEN d.ds = r.ds THEN r.a0 * r.a0 END) AS m1_daily,
        SUM(r.a0_total * r.a0_total) AS m1_standing
      FROM leaver_running AS r
      JOIN (
        SELECT
          d.ds
        FROM (VALUES
          (CAST('2026-01-01' AS DATE)),
          (CAST('2026-01-02' AS DATE)),
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
        ) + COALESCE(l.m1_standing, CAST(0 AS DOUBLE)) AS m1_cumulative
      FROM place_summary AS s
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
        CASE WHEN r.rollup = 'daily' THEN t.m1_daily ELSE t.m1_cumulative END AS m1
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
      CAST(CASE k.number WHEN 0 THEN 'kind' END AS VARCHAR) AS dimension,
      CAST(CASE k.number WHEN 0 THEN '' END AS VARCHAR) AS dimension_value,
      t.group_id,
      t.units,
      CASE k.number WHEN 0 THEN t.m0 END AS total,
      CASE k.number WHEN 0 THEN t.m1 END AS total_squares,
      CASE k.number WHEN 0 THEN CAST(t.units AS DOUBLE) END AS divisor,
      CAST(NULL AS DOUBLE) AS denominator_total,
      CAST(NULL AS DOUBLE) AS denominator_total_squares,
      CAST(NULL AS DOUBLE) AS numerator_denominator_product,
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
        ('daily', 'revenue_by_kind', 0),
        ('cumulative', 'revenue_by_kind', 0)) AS k(rollup, metric, number)
    ) AS k
      ON k.rollup = t.rollup
  ) AS s
  JOIN level_names AS n
    ON n.metric = s.metric
    AND n.dimension = s.dimension
    AND n.place = SUBSTR(s.group_id, 1, 2)
) AS z;
