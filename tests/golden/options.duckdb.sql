-- exposure_counts: CreateTable exposure_counts_123
-- fills 2026-01-01
-- the same with {'ds': '2026-01-02', 'day_start': '2026-01-02 00:00:00', 'day_end': '2026-01-03 00:00:00'}
-- the same with {'ds': '2026-01-03', 'day_start': '2026-01-03 00:00:00', 'day_end': '2026-01-04 00:00:00'}
SELECT
  CAST('2026-01-01' AS DATE) AS "ds",
  COALESCE("s"."group_id", '') AS "group_id",
  COUNT(*) AS "exposures",
  COUNT(*) FILTER(WHERE
    COALESCE("s"."user_id", '') = '') AS "without_unit"
FROM "shop"."exposures" AS "s"
WHERE
  "s"."experiment_id" = '123'
  AND (
    "s"."exposed_at" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP)
    AND "s"."exposed_at" < CAST('2026-01-02 00:00:00' AS TIMESTAMP)
  )
GROUP BY
  1,
  2;

-- exposures_left_out: check
SELECT
  COALESCE(CAST(SUM("c"."without_unit") AS BIGINT), 0) AS "without_unit",
  COALESCE(CAST(SUM("c"."exposures") FILTER(WHERE
    "c"."group_id" = '') AS BIGINT), 0) AS "without_group",
  COALESCE(
    CAST(SUM("c"."exposures") FILTER(WHERE
      "c"."group_id" <> '' AND FALSE) AS BIGINT),
    0
  ) AS "unlisted",
  MIN("c"."group_id") FILTER(WHERE
    "c"."group_id" <> '' AND FALSE) AS "unlisted_example"
FROM "statsig_staging"."exposure_counts_123" AS "c";

-- unit_day_exposures: CreateTable unit_day_exposures_123
-- fills 2026-01-01
-- the same with {'ds': '2026-01-02', 'day_start': '2026-01-02 00:00:00', 'day_end': '2026-01-03 00:00:00'}
-- the same with {'ds': '2026-01-03', 'day_start': '2026-01-03 00:00:00', 'day_end': '2026-01-04 00:00:00'}
WITH "by_group" AS (
  SELECT
    "e"."unit_id",
    "e"."ds",
    "e"."group_id",
    MIN("e"."exposed_at") AS "first_exposure",
    ARG_MIN_NULL("e"."context_0", ROW("e"."exposed_at", "e"."context_0")) FILTER(WHERE
      NOT "e"."context_0" IS NULL) AS "context_0",
    MIN("e"."exposed_at") FILTER(WHERE
      NOT "e"."context_0" IS NULL) AS "context_0_at"
  FROM (
    SELECT
      "s"."user_id" AS "unit_id",
      "s"."group_id" AS "group_id",
      "s"."exposed_at" AS "exposed_at",
      CAST('2026-01-01' AS DATE) AS "ds",
      "s"."group_id" AS "context_0"
    FROM "shop"."exposures" AS "s"
    WHERE
      "s"."experiment_id" = '123'
      AND (
        "s"."exposed_at" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP)
        AND "s"."exposed_at" < CAST('2026-01-02 00:00:00' AS TIMESTAMP)
      )
      AND "s"."user_id" <> ''
      AND "s"."group_id" <> ''
  ) AS "e"
  GROUP BY
    "e"."unit_id",
    "e"."ds",
    "e"."group_id"
)
SELECT
  "g"."unit_id",
  "g"."ds",
  MIN("g"."first_exposure") AS "first_exposure",
  ARG_MIN_NULL("g"."group_id", ROW("g"."first_exposure", "g"."group_id")) AS "group_id",
  MIN("g"."group_id") AS "min_group_id",
  MAX("g"."group_id") AS "max_group_id",
  CASE
    WHEN COUNT(*) > 1
    THEN ATHENA_MUST(
      MIN("g"."first_exposure", 2)[2],
      2 BETWEEN 1 AND LEN(MIN("g"."first_exposure", 2)),
      'the subscript finds nothing; write element_at(x, i)'
    )
  END AS "crossover_at",
  ARG_MIN_NULL("g"."context_0", ROW("g"."context_0_at", "g"."context_0")) FILTER(WHERE
    NOT "g"."context_0" IS NULL) AS "device"
FROM "by_group" AS "g"
GROUP BY
  "g"."unit_id",
  "g"."ds";

-- first_exposures: CreateTable first_exposures_123
WITH "units" AS (
  SELECT
    "d"."unit_id",
    ARG_MIN_NULL("d"."group_id", "d"."first_exposure") AS "group_id",
    MIN("d"."first_exposure") AS "first_exposure",
    MIN("d"."ds") AS "first_exposure_ds",
    MIN("d"."min_group_id") <> MAX("d"."max_group_id") AS "crossover",
    ARG_MIN_NULL("d"."device", "d"."first_exposure") AS "device"
  FROM "statsig_staging"."unit_day_exposures_123" AS "d"
  GROUP BY
    "d"."unit_id"
), "crossings" AS (
  SELECT
    "d"."unit_id",
    MIN(
      CASE
        WHEN "d"."group_id" <> "u"."group_id"
        THEN "d"."first_exposure"
        ELSE "d"."crossover_at"
      END
    ) AS "crossover_at"
  FROM "statsig_staging"."unit_day_exposures_123" AS "d"
  JOIN "units" AS "u"
    ON "u"."unit_id" = "d"."unit_id"
  WHERE
    "u"."crossover"
  GROUP BY
    "d"."unit_id"
)
SELECT
  "u"."unit_id",
  "u"."group_id",
  "u"."first_exposure",
  "u"."first_exposure_ds",
  "u"."crossover",
  "c"."crossover_at",
  "u"."device"
FROM "units" AS "u"
LEFT JOIN "crossings" AS "c"
  ON "c"."unit_id" = "u"."unit_id";

-- exposures_summary: CreateTable exposures_summary_123
WITH "moves" AS (
  SELECT
    "f"."first_exposure_ds" AS "ds",
    "f"."group_id",
    COUNT(*) AS "entering",
    0 AS "leaving"
  FROM "statsig_staging"."first_exposures_123" AS "f"
  GROUP BY
    "f"."first_exposure_ds",
    "f"."group_id"
  UNION ALL
  SELECT
    CAST("f"."crossover_at" AS DATE) AS "ds",
    "f"."group_id",
    0 AS "entering",
    COUNT(*) AS "leaving"
  FROM "statsig_staging"."first_exposures_123" AS "f"
  WHERE
    "f"."crossover" AND TRUE
  GROUP BY
    CAST("f"."crossover_at" AS DATE),
    "f"."group_id"
), "daily" AS (
  SELECT
    "m"."ds",
    "m"."group_id",
    CAST(SUM("m"."entering") AS BIGINT) AS "entering",
    CAST(SUM("m"."leaving") AS BIGINT) AS "leaving"
  FROM "moves" AS "m"
  GROUP BY
    "m"."ds",
    "m"."group_id"
), "grid" AS (
  SELECT
    "d"."ds",
    "g"."group_id"
  FROM (
    SELECT
      "d"."ds"
    FROM (VALUES
      (CAST('2026-01-01' AS DATE)),
      (CAST('2026-01-02' AS DATE)),
      (CAST('2026-01-03' AS DATE))) AS "d"("ds")
  ) AS "d"
  CROSS JOIN (
    SELECT DISTINCT
      "c"."group_id"
    FROM "statsig_staging"."exposure_counts_123" AS "c"
    WHERE
      "c"."group_id" <> '' AND "c"."exposures" > "c"."without_unit"
  ) AS "g"
), "dense" AS (
  SELECT
    "a"."ds",
    "a"."group_id",
    COALESCE("b"."entering", 0) AS "entering",
    COALESCE("b"."leaving", 0) AS "leaving"
  FROM "grid" AS "a"
  LEFT JOIN "daily" AS "b"
    ON "b"."ds" = "a"."ds" AND "b"."group_id" = "a"."group_id"
)
SELECT
  "c"."ds",
  "c"."group_id",
  "c"."entering" AS "daily_first_exposures",
  "c"."leaving" AS "daily_crossovers",
  CAST(SUM("c"."entering" - "c"."leaving") OVER (
    PARTITION BY "c"."group_id"
    ORDER BY "c"."ds"
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS BIGINT) AS "cumulative_exposures"
FROM "dense" AS "c";

-- unit_day_metrics_events: CreateTable unit_day_metrics_123_events
-- fills 2026-01-01
-- the same with {'ds': '2026-01-02', 'day_start': '2026-01-02 00:00:00', 'day_end': '2026-01-03 00:00:00'}
-- the same with {'ds': '2026-01-03', 'day_start': '2026-01-03 00:00:00', 'day_end': '2026-01-04 00:00:00'}
SELECT
  "e"."unit_id",
  "e"."ds",
  CASE
    WHEN COUNT(*) FILTER(WHERE
      "e"."occurred_at" >= "f"."first_exposure"
      AND "e"."occurred_at" < (
        "f"."first_exposure" + TO_DAYS(2)
      )) > 0
    THEN 1
  END AS "active_7c56e7e5",
  CASE
    WHEN COUNT(*) FILTER(WHERE
      "e"."where_0dc0dabe" AND "e"."occurred_at" >= "f"."first_exposure") > 0
    THEN 1
  END AS "active_d265af7b",
  ARG_MAX_NULL("e"."value_18aa0787", ROW("e"."occurred_at", "e"."value_18aa0787")) FILTER(WHERE
    "e"."where_0dc0dabe"
    AND (
      "e"."occurred_at" >= "f"."first_exposure"
      AND "e"."occurred_at" < (
        "f"."first_exposure" + TO_DAYS(5)
      )
    )
    AND NOT "e"."value_18aa0787" IS NULL) AS "latest_usd_02d0aef6",
  CASE
    WHEN (
      CAST(SUM("e"."value_18aa0787") FILTER(WHERE
        "e"."occurred_at" >= (
          "f"."first_exposure" + TO_DAYS(-7)
        )
        AND "e"."occurred_at" < "f"."first_exposure") AS DOUBLE) > CAST(100.0e0 AS DOUBLE)
      AND NOT (
        (
          ISNAN(
            CAST(SUM("e"."value_18aa0787") FILTER(WHERE
              "e"."occurred_at" >= (
                "f"."first_exposure" + TO_DAYS(-7)
              )
              AND "e"."occurred_at" < "f"."first_exposure") AS DOUBLE)
          )
          AND NOT CAST(100.0e0 AS DOUBLE) IS NULL
        )
      )
    )
    THEN CAST(100.0e0 AS DOUBLE)
    ELSE CAST(SUM("e"."value_18aa0787") FILTER(WHERE
      "e"."occurred_at" >= (
        "f"."first_exposure" + TO_DAYS(-7)
      )
      AND "e"."occurred_at" < "f"."first_exposure") AS DOUBLE)
  END AS "sum_usd_083838d4",
  SUM("e"."value_18aa0787") FILTER(WHERE
    "e"."occurred_at" >= "f"."first_exposure"
    AND "e"."occurred_at" < (
      "f"."first_exposure" + TO_DAYS(5)
    )) AS "sum_usd_0ee4ecd4",
  CASE
    WHEN (
      CAST(SUM("e"."value_18aa0787") FILTER(WHERE
        "e"."occurred_at" >= "f"."first_exposure"
        AND "e"."occurred_at" < (
          "f"."first_exposure" + TO_DAYS(5)
        )) AS DOUBLE) > CAST(100.0e0 AS DOUBLE)
      AND NOT (
        (
          ISNAN(
            CAST(SUM("e"."value_18aa0787") FILTER(WHERE
              "e"."occurred_at" >= "f"."first_exposure"
              AND "e"."occurred_at" < (
                "f"."first_exposure" + TO_DAYS(5)
              )) AS DOUBLE)
          )
          AND NOT CAST(100.0e0 AS DOUBLE) IS NULL
        )
      )
    )
    THEN CAST(100.0e0 AS DOUBLE)
    ELSE CAST(SUM("e"."value_18aa0787") FILTER(WHERE
      "e"."occurred_at" >= "f"."first_exposure"
      AND "e"."occurred_at" < (
        "f"."first_exposure" + TO_DAYS(5)
      )) AS DOUBLE)
  END AS "sum_usd_a444f45d"
FROM (
  SELECT
    "s"."user_id" AS "unit_id",
    "s"."ts" AS "occurred_at",
    CAST('2026-01-01' AS DATE) AS "ds",
    (
      "s"."kind" = 'purchase'
    ) AS "where_0dc0dabe",
    CASE
      WHEN ISFINITE(CAST((
        (
          "s"."amount_cents" / 100.0e0
        )
      ) AS DOUBLE))
      THEN CAST((
        (
          "s"."amount_cents" / 100.0e0
        )
      ) AS DOUBLE)
    END AS "value_18aa0787"
  FROM "shop"."events" AS "s"
  WHERE
    (
      "s"."ts" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP)
      AND "s"."ts" < CAST('2026-01-02 00:00:00' AS TIMESTAMP)
    )
) AS "e"
JOIN "statsig_staging"."first_exposures_123" AS "f"
  ON "f"."unit_id" = "e"."unit_id"
  AND "e"."occurred_at" >= (
    "f"."first_exposure" + TO_DAYS(-7)
  )
  AND "f"."first_exposure_ds" <= CAST((
    CAST('2026-01-01' AS DATE) + 7
  ) AS DATE)
GROUP BY
  "e"."unit_id",
  "e"."ds"
HAVING
  COUNT(*) FILTER(WHERE
    "e"."occurred_at" >= "f"."first_exposure"
    AND "e"."occurred_at" < (
      "f"."first_exposure" + TO_DAYS(2)
    )) > 0
  OR COUNT(*) FILTER(WHERE
    "e"."where_0dc0dabe" AND "e"."occurred_at" >= "f"."first_exposure") > 0
  OR COUNT("e"."value_18aa0787") FILTER(WHERE
    "e"."where_0dc0dabe"
    AND (
      "e"."occurred_at" >= "f"."first_exposure"
      AND "e"."occurred_at" < (
        "f"."first_exposure" + TO_DAYS(5)
      )
    )) > 0
  OR COUNT("e"."value_18aa0787") FILTER(WHERE
    "e"."occurred_at" >= (
      "f"."first_exposure" + TO_DAYS(-7)
    )
    AND "e"."occurred_at" < "f"."first_exposure") > 0
  OR COUNT("e"."value_18aa0787") FILTER(WHERE
    "e"."occurred_at" >= "f"."first_exposure"
    AND "e"."occurred_at" < (
      "f"."first_exposure" + TO_DAYS(5)
    )) > 0
  OR COUNT("e"."value_18aa0787") FILTER(WHERE
    "e"."occurred_at" >= "f"."first_exposure"
    AND "e"."occurred_at" < (
      "f"."first_exposure" + TO_DAYS(5)
    )) > 0;

-- unit_totals_events: CreateTable unit_totals_123_events
SELECT
  "u"."unit_id",
  CAST('2026-01-03' AS DATE) AS "ds",
  CAST(SUM("u"."active_7c56e7e5") AS BIGINT) AS "active_7c56e7e5",
  CAST(SUM("u"."active_d265af7b") AS BIGINT) AS "active_d265af7b",
  ARG_MAX_NULL("u"."latest_usd_02d0aef6", "u"."ds") FILTER(WHERE
    NOT "u"."latest_usd_02d0aef6" IS NULL) AS "latest_usd_02d0aef6",
  SUM("u"."sum_usd_0ee4ecd4") AS "sum_usd_0ee4ecd4",
  SUM("u"."sum_usd_a444f45d") AS "sum_usd_a444f45d"
FROM (
  SELECT
    "u"."unit_id",
    "u"."ds",
    "u"."active_7c56e7e5",
    "u"."active_d265af7b",
    "u"."latest_usd_02d0aef6",
    "u"."sum_usd_083838d4",
    "u"."sum_usd_0ee4ecd4",
    "u"."sum_usd_a444f45d"
  FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
  WHERE
    "u"."ds" <= CAST('2026-01-03' AS DATE)
) AS "u"
GROUP BY
  "u"."unit_id";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE WHEN ISFINITE("z"."total") THEN "z"."total" END AS "total",
  CASE WHEN ISFINITE("z"."total_squares") THEN "z"."total_squares" END AS "total_squares",
  COALESCE(
    CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
    CASE
      WHEN ISFINITE("z"."total" / NULLIF("z"."divisor", 0))
      THEN "z"."total" / NULLIF("z"."divisor", 0)
    END
  ) AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE("z"."total_squares" - "z"."total" * "z"."total" / "z"."units")
    THEN CASE
      WHEN (
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      ) IS NULL
      OR CAST(0 AS DOUBLE) IS NULL
      THEN NULL
      ELSE COALESCE(
        GREATEST(
          CASE
            WHEN ISNAN(
              (
                "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
              ) / (
                "z"."units" - 1
              )
            )
            THEN NULL
            ELSE (
              "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
            ) / (
              "z"."units" - 1
            )
          END,
          CAST(0 AS DOUBLE)
        ),
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      )
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "members" AS (
    SELECT
      "f"."unit_id",
      "f"."group_id",
      ROW_NUMBER() OVER () AS "unit_key"
    FROM "statsig_staging"."first_exposures_123" AS "f"
    WHERE
      NOT (
        "f"."crossover" AND TRUE
      )
  ), "activity" AS (
    SELECT
      "m"."unit_key",
      "m"."group_id",
      "u"."ds",
      COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0",
      "u"."a1" AS "a1",
      COALESCE("u"."a2", CAST(0 AS DOUBLE)) AS "a2"
    FROM (
      SELECT
        "b"."unit_id",
        "b"."ds",
        SUM("b"."a0") AS "a0",
        SUM("b"."a1") AS "a1",
        SUM("b"."a2") AS "a2"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST(NULL AS DOUBLE) AS "a0",
          CAST("u"."latest_usd_02d0aef6" AS DOUBLE) AS "a1",
          CAST(NULL AS DOUBLE) AS "a2"
        FROM (
          SELECT
            "u"."unit_id",
            "u"."ds",
            "u"."latest_usd_02d0aef6"
          FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
        ) AS "u"
        UNION ALL
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST("u"."completed" AS DOUBLE) AS "a0",
          CAST(NULL AS DOUBLE) AS "a1",
          CAST("u"."windows" AS DOUBLE) AS "a2"
        FROM (
          WITH "activity" AS (
            SELECT
              "u"."unit_id",
              "u"."ds",
              "u"."active_7c56e7e5" AS "starts",
              "u"."active_d265af7b" AS "completes"
            FROM (
              SELECT
                "u"."unit_id",
                "u"."ds",
                "u"."active_7c56e7e5",
                "u"."active_d265af7b"
              FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
            ) AS "u"
            WHERE
              "u"."active_7c56e7e5" > 0 OR "u"."active_d265af7b" > 0
          ), "followed" AS (
            SELECT
              "a"."unit_id",
              "a"."ds",
              "a"."starts",
              MAX("a"."completes") OVER (
                PARTITION BY "a"."unit_id"
                ORDER BY DATE_SUB('day', CAST('2000-01-01' AS DATE), "a"."ds")
                RANGE BETWEEN 2 FOLLOWING AND 3 FOLLOWING
              ) AS "completes"
            FROM "activity" AS "a"
          )
          SELECT
            "f"."unit_id",
            CAST((
              "f"."ds" + 3
            ) AS DATE) AS "ds",
            1 AS "windows",
            CASE WHEN "f"."completes" > 0 THEN 1 ELSE 0 END AS "completed"
          FROM "followed" AS "f"
          WHERE
            "f"."starts" > 0 AND DATE_SUB('day', "f"."ds", CAST('2026-01-03' AS DATE)) >= 3
        ) AS "u"
      ) AS "b"
      GROUP BY
        "b"."unit_id",
        "b"."ds"
    ) AS "u"
    JOIN "members" AS "m"
      ON "m"."unit_id" = "u"."unit_id"
  ), "running" AS (
    SELECT
      "a"."group_id",
      "a"."ds",
      "a"."a0",
      SUM("a"."a0") OVER (
        PARTITION BY "a"."unit_key"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "a0_total",
      "a"."a1",
      LAST_VALUE("a"."a1" IGNORE NULLS) OVER (
        PARTITION BY "a"."unit_key"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "a1_total",
      LAST_VALUE("a"."a1" IGNORE NULLS) OVER (
        PARTITION BY "a"."unit_key"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
      ) AS "a1_before",
      "a"."a2",
      SUM("a"."a2") OVER (
        PARTITION BY "a"."unit_key"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "a2_total"
    FROM "activity" AS "a"
  ), "moments" AS (
    SELECT
      "r"."ds",
      "r"."group_id",
      SUM("r"."a0") AS "m0_daily",
      SUM("r"."a0") AS "m0_move",
      SUM("r"."a0" * "r"."a0") AS "m1_daily",
      SUM("r"."a0" * "r"."a0_total" + "r"."a0_total" * "r"."a0" - "r"."a0" * "r"."a0") AS "m1_move",
      SUM("r"."a0" * "r"."a2") AS "m2_daily",
      SUM("r"."a0" * "r"."a2_total" + "r"."a0_total" * "r"."a2" - "r"."a0" * "r"."a2") AS "m2_move",
      SUM(COALESCE("r"."a1", CAST(0 AS DOUBLE))) AS "m3_daily",
      SUM(
        COALESCE("r"."a1_total", CAST(0 AS DOUBLE)) - (
          COALESCE("r"."a1_before", CAST(0 AS DOUBLE))
        )
      ) AS "m3_move",
      SUM(COALESCE("r"."a1", CAST(0 AS DOUBLE)) * COALESCE("r"."a1", CAST(0 AS DOUBLE))) AS "m4_daily",
      SUM(
        COALESCE("r"."a1_total", CAST(0 AS DOUBLE)) * COALESCE("r"."a1_total", CAST(0 AS DOUBLE)) - (
          COALESCE("r"."a1_before", CAST(0 AS DOUBLE)) * COALESCE("r"."a1_before", CAST(0 AS DOUBLE))
        )
      ) AS "m4_move",
      SUM("r"."a2") AS "m5_daily",
      SUM("r"."a2") AS "m5_move",
      SUM("r"."a2" * "r"."a2") AS "m6_daily",
      SUM("r"."a2" * "r"."a2_total" + "r"."a2_total" * "r"."a2" - "r"."a2" * "r"."a2") AS "m6_move"
    FROM "running" AS "r"
    GROUP BY
      "r"."ds",
      "r"."group_id"
  ), "leavers" AS (
    SELECT
      "f"."unit_id",
      "f"."group_id",
      CAST("f"."crossover_at" AS DATE) AS "leaves_ds"
    FROM "statsig_staging"."first_exposures_123" AS "f"
    WHERE
      "f"."crossover"
      AND TRUE
      AND CAST("f"."crossover_at" AS DATE) > CAST('2026-01-01' AS DATE)
  ), "leaver_activity" AS (
    SELECT
      "l"."unit_id",
      "l"."group_id",
      "l"."leaves_ds",
      "u"."ds",
      COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0",
      "u"."a1" AS "a1",
      COALESCE("u"."a2", CAST(0 AS DOUBLE)) AS "a2"
    FROM (
      SELECT
        "b"."unit_id",
        "b"."ds",
        SUM("b"."a0") AS "a0",
        SUM("b"."a1") AS "a1",
        SUM("b"."a2") AS "a2"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST(NULL AS DOUBLE) AS "a0",
          CAST("u"."latest_usd_02d0aef6" AS DOUBLE) AS "a1",
          CAST(NULL AS DOUBLE) AS "a2"
        FROM (
          SELECT
            "u"."unit_id",
            "u"."ds",
            "u"."latest_usd_02d0aef6"
          FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
        ) AS "u"
        UNION ALL
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST("u"."completed" AS DOUBLE) AS "a0",
          CAST(NULL AS DOUBLE) AS "a1",
          CAST("u"."windows" AS DOUBLE) AS "a2"
        FROM (
          WITH "activity" AS (
            SELECT
              "u"."unit_id",
              "u"."ds",
              "u"."active_7c56e7e5" AS "starts",
              "u"."active_d265af7b" AS "completes"
            FROM (
              SELECT
                "u"."unit_id",
                "u"."ds",
                "u"."active_7c56e7e5",
                "u"."active_d265af7b"
              FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
            ) AS "u"
            WHERE
              "u"."active_7c56e7e5" > 0 OR "u"."active_d265af7b" > 0
          ), "followed" AS (
            SELECT
              "a"."unit_id",
              "a"."ds",
              "a"."starts",
              MAX("a"."completes") OVER (
                PARTITION BY "a"."unit_id"
                ORDER BY DATE_SUB('day', CAST('2000-01-01' AS DATE), "a"."ds")
                RANGE BETWEEN 2 FOLLOWING AND 3 FOLLOWING
              ) AS "completes"
            FROM "activity" AS "a"
          )
          SELECT
            "f"."unit_id",
            CAST((
              "f"."ds" + 3
            ) AS DATE) AS "ds",
            1 AS "windows",
            CASE WHEN "f"."completes" > 0 THEN 1 ELSE 0 END AS "completed"
          FROM "followed" AS "f"
          WHERE
            "f"."starts" > 0 AND DATE_SUB('day', "f"."ds", CAST('2026-01-03' AS DATE)) >= 3
        ) AS "u"
      ) AS "b"
      GROUP BY
        "b"."unit_id",
        "b"."ds"
    ) AS "u"
    JOIN "leavers" AS "l"
      ON "l"."unit_id" = "u"."unit_id" AND "u"."ds" < "l"."leaves_ds"
  ), "leaver_running" AS (
    SELECT
      "a"."group_id",
      "a"."ds",
      COALESCE(
        LEAD("a"."ds") OVER (PARTITION BY "a"."unit_id" ORDER BY "a"."ds"),
        "a"."leaves_ds"
      ) AS "until_ds",
      "a"."a0",
      SUM("a"."a0") OVER (
        PARTITION BY "a"."unit_id"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "a0_total",
      "a"."a1",
      LAST_VALUE("a"."a1" IGNORE NULLS) OVER (
        PARTITION BY "a"."unit_id"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "a1_total",
      LAST_VALUE("a"."a1" IGNORE NULLS) OVER (
        PARTITION BY "a"."unit_id"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
      ) AS "a1_before",
      "a"."a2",
      SUM("a"."a2") OVER (
        PARTITION BY "a"."unit_id"
        ORDER BY "a"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "a2_total"
    FROM "leaver_activity" AS "a"
  ), "leaver_moments" AS (
    SELECT
      "d"."ds",
      "r"."group_id",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a0" END) AS "m0_daily",
      SUM("r"."a0_total") AS "m0_standing",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a0" * "r"."a0" END) AS "m1_daily",
      SUM("r"."a0_total" * "r"."a0_total") AS "m1_standing",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a0" * "r"."a2" END) AS "m2_daily",
      SUM("r"."a0_total" * "r"."a2_total") AS "m2_standing",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN COALESCE("r"."a1", CAST(0 AS DOUBLE)) END) AS "m3_daily",
      SUM(COALESCE("r"."a1_total", CAST(0 AS DOUBLE))) AS "m3_standing",
      SUM(
        CASE
          WHEN "d"."ds" = "r"."ds"
          THEN COALESCE("r"."a1", CAST(0 AS DOUBLE)) * COALESCE("r"."a1", CAST(0 AS DOUBLE))
        END
      ) AS "m4_daily",
      SUM(
        COALESCE("r"."a1_total", CAST(0 AS DOUBLE)) * COALESCE("r"."a1_total", CAST(0 AS DOUBLE))
      ) AS "m4_standing",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a2" END) AS "m5_daily",
      SUM("r"."a2_total") AS "m5_standing",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a2" * "r"."a2" END) AS "m6_daily",
      SUM("r"."a2_total" * "r"."a2_total") AS "m6_standing"
    FROM "leaver_running" AS "r"
    JOIN (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
      ON "d"."ds" >= "r"."ds" AND "d"."ds" < "r"."until_ds"
    GROUP BY
      "d"."ds",
      "r"."group_id"
  ), "series" AS (
    SELECT
      "s"."ds",
      "s"."group_id",
      "s"."cumulative_exposures" AS "units",
      COALESCE("m"."m0_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m0_daily", CAST(0 AS DOUBLE)) AS "m0_daily",
      SUM(COALESCE("m"."m0_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m0_standing", CAST(0 AS DOUBLE)) AS "m0_cumulative",
      COALESCE("m"."m1_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m1_daily", CAST(0 AS DOUBLE)) AS "m1_daily",
      SUM(COALESCE("m"."m1_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m1_standing", CAST(0 AS DOUBLE)) AS "m1_cumulative",
      COALESCE("m"."m2_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m2_daily", CAST(0 AS DOUBLE)) AS "m2_daily",
      SUM(COALESCE("m"."m2_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m2_standing", CAST(0 AS DOUBLE)) AS "m2_cumulative",
      COALESCE("m"."m3_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m3_daily", CAST(0 AS DOUBLE)) AS "m3_daily",
      SUM(COALESCE("m"."m3_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m3_standing", CAST(0 AS DOUBLE)) AS "m3_cumulative",
      COALESCE("m"."m4_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m4_daily", CAST(0 AS DOUBLE)) AS "m4_daily",
      SUM(COALESCE("m"."m4_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m4_standing", CAST(0 AS DOUBLE)) AS "m4_cumulative",
      COALESCE("m"."m5_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m5_daily", CAST(0 AS DOUBLE)) AS "m5_daily",
      SUM(COALESCE("m"."m5_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m5_standing", CAST(0 AS DOUBLE)) AS "m5_cumulative",
      COALESCE("m"."m6_daily", CAST(0 AS DOUBLE)) + COALESCE("l"."m6_daily", CAST(0 AS DOUBLE)) AS "m6_daily",
      SUM(COALESCE("m"."m6_move", CAST(0 AS DOUBLE))) OVER (
        PARTITION BY "s"."group_id"
        ORDER BY "s"."ds"
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + COALESCE("l"."m6_standing", CAST(0 AS DOUBLE)) AS "m6_cumulative"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
    LEFT JOIN "moments" AS "m"
      ON "m"."ds" = "s"."ds" AND "m"."group_id" = "s"."group_id"
    LEFT JOIN "leaver_moments" AS "l"
      ON "l"."ds" = "s"."ds" AND "l"."group_id" = "s"."group_id"
  ), "by_rollup" AS (
    SELECT
      "r"."rollup",
      "t"."ds",
      "t"."group_id",
      "t"."units",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m0_daily" ELSE "t"."m0_cumulative" END AS "m0",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m1_daily" ELSE "t"."m1_cumulative" END AS "m1",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m2_daily" ELSE "t"."m2_cumulative" END AS "m2",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m3_daily" ELSE "t"."m3_cumulative" END AS "m3",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m4_daily" ELSE "t"."m4_cumulative" END AS "m4",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m5_daily" ELSE "t"."m5_cumulative" END AS "m5",
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m6_daily" ELSE "t"."m6_cumulative" END AS "m6"
    FROM "series" AS "t"
    CROSS JOIN (
      SELECT
        "r"."rollup"
      FROM (VALUES
        ('cumulative')) AS "r"("rollup")
    ) AS "r"
  )
  SELECT
    "k"."rollup",
    "t"."ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "t"."group_id",
    "t"."units",
    CASE WHEN "k"."number" = 0 THEN "t"."m3" WHEN "k"."number" = 1 THEN "t"."m0" END AS "total",
    CASE WHEN "k"."number" = 0 THEN "t"."m4" WHEN "k"."number" = 1 THEN "t"."m1" END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST("t"."units" AS DOUBLE)
      WHEN "k"."number" = 1
      THEN "t"."m5"
    END AS "divisor",
    CASE WHEN "k"."number" = 1 THEN "t"."m5" END AS "denominator_total",
    CASE WHEN "k"."number" = 1 THEN "t"."m6" END AS "denominator_total_squares",
    CASE WHEN "k"."number" = 1 THEN "t"."m2" END AS "numerator_denominator_product",
    CAST(NULL AS DOUBLE) AS "covariate_total",
    CAST(NULL AS DOUBLE) AS "covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM "by_rollup" AS "t"
  JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('cumulative', 'latest', 0),
      ('cumulative', 'back', 1)) AS "k"("rollup", "metric", "number")
  ) AS "k"
    ON "k"."rollup" = "t"."rollup"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE WHEN ISFINITE("z"."total") THEN "z"."total" END AS "total",
  CASE WHEN ISFINITE("z"."total_squares") THEN "z"."total_squares" END AS "total_squares",
  COALESCE(
    CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
    CASE
      WHEN ISFINITE("z"."total" / NULLIF("z"."divisor", 0))
      THEN "z"."total" / NULLIF("z"."divisor", 0)
    END
  ) AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE("z"."total_squares" - "z"."total" * "z"."total" / "z"."units")
    THEN CASE
      WHEN (
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      ) IS NULL
      OR CAST(0 AS DOUBLE) IS NULL
      THEN NULL
      ELSE COALESCE(
        GREATEST(
          CASE
            WHEN ISNAN(
              (
                "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
              ) / (
                "z"."units" - 1
              )
            )
            THEN NULL
            ELSE (
              "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
            ) / (
              "z"."units" - 1
            )
          END,
          CAST(0 AS DOUBLE)
        ),
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      )
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      SUM("w"."v0") AS "m2",
      SUM("w"."v0" * COALESCE("x"."x0", CAST(0 AS DOUBLE))) AS "m3",
      SUM("w"."v0" * "w"."v0") AS "m4"
    FROM (
      SELECT
        "p"."point",
        "p"."unit_id",
        "p"."group_id",
        "p"."p0" AS "v0"
      FROM (
        SELECT
          "s"."point",
          "s"."unit_id",
          "s"."group_id",
          "s"."a0" AS "p0"
        FROM (
          WITH "activity" AS (
            SELECT
              "m"."unit_id",
              "m"."group_id",
              "m"."first_exposure_ds",
              "m"."enters_ds",
              "m"."leaves_ds",
              "u"."ds" AS "ds",
              COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
            FROM (
              SELECT
                "u"."unit_id",
                "u"."ds",
                CAST("u"."sum_usd_a444f45d" AS DOUBLE) AS "a0"
              FROM (
                SELECT
                  "u"."unit_id",
                  "u"."ds",
                  "u"."sum_usd_a444f45d"
                FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
              ) AS "u"
            ) AS "u"
            JOIN (
              SELECT
                "f"."unit_id",
                "f"."group_id",
                "f"."first_exposure_ds",
                "f"."first_exposure_ds" AS "enters_ds",
                CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
              FROM "statsig_staging"."first_exposures_123" AS "f"
            ) AS "m"
              ON "m"."unit_id" = "u"."unit_id"
          ), "running" AS (
            SELECT
              "a"."unit_id",
              "a"."group_id",
              "a"."first_exposure_ds",
              "a"."enters_ds",
              "a"."leaves_ds",
              "a"."ds",
              LEAD("a"."ds") OVER (PARTITION BY "a"."unit_id" ORDER BY "a"."ds") AS "until_ds",
              SUM("a"."a0") OVER (
                PARTITION BY "a"."unit_id"
                ORDER BY "a"."ds"
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
              ) AS "a0"
            FROM "activity" AS "a"
          )
          SELECT
            "d"."ds" AS "point",
            "r"."unit_id",
            "r"."group_id",
            "r"."first_exposure_ds",
            "r"."a0"
          FROM "running" AS "r"
          JOIN (
            SELECT
              "d"."ds"
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE))) AS "d"("ds")
          ) AS "d"
            ON "d"."ds" >= "r"."ds" AND "d"."ds" >= "r"."enters_ds"
          WHERE
            (
              "r"."until_ds" IS NULL OR "d"."ds" < "r"."until_ds"
            )
            AND (
              "r"."leaves_ds" IS NULL OR "d"."ds" < "r"."leaves_ds"
            )
        ) AS "s"
      ) AS "p"
    ) AS "w"
    LEFT JOIN (
      SELECT
        "u"."unit_id",
        SUM(COALESCE("u"."b0", CAST(0 AS DOUBLE))) AS "x0"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST("u"."sum_usd_083838d4" AS DOUBLE) AS "b0"
        FROM (
          SELECT
            "u"."unit_id",
            "u"."ds",
            "u"."sum_usd_083838d4"
          FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
        ) AS "u"
      ) AS "u"
      GROUP BY
        "u"."unit_id"
    ) AS "x"
      ON "x"."unit_id" = "w"."unit_id"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m2", CAST(0 AS DOUBLE)) END AS "total",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m4", CAST(0 AS DOUBLE)) END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
    END AS "divisor",
    CAST(NULL AS DOUBLE) AS "denominator_total",
    CAST(NULL AS DOUBLE) AS "denominator_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_product",
    CASE WHEN "k"."number" = 0 THEN COALESCE("c"."m0", CAST(0 AS DOUBLE)) END AS "covariate_total",
    CASE WHEN "k"."number" = 0 THEN COALESCE("c"."m1", CAST(0 AS DOUBLE)) END AS "covariate_total_squares",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m3", CAST(0 AS DOUBLE)) END AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units",
      SUM(COALESCE("x"."x0", CAST(0 AS DOUBLE))) AS "m0",
      SUM(COALESCE("x"."x0" * "x"."x0", CAST(0 AS DOUBLE))) AS "m1"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        "f"."first_exposure_ds" AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    LEFT JOIN (
      SELECT
        "u"."unit_id",
        SUM(COALESCE("u"."b0", CAST(0 AS DOUBLE))) AS "x0"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST("u"."sum_usd_083838d4" AS DOUBLE) AS "b0"
        FROM (
          SELECT
            "u"."unit_id",
            "u"."ds",
            "u"."sum_usd_083838d4"
          FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
        ) AS "u"
      ) AS "u"
      GROUP BY
        "u"."unit_id"
    ) AS "x"
      ON "x"."unit_id" = "m"."unit_id"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('cumulative', 'adjusted', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE
    WHEN ISFINITE(
      ATHENA_MUST(
        "z"."total",
        ATHENA_FAMILY("z"."total") IN ('number', 'null'),
        'TYPE_MISMATCH: is_finite takes number'
      )
    )
    THEN "z"."total"
  END AS "total",
  CASE
    WHEN ISFINITE(
      ATHENA_MUST(
        "z"."total_squares",
        ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
        'TYPE_MISMATCH: is_finite takes number'
      )
    )
    THEN "z"."total_squares"
  END AS "total_squares",
  CASE
    WHEN (
      ATHENA_ALIKE(
        CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
        CASE
          WHEN ISFINITE(
            ATHENA_MUST(
              "z"."total" / NULLIF("z"."divisor", 0),
              ATHENA_FAMILY("z"."total" / NULLIF("z"."divisor", 0)) IN ('number', 'null'),
              'TYPE_MISMATCH: is_finite takes number'
            )
          )
          THEN "z"."total" / NULLIF("z"."divisor", 0)
        END
      )
    )
    THEN COALESCE(
      CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
      CASE
        WHEN ISFINITE(
          ATHENA_MUST(
            "z"."total" / NULLIF("z"."divisor", 0),
            ATHENA_FAMILY("z"."total" / NULLIF("z"."divisor", 0)) IN ('number', 'null'),
            'TYPE_MISMATCH: is_finite takes number'
          )
        )
        THEN "z"."total" / NULLIF("z"."divisor", 0)
      END
    )
  END AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE(
      ATHENA_MUST(
        ATHENA_MUST(
          "z"."total_squares",
          ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
          'TYPE_MISMATCH: - takes number'
        ) - ATHENA_MUST(
          ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
          ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
          'TYPE_MISMATCH: - takes number'
        ),
        ATHENA_FAMILY(
          ATHENA_MUST(
            "z"."total_squares",
            ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
            'TYPE_MISMATCH: - takes number'
          ) - ATHENA_MUST(
            ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
            ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
            'TYPE_MISMATCH: - takes number'
          )
        ) IN ('number', 'null'),
        'TYPE_MISMATCH: is_finite takes number'
      )
    )
    THEN CASE
      WHEN (
        ATHENA_ALIKE(
          ATHENA_DIVIDE(
            (
              ATHENA_MUST(
                "z"."total_squares",
                ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ),
            (
              "z"."units" - 1
            )
          ),
          CAST(0 AS DOUBLE)
        )
      )
      THEN CASE
        WHEN ATHENA_DIVIDE(
          (
            ATHENA_MUST(
              "z"."total_squares",
              ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
              'TYPE_MISMATCH: - takes number'
            ) - ATHENA_MUST(
              ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
              ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
              'TYPE_MISMATCH: - takes number'
            )
          ),
          (
            "z"."units" - 1
          )
        ) IS NULL
        OR CAST(0 AS DOUBLE) IS NULL
        THEN NULL
        ELSE COALESCE(
          GREATEST(
            CASE
              WHEN ATHENA_IS_NAN(
                ATHENA_DIVIDE(
                  (
                    ATHENA_MUST(
                      "z"."total_squares",
                      ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                      'TYPE_MISMATCH: - takes number'
                    ) - ATHENA_MUST(
                      ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                      ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                      'TYPE_MISMATCH: - takes number'
                    )
                  ),
                  (
                    "z"."units" - 1
                  )
                )
              )
              THEN NULL
              ELSE ATHENA_DIVIDE(
                (
                  ATHENA_MUST(
                    "z"."total_squares",
                    ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                    'TYPE_MISMATCH: - takes number'
                  ) - ATHENA_MUST(
                    ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                    ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                    'TYPE_MISMATCH: - takes number'
                  )
                ),
                (
                  "z"."units" - 1
                )
              )
            END,
            CAST(0 AS DOUBLE)
          ),
          ATHENA_DIVIDE(
            (
              ATHENA_MUST(
                "z"."total_squares",
                ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ),
            (
              "z"."units" - 1
            )
          )
        )
      END
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      ATHENA_MUST(
        SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0",
              ATHENA_FAMILY("w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ),
        TYPEOF(
          SUM(
            ATHENA_MUST(
              ATHENA_MUST(
                "w"."v0",
                ATHENA_FAMILY("w"."v0") IN ('number', 'null'),
                'TYPE_MISMATCH: sum takes number'
              ),
              TYPEOF("w"."v0") <> 'FLOAT',
              'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
            )
          )
        ) <> 'HUGEINT'
        OR SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0",
              ATHENA_FAMILY("w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ) BETWEEN -9223372036854775807 AND 9223372036854775807,
        'NUMERIC_VALUE_OUT_OF_RANGE: bigint sum overflow'
      ) AS "m0",
      ATHENA_MUST(
        SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0" * "w"."v0",
              ATHENA_FAMILY("w"."v0" * "w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0" * "w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ),
        TYPEOF(
          SUM(
            ATHENA_MUST(
              ATHENA_MUST(
                "w"."v0" * "w"."v0",
                ATHENA_FAMILY("w"."v0" * "w"."v0") IN ('number', 'null'),
                'TYPE_MISMATCH: sum takes number'
              ),
              TYPEOF("w"."v0" * "w"."v0") <> 'FLOAT',
              'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
            )
          )
        ) <> 'HUGEINT'
        OR SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0" * "w"."v0",
              ATHENA_FAMILY("w"."v0" * "w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0" * "w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ) BETWEEN -9223372036854775807 AND 9223372036854775807,
        'NUMERIC_VALUE_OUT_OF_RANGE: bigint sum overflow'
      ) AS "m1"
    FROM (
      WITH "unclamped" AS (
        SELECT
          "v".*
        FROM (
          SELECT
            "p"."point",
            "p"."unit_id",
            "p"."group_id",
            "p"."p0" AS "v0"
          FROM (
            SELECT
              "s"."point",
              "s"."unit_id",
              "s"."group_id",
              "s"."a0" AS "p0"
            FROM (
              WITH "activity" AS (
                SELECT
                  "m"."unit_id",
                  "m"."group_id",
                  "m"."first_exposure_ds",
                  "m"."enters_ds",
                  "m"."leaves_ds",
                  CAST((
                    "u"."ds" + 1
                  ) AS DATE) AS "ds",
                  COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
                FROM (
                  SELECT
                    "u"."unit_id",
                    "u"."ds",
                    CAST("u"."sum_usd_0ee4ecd4" AS DOUBLE) AS "a0"
                  FROM (
                    SELECT
                      "u"."unit_id",
                      "u"."ds",
                      "u"."sum_usd_0ee4ecd4"
                    FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
                  ) AS "u"
                ) AS "u"
                JOIN (
                  SELECT
                    "f"."unit_id",
                    "f"."group_id",
                    "f"."first_exposure_ds",
                    CAST((
                      "f"."first_exposure_ds" + 1
                    ) AS DATE) AS "enters_ds",
                    CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
                  FROM "statsig_staging"."first_exposures_123" AS "f"
                ) AS "m"
                  ON "m"."unit_id" = "u"."unit_id"
              ), "running" AS (
                SELECT
                  "a"."unit_id",
                  "a"."group_id",
                  "a"."first_exposure_ds",
                  "a"."enters_ds",
                  "a"."leaves_ds",
                  "a"."ds",
                  LEAD("a"."ds") OVER (PARTITION BY "a"."unit_id" ORDER BY "a"."ds") AS "until_ds",
                  SUM("a"."a0") OVER (
                    PARTITION BY "a"."unit_id"
                    ORDER BY "a"."ds"
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                  ) AS "a0"
                FROM "activity" AS "a"
              )
              SELECT
                "d"."ds" AS "point",
                "r"."unit_id",
                "r"."group_id",
                "r"."first_exposure_ds",
                "r"."a0"
              FROM "running" AS "r"
              JOIN (
                SELECT
                  "d"."ds"
                FROM (VALUES
                  (CAST('2026-01-01' AS DATE)),
                  (CAST('2026-01-02' AS DATE)),
                  (CAST('2026-01-03' AS DATE))) AS "d"("ds")
              ) AS "d"
                ON "d"."ds" >= "r"."ds" AND "d"."ds" >= "r"."enters_ds"
              WHERE
                (
                  "r"."until_ds" IS NULL OR "d"."ds" < "r"."until_ds"
                )
                AND (
                  "r"."leaves_ds" IS NULL OR "d"."ds" < "r"."leaves_ds"
                )
            ) AS "s"
          ) AS "p"
        ) AS "v"
      ), "sorted" AS (
        SELECT
          "n"."point",
          LIST_SORT(
            ARRAY_AGG("n"."v0") FILTER(WHERE
              "n"."v0" <> CAST(0 AS DOUBLE)),
            'ASC',
            'NULLS LAST'
          ) AS "v0"
        FROM "unclamped" AS "n"
        GROUP BY
          "n"."point"
      ), "bounds" AS (
        SELECT
          "o"."point",
          ATHENA_MUST(
            "o"."v0"[ATHENA_MUST(
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.01e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT),
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.01e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT) <> 0,
              'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
            )],
            ATHENA_FAMILY(
              "o"."v0"[ATHENA_MUST(
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.01e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT),
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.01e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT) <> 0,
                'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
              )]
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) + ATHENA_MUST(
            (
              ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ) * (
              (
                CAST(0.01e0 AS DOUBLE) * CAST((
                  CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                ) AS DOUBLE)
              ) - FLOOR(
                (
                  CAST(0.01e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                )
              )
            ),
            ATHENA_FAMILY(
              (
                ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                ) - ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                )
              ) * (
                (
                  CAST(0.01e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                ) - FLOOR(
                  (
                    CAST(0.01e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              )
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) AS "v0_low",
          ATHENA_MUST(
            "o"."v0"[ATHENA_MUST(
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.99e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT),
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.99e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT) <> 0,
              'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
            )],
            ATHENA_FAMILY(
              "o"."v0"[ATHENA_MUST(
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.99e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT),
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.99e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT) <> 0,
                'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
              )]
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) + ATHENA_MUST(
            (
              ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ) * (
              (
                CAST(0.99e0 AS DOUBLE) * CAST((
                  CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                ) AS DOUBLE)
              ) - FLOOR(
                (
                  CAST(0.99e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                )
              )
            ),
            ATHENA_FAMILY(
              (
                ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                ) - ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                )
              ) * (
                (
                  CAST(0.99e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                ) - FLOOR(
                  (
                    CAST(0.99e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              )
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) AS "v0_high"
        FROM "sorted" AS "o"
      )
      SELECT
        "c"."point",
        "c"."unit_id",
        "c"."group_id",
        CASE
          WHEN (
            ATHENA_ALIKE("c"."v0", "b"."v0_low") AND ATHENA_ALIKE("c"."v0", "b"."v0_high")
          )
          THEN CASE
            WHEN "c"."v0" = CAST(0 AS DOUBLE)
            THEN "c"."v0"
            WHEN (
              (
                "c"."v0" < "b"."v0_low"
                AND NOT (
                  (
                    ATHENA_IS_NAN("b"."v0_low") AND NOT "c"."v0" IS NULL
                  )
                )
              )
              AND ATHENA_ALIKE("c"."v0", "b"."v0_low")
            )
            THEN "b"."v0_low"
            WHEN (
              (
                "c"."v0" > "b"."v0_high"
                AND NOT (
                  (
                    ISNAN("c"."v0") AND NOT "b"."v0_high" IS NULL
                  )
                )
              )
              AND ATHENA_ALIKE("c"."v0", "b"."v0_high")
            )
            THEN "b"."v0_high"
            ELSE "c"."v0"
          END
        END AS "v0"
      FROM "unclamped" AS "c"
      JOIN "bounds" AS "b"
        ON "b"."point" = "c"."point"
    ) AS "w"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE
      WHEN "k"."number" = 0
      THEN CASE
        WHEN (
          ATHENA_ALIKE("t"."m0", CAST(0 AS DOUBLE))
        )
        THEN COALESCE("t"."m0", CAST(0 AS DOUBLE))
      END
    END AS "total",
    CASE
      WHEN "k"."number" = 0
      THEN CASE
        WHEN (
          ATHENA_ALIKE("t"."m1", CAST(0 AS DOUBLE))
        )
        THEN COALESCE("t"."m1", CAST(0 AS DOUBLE))
      END
    END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
    END AS "divisor",
    CAST(NULL AS DOUBLE) AS "denominator_total",
    CAST(NULL AS DOUBLE) AS "denominator_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_product",
    CAST(NULL AS DOUBLE) AS "covariate_total",
    CAST(NULL AS DOUBLE) AS "covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        CAST((
          "f"."first_exposure_ds" + 1
        ) AS DATE) AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('cumulative', 'held', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE WHEN ISFINITE("z"."total") THEN "z"."total" END AS "total",
  CASE WHEN ISFINITE("z"."total_squares") THEN "z"."total_squares" END AS "total_squares",
  COALESCE(
    CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
    CASE
      WHEN ISFINITE("z"."total" / NULLIF("z"."divisor", 0))
      THEN "z"."total" / NULLIF("z"."divisor", 0)
    END
  ) AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE("z"."total_squares" - "z"."total" * "z"."total" / "z"."units")
    THEN CASE
      WHEN (
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      ) IS NULL
      OR CAST(0 AS DOUBLE) IS NULL
      THEN NULL
      ELSE COALESCE(
        GREATEST(
          CASE
            WHEN ISNAN(
              (
                "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
              ) / (
                "z"."units" - 1
              )
            )
            THEN NULL
            ELSE (
              "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
            ) / (
              "z"."units" - 1
            )
          END,
          CAST(0 AS DOUBLE)
        ),
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      )
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      SUM("w"."v0") AS "m0",
      SUM("w"."v0" * "w"."v0") AS "m1"
    FROM (
      SELECT
        "p"."point",
        "p"."unit_id",
        "p"."group_id",
        "p"."p0" AS "v0"
      FROM (
        SELECT
          "s"."point",
          "s"."unit_id",
          "s"."group_id",
          "s"."a0" AS "p0"
        FROM (
          WITH "activity" AS (
            SELECT
              "m"."unit_id",
              "m"."group_id",
              "m"."first_exposure_ds",
              "m"."enters_ds",
              "m"."leaves_ds",
              "u"."ds" AS "ds",
              COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
            FROM (
              SELECT
                "u"."unit_id",
                "u"."ds",
                CAST("u"."sum_usd_0ee4ecd4" AS DOUBLE) AS "a0"
              FROM (
                SELECT
                  "u"."unit_id",
                  "u"."ds",
                  "u"."sum_usd_0ee4ecd4"
                FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
              ) AS "u"
            ) AS "u"
            JOIN (
              SELECT
                "f"."unit_id",
                "f"."group_id",
                "f"."first_exposure_ds",
                CASE
                  WHEN (
                    "f"."first_exposure" + TO_DAYS(5)
                  ) = CAST(CAST((
                    "f"."first_exposure" + TO_DAYS(5)
                  ) AS DATE) AS TIMESTAMP)
                  THEN CAST((
                    CAST((
                      "f"."first_exposure" + TO_DAYS(5)
                    ) AS DATE) + -1
                  ) AS DATE)
                  ELSE CAST((
                    "f"."first_exposure" + TO_DAYS(5)
                  ) AS DATE)
                END AS "enters_ds",
                CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
              FROM "statsig_staging"."first_exposures_123" AS "f"
            ) AS "m"
              ON "m"."unit_id" = "u"."unit_id"
          ), "running" AS (
            SELECT
              "a"."unit_id",
              "a"."group_id",
              "a"."first_exposure_ds",
              "a"."enters_ds",
              "a"."leaves_ds",
              "a"."ds",
              LEAD("a"."ds") OVER (PARTITION BY "a"."unit_id" ORDER BY "a"."ds") AS "until_ds",
              SUM("a"."a0") OVER (
                PARTITION BY "a"."unit_id"
                ORDER BY "a"."ds"
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
              ) AS "a0"
            FROM "activity" AS "a"
          )
          SELECT
            "d"."ds" AS "point",
            "r"."unit_id",
            "r"."group_id",
            "r"."first_exposure_ds",
            "r"."a0"
          FROM "running" AS "r"
          JOIN (
            SELECT
              "d"."ds"
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE))) AS "d"("ds")
          ) AS "d"
            ON "d"."ds" >= "r"."ds" AND "d"."ds" >= "r"."enters_ds"
          WHERE
            (
              "r"."until_ds" IS NULL OR "d"."ds" < "r"."until_ds"
            )
            AND (
              "r"."leaves_ds" IS NULL OR "d"."ds" < "r"."leaves_ds"
            )
        ) AS "s"
      ) AS "p"
    ) AS "w"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m0", CAST(0 AS DOUBLE)) END AS "total",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m1", CAST(0 AS DOUBLE)) END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
    END AS "divisor",
    CAST(NULL AS DOUBLE) AS "denominator_total",
    CAST(NULL AS DOUBLE) AS "denominator_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_product",
    CAST(NULL AS DOUBLE) AS "covariate_total",
    CAST(NULL AS DOUBLE) AS "covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        CASE
          WHEN (
            "f"."first_exposure" + TO_DAYS(5)
          ) = CAST(CAST((
            "f"."first_exposure" + TO_DAYS(5)
          ) AS DATE) AS TIMESTAMP)
          THEN CAST((
            CAST((
              "f"."first_exposure" + TO_DAYS(5)
            ) AS DATE) + -1
          ) AS DATE)
          ELSE CAST((
            "f"."first_exposure" + TO_DAYS(5)
          ) AS DATE)
        END AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('cumulative', 'first_week', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE WHEN ISFINITE("z"."total") THEN "z"."total" END AS "total",
  CASE WHEN ISFINITE("z"."total_squares") THEN "z"."total_squares" END AS "total_squares",
  COALESCE(
    CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
    CASE
      WHEN ISFINITE("z"."total" / NULLIF("z"."divisor", 0))
      THEN "z"."total" / NULLIF("z"."divisor", 0)
    END
  ) AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE("z"."total_squares" - "z"."total" * "z"."total" / "z"."units")
    THEN CASE
      WHEN (
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      ) IS NULL
      OR CAST(0 AS DOUBLE) IS NULL
      THEN NULL
      ELSE COALESCE(
        GREATEST(
          CASE
            WHEN ISNAN(
              (
                "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
              ) / (
                "z"."units" - 1
              )
            )
            THEN NULL
            ELSE (
              "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
            ) / (
              "z"."units" - 1
            )
          END,
          CAST(0 AS DOUBLE)
        ),
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      )
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      SUM("w"."v0") AS "m2",
      SUM("w"."v0" * COALESCE("x"."x0", CAST(0 AS DOUBLE))) AS "m3",
      SUM("w"."v0" * "w"."v0") AS "m4"
    FROM (
      SELECT
        "p"."point",
        "p"."unit_id",
        "p"."group_id",
        "p"."p0" AS "v0"
      FROM (
        SELECT
          "s"."point",
          "s"."unit_id",
          "s"."group_id",
          "s"."a0" AS "p0"
        FROM (
          WITH "activity" AS (
            SELECT
              "m"."unit_id",
              "m"."group_id",
              "m"."first_exposure_ds",
              "m"."enters_ds",
              "m"."leaves_ds",
              "u"."ds" AS "ds",
              CAST((
                "u"."ds" + 7
              ) AS DATE) AS "gone_ds",
              COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
            FROM (
              SELECT
                "u"."unit_id",
                "u"."ds",
                CAST("u"."sum_usd_a444f45d" AS DOUBLE) AS "a0"
              FROM (
                SELECT
                  "u"."unit_id",
                  "u"."ds",
                  "u"."sum_usd_a444f45d"
                FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
                WHERE
                  "u"."ds" >= CAST('2025-12-26' AS DATE)
              ) AS "u"
            ) AS "u"
            JOIN (
              SELECT
                "f"."unit_id",
                "f"."group_id",
                "f"."first_exposure_ds",
                "f"."first_exposure_ds" AS "enters_ds",
                CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
              FROM "statsig_staging"."first_exposures_123" AS "f"
            ) AS "m"
              ON "m"."unit_id" = "u"."unit_id"
          )
          SELECT
            "d"."ds" AS "point",
            "a"."unit_id",
            "a"."group_id",
            "a"."first_exposure_ds",
            SUM("a"."a0") AS "a0"
          FROM "activity" AS "a"
          JOIN (
            SELECT
              "d"."ds"
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE))) AS "d"("ds")
          ) AS "d"
            ON "d"."ds" >= "a"."ds" AND "d"."ds" < "a"."gone_ds"
          WHERE
            "d"."ds" >= "a"."enters_ds"
            AND (
              "a"."leaves_ds" IS NULL OR "d"."ds" < "a"."leaves_ds"
            )
          GROUP BY
            "d"."ds",
            "a"."unit_id",
            "a"."group_id",
            "a"."first_exposure_ds"
        ) AS "s"
      ) AS "p"
    ) AS "w"
    LEFT JOIN (
      SELECT
        "u"."unit_id",
        SUM(COALESCE("u"."b0", CAST(0 AS DOUBLE))) AS "x0"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST("u"."sum_usd_083838d4" AS DOUBLE) AS "b0"
        FROM (
          SELECT
            "u"."unit_id",
            "u"."ds",
            "u"."sum_usd_083838d4"
          FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
        ) AS "u"
      ) AS "u"
      GROUP BY
        "u"."unit_id"
    ) AS "x"
      ON "x"."unit_id" = "w"."unit_id"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m2", CAST(0 AS DOUBLE)) END AS "total",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m4", CAST(0 AS DOUBLE)) END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
    END AS "divisor",
    CAST(NULL AS DOUBLE) AS "denominator_total",
    CAST(NULL AS DOUBLE) AS "denominator_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_product",
    CASE WHEN "k"."number" = 0 THEN COALESCE("c"."m0", CAST(0 AS DOUBLE)) END AS "covariate_total",
    CASE WHEN "k"."number" = 0 THEN COALESCE("c"."m1", CAST(0 AS DOUBLE)) END AS "covariate_total_squares",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m3", CAST(0 AS DOUBLE)) END AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units",
      SUM(COALESCE("x"."x0", CAST(0 AS DOUBLE))) AS "m0",
      SUM(COALESCE("x"."x0" * "x"."x0", CAST(0 AS DOUBLE))) AS "m1"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        "f"."first_exposure_ds" AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    LEFT JOIN (
      SELECT
        "u"."unit_id",
        SUM(COALESCE("u"."b0", CAST(0 AS DOUBLE))) AS "x0"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          CAST("u"."sum_usd_083838d4" AS DOUBLE) AS "b0"
        FROM (
          SELECT
            "u"."unit_id",
            "u"."ds",
            "u"."sum_usd_083838d4"
          FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
        ) AS "u"
      ) AS "u"
      GROUP BY
        "u"."unit_id"
    ) AS "x"
      ON "x"."unit_id" = "m"."unit_id"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('7_day', 'adjusted', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE
    WHEN ISFINITE(
      ATHENA_MUST(
        "z"."total",
        ATHENA_FAMILY("z"."total") IN ('number', 'null'),
        'TYPE_MISMATCH: is_finite takes number'
      )
    )
    THEN "z"."total"
  END AS "total",
  CASE
    WHEN ISFINITE(
      ATHENA_MUST(
        "z"."total_squares",
        ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
        'TYPE_MISMATCH: is_finite takes number'
      )
    )
    THEN "z"."total_squares"
  END AS "total_squares",
  CASE
    WHEN (
      ATHENA_ALIKE(
        CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
        CASE
          WHEN ISFINITE(
            ATHENA_MUST(
              "z"."total" / NULLIF("z"."divisor", 0),
              ATHENA_FAMILY("z"."total" / NULLIF("z"."divisor", 0)) IN ('number', 'null'),
              'TYPE_MISMATCH: is_finite takes number'
            )
          )
          THEN "z"."total" / NULLIF("z"."divisor", 0)
        END
      )
    )
    THEN COALESCE(
      CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
      CASE
        WHEN ISFINITE(
          ATHENA_MUST(
            "z"."total" / NULLIF("z"."divisor", 0),
            ATHENA_FAMILY("z"."total" / NULLIF("z"."divisor", 0)) IN ('number', 'null'),
            'TYPE_MISMATCH: is_finite takes number'
          )
        )
        THEN "z"."total" / NULLIF("z"."divisor", 0)
      END
    )
  END AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE(
      ATHENA_MUST(
        ATHENA_MUST(
          "z"."total_squares",
          ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
          'TYPE_MISMATCH: - takes number'
        ) - ATHENA_MUST(
          ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
          ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
          'TYPE_MISMATCH: - takes number'
        ),
        ATHENA_FAMILY(
          ATHENA_MUST(
            "z"."total_squares",
            ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
            'TYPE_MISMATCH: - takes number'
          ) - ATHENA_MUST(
            ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
            ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
            'TYPE_MISMATCH: - takes number'
          )
        ) IN ('number', 'null'),
        'TYPE_MISMATCH: is_finite takes number'
      )
    )
    THEN CASE
      WHEN (
        ATHENA_ALIKE(
          ATHENA_DIVIDE(
            (
              ATHENA_MUST(
                "z"."total_squares",
                ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ),
            (
              "z"."units" - 1
            )
          ),
          CAST(0 AS DOUBLE)
        )
      )
      THEN CASE
        WHEN ATHENA_DIVIDE(
          (
            ATHENA_MUST(
              "z"."total_squares",
              ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
              'TYPE_MISMATCH: - takes number'
            ) - ATHENA_MUST(
              ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
              ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
              'TYPE_MISMATCH: - takes number'
            )
          ),
          (
            "z"."units" - 1
          )
        ) IS NULL
        OR CAST(0 AS DOUBLE) IS NULL
        THEN NULL
        ELSE COALESCE(
          GREATEST(
            CASE
              WHEN ATHENA_IS_NAN(
                ATHENA_DIVIDE(
                  (
                    ATHENA_MUST(
                      "z"."total_squares",
                      ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                      'TYPE_MISMATCH: - takes number'
                    ) - ATHENA_MUST(
                      ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                      ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                      'TYPE_MISMATCH: - takes number'
                    )
                  ),
                  (
                    "z"."units" - 1
                  )
                )
              )
              THEN NULL
              ELSE ATHENA_DIVIDE(
                (
                  ATHENA_MUST(
                    "z"."total_squares",
                    ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                    'TYPE_MISMATCH: - takes number'
                  ) - ATHENA_MUST(
                    ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                    ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                    'TYPE_MISMATCH: - takes number'
                  )
                ),
                (
                  "z"."units" - 1
                )
              )
            END,
            CAST(0 AS DOUBLE)
          ),
          ATHENA_DIVIDE(
            (
              ATHENA_MUST(
                "z"."total_squares",
                ATHENA_FAMILY("z"."total_squares") IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units"),
                ATHENA_FAMILY(ATHENA_DIVIDE("z"."total" * "z"."total", "z"."units")) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ),
            (
              "z"."units" - 1
            )
          )
        )
      END
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      ATHENA_MUST(
        SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0",
              ATHENA_FAMILY("w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ),
        TYPEOF(
          SUM(
            ATHENA_MUST(
              ATHENA_MUST(
                "w"."v0",
                ATHENA_FAMILY("w"."v0") IN ('number', 'null'),
                'TYPE_MISMATCH: sum takes number'
              ),
              TYPEOF("w"."v0") <> 'FLOAT',
              'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
            )
          )
        ) <> 'HUGEINT'
        OR SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0",
              ATHENA_FAMILY("w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ) BETWEEN -9223372036854775807 AND 9223372036854775807,
        'NUMERIC_VALUE_OUT_OF_RANGE: bigint sum overflow'
      ) AS "m0",
      ATHENA_MUST(
        SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0" * "w"."v0",
              ATHENA_FAMILY("w"."v0" * "w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0" * "w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ),
        TYPEOF(
          SUM(
            ATHENA_MUST(
              ATHENA_MUST(
                "w"."v0" * "w"."v0",
                ATHENA_FAMILY("w"."v0" * "w"."v0") IN ('number', 'null'),
                'TYPE_MISMATCH: sum takes number'
              ),
              TYPEOF("w"."v0" * "w"."v0") <> 'FLOAT',
              'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
            )
          )
        ) <> 'HUGEINT'
        OR SUM(
          ATHENA_MUST(
            ATHENA_MUST(
              "w"."v0" * "w"."v0",
              ATHENA_FAMILY("w"."v0" * "w"."v0") IN ('number', 'null'),
              'TYPE_MISMATCH: sum takes number'
            ),
            TYPEOF("w"."v0" * "w"."v0") <> 'FLOAT',
            'TYPE_MISMATCH: a REAL column is not known here; CAST it to DOUBLE'
          )
        ) BETWEEN -9223372036854775807 AND 9223372036854775807,
        'NUMERIC_VALUE_OUT_OF_RANGE: bigint sum overflow'
      ) AS "m1"
    FROM (
      WITH "unclamped" AS (
        SELECT
          "v".*
        FROM (
          SELECT
            "p"."point",
            "p"."unit_id",
            "p"."group_id",
            "p"."p0" AS "v0"
          FROM (
            SELECT
              "s"."point",
              "s"."unit_id",
              "s"."group_id",
              "s"."a0" AS "p0"
            FROM (
              WITH "activity" AS (
                SELECT
                  "m"."unit_id",
                  "m"."group_id",
                  "m"."first_exposure_ds",
                  "m"."enters_ds",
                  "m"."leaves_ds",
                  CAST((
                    "u"."ds" + 1
                  ) AS DATE) AS "ds",
                  CAST((
                    "u"."ds" + 8
                  ) AS DATE) AS "gone_ds",
                  COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
                FROM (
                  SELECT
                    "u"."unit_id",
                    "u"."ds",
                    CAST("u"."sum_usd_0ee4ecd4" AS DOUBLE) AS "a0"
                  FROM (
                    SELECT
                      "u"."unit_id",
                      "u"."ds",
                      "u"."sum_usd_0ee4ecd4"
                    FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
                    WHERE
                      "u"."ds" >= CAST('2025-12-25' AS DATE)
                  ) AS "u"
                ) AS "u"
                JOIN (
                  SELECT
                    "f"."unit_id",
                    "f"."group_id",
                    "f"."first_exposure_ds",
                    CAST((
                      "f"."first_exposure_ds" + 1
                    ) AS DATE) AS "enters_ds",
                    CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
                  FROM "statsig_staging"."first_exposures_123" AS "f"
                ) AS "m"
                  ON "m"."unit_id" = "u"."unit_id"
              )
              SELECT
                "d"."ds" AS "point",
                "a"."unit_id",
                "a"."group_id",
                "a"."first_exposure_ds",
                SUM("a"."a0") AS "a0"
              FROM "activity" AS "a"
              JOIN (
                SELECT
                  "d"."ds"
                FROM (VALUES
                  (CAST('2026-01-01' AS DATE)),
                  (CAST('2026-01-02' AS DATE)),
                  (CAST('2026-01-03' AS DATE))) AS "d"("ds")
              ) AS "d"
                ON "d"."ds" >= "a"."ds" AND "d"."ds" < "a"."gone_ds"
              WHERE
                "d"."ds" >= "a"."enters_ds"
                AND (
                  "a"."leaves_ds" IS NULL OR "d"."ds" < "a"."leaves_ds"
                )
              GROUP BY
                "d"."ds",
                "a"."unit_id",
                "a"."group_id",
                "a"."first_exposure_ds"
            ) AS "s"
          ) AS "p"
        ) AS "v"
      ), "sorted" AS (
        SELECT
          "n"."point",
          LIST_SORT(
            ARRAY_AGG("n"."v0") FILTER(WHERE
              "n"."v0" <> CAST(0 AS DOUBLE)),
            'ASC',
            'NULLS LAST'
          ) AS "v0"
        FROM "unclamped" AS "n"
        GROUP BY
          "n"."point"
      ), "bounds" AS (
        SELECT
          "o"."point",
          ATHENA_MUST(
            "o"."v0"[ATHENA_MUST(
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.01e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT),
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.01e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT) <> 0,
              'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
            )],
            ATHENA_FAMILY(
              "o"."v0"[ATHENA_MUST(
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.01e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT),
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.01e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT) <> 0,
                'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
              )]
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) + ATHENA_MUST(
            (
              ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.01e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ) * (
              (
                CAST(0.01e0 AS DOUBLE) * CAST((
                  CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                ) AS DOUBLE)
              ) - FLOOR(
                (
                  CAST(0.01e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                )
              )
            ),
            ATHENA_FAMILY(
              (
                ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                ) - ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.01e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.01e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                )
              ) * (
                (
                  CAST(0.01e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                ) - FLOOR(
                  (
                    CAST(0.01e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              )
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) AS "v0_low",
          ATHENA_MUST(
            "o"."v0"[ATHENA_MUST(
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.99e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT),
              CAST(CAST(ROUND(
                FLOOR(
                  (
                    CAST(0.99e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              ) AS BIGINT) + 1 AS BIGINT) <> 0,
              'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
            )],
            ATHENA_FAMILY(
              "o"."v0"[ATHENA_MUST(
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.99e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT),
                CAST(CAST(ROUND(
                  FLOOR(
                    (
                      CAST(0.99e0 AS DOUBLE) * CAST((
                        CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                      ) AS DOUBLE)
                    )
                  )
                ) AS BIGINT) + 1 AS BIGINT) <> 0,
                'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
              )]
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) + ATHENA_MUST(
            (
              ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    CEIL(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              ) - ATHENA_MUST(
                "o"."v0"[ATHENA_MUST(
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT),
                  CAST(CAST(ROUND(
                    FLOOR(
                      (
                        CAST(0.99e0 AS DOUBLE) * CAST((
                          CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                        ) AS DOUBLE)
                      )
                    )
                  ) AS BIGINT) + 1 AS BIGINT) <> 0,
                  'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                )],
                ATHENA_FAMILY(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )]
                ) IN ('number', 'null'),
                'TYPE_MISMATCH: - takes number'
              )
            ) * (
              (
                CAST(0.99e0 AS DOUBLE) * CAST((
                  CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                ) AS DOUBLE)
              ) - FLOOR(
                (
                  CAST(0.99e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                )
              )
            ),
            ATHENA_FAMILY(
              (
                ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      CEIL(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        CEIL(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                ) - ATHENA_MUST(
                  "o"."v0"[ATHENA_MUST(
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT),
                    CAST(CAST(ROUND(
                      FLOOR(
                        (
                          CAST(0.99e0 AS DOUBLE) * CAST((
                            CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                          ) AS DOUBLE)
                        )
                      )
                    ) AS BIGINT) + 1 AS BIGINT) <> 0,
                    'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                  )],
                  ATHENA_FAMILY(
                    "o"."v0"[ATHENA_MUST(
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT),
                      CAST(CAST(ROUND(
                        FLOOR(
                          (
                            CAST(0.99e0 AS DOUBLE) * CAST((
                              CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                            ) AS DOUBLE)
                          )
                        )
                      ) AS BIGINT) + 1 AS BIGINT) <> 0,
                      'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1'
                    )]
                  ) IN ('number', 'null'),
                  'TYPE_MISMATCH: - takes number'
                )
              ) * (
                (
                  CAST(0.99e0 AS DOUBLE) * CAST((
                    CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                  ) AS DOUBLE)
                ) - FLOOR(
                  (
                    CAST(0.99e0 AS DOUBLE) * CAST((
                      CAST(ARRAY_LENGTH("o"."v0") AS BIGINT) - 1
                    ) AS DOUBLE)
                  )
                )
              )
            ) IN ('number', 'null'),
            'TYPE_MISMATCH: + takes number'
          ) AS "v0_high"
        FROM "sorted" AS "o"
      )
      SELECT
        "c"."point",
        "c"."unit_id",
        "c"."group_id",
        CASE
          WHEN (
            ATHENA_ALIKE("c"."v0", "b"."v0_low") AND ATHENA_ALIKE("c"."v0", "b"."v0_high")
          )
          THEN CASE
            WHEN "c"."v0" = CAST(0 AS DOUBLE)
            THEN "c"."v0"
            WHEN (
              (
                "c"."v0" < "b"."v0_low"
                AND NOT (
                  (
                    ATHENA_IS_NAN("b"."v0_low") AND NOT "c"."v0" IS NULL
                  )
                )
              )
              AND ATHENA_ALIKE("c"."v0", "b"."v0_low")
            )
            THEN "b"."v0_low"
            WHEN (
              (
                "c"."v0" > "b"."v0_high"
                AND NOT (
                  (
                    ISNAN("c"."v0") AND NOT "b"."v0_high" IS NULL
                  )
                )
              )
              AND ATHENA_ALIKE("c"."v0", "b"."v0_high")
            )
            THEN "b"."v0_high"
            ELSE "c"."v0"
          END
        END AS "v0"
      FROM "unclamped" AS "c"
      JOIN "bounds" AS "b"
        ON "b"."point" = "c"."point"
    ) AS "w"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE
      WHEN "k"."number" = 0
      THEN CASE
        WHEN (
          ATHENA_ALIKE("t"."m0", CAST(0 AS DOUBLE))
        )
        THEN COALESCE("t"."m0", CAST(0 AS DOUBLE))
      END
    END AS "total",
    CASE
      WHEN "k"."number" = 0
      THEN CASE
        WHEN (
          ATHENA_ALIKE("t"."m1", CAST(0 AS DOUBLE))
        )
        THEN COALESCE("t"."m1", CAST(0 AS DOUBLE))
      END
    END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
    END AS "divisor",
    CAST(NULL AS DOUBLE) AS "denominator_total",
    CAST(NULL AS DOUBLE) AS "denominator_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_product",
    CAST(NULL AS DOUBLE) AS "covariate_total",
    CAST(NULL AS DOUBLE) AS "covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        CAST((
          "f"."first_exposure_ds" + 1
        ) AS DATE) AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('7_day', 'held', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE WHEN ISFINITE("z"."total") THEN "z"."total" END AS "total",
  CASE WHEN ISFINITE("z"."total_squares") THEN "z"."total_squares" END AS "total_squares",
  COALESCE(
    CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
    CASE
      WHEN ISFINITE("z"."total" / NULLIF("z"."divisor", 0))
      THEN "z"."total" / NULLIF("z"."divisor", 0)
    END
  ) AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE("z"."total_squares" - "z"."total" * "z"."total" / "z"."units")
    THEN CASE
      WHEN (
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      ) IS NULL
      OR CAST(0 AS DOUBLE) IS NULL
      THEN NULL
      ELSE COALESCE(
        GREATEST(
          CASE
            WHEN ISNAN(
              (
                "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
              ) / (
                "z"."units" - 1
              )
            )
            THEN NULL
            ELSE (
              "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
            ) / (
              "z"."units" - 1
            )
          END,
          CAST(0 AS DOUBLE)
        ),
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      )
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      SUM("w"."v0") AS "m0",
      SUM("w"."v0" * "w"."v0") AS "m1"
    FROM (
      SELECT
        "p"."point",
        "p"."unit_id",
        "p"."group_id",
        "p"."p0" AS "v0"
      FROM (
        SELECT
          "s"."point",
          "s"."unit_id",
          "s"."group_id",
          "s"."a0" AS "p0"
        FROM (
          WITH "activity" AS (
            SELECT
              "m"."unit_id",
              "m"."group_id",
              "m"."first_exposure_ds",
              "m"."enters_ds",
              "m"."leaves_ds",
              "u"."ds" AS "ds",
              CAST((
                "u"."ds" + 7
              ) AS DATE) AS "gone_ds",
              COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
            FROM (
              SELECT
                "u"."unit_id",
                "u"."ds",
                CAST("u"."sum_usd_0ee4ecd4" AS DOUBLE) AS "a0"
              FROM (
                SELECT
                  "u"."unit_id",
                  "u"."ds",
                  "u"."sum_usd_0ee4ecd4"
                FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
                WHERE
                  "u"."ds" >= CAST('2025-12-26' AS DATE)
              ) AS "u"
            ) AS "u"
            JOIN (
              SELECT
                "f"."unit_id",
                "f"."group_id",
                "f"."first_exposure_ds",
                CASE
                  WHEN (
                    "f"."first_exposure" + TO_DAYS(5)
                  ) = CAST(CAST((
                    "f"."first_exposure" + TO_DAYS(5)
                  ) AS DATE) AS TIMESTAMP)
                  THEN CAST((
                    CAST((
                      "f"."first_exposure" + TO_DAYS(5)
                    ) AS DATE) + -1
                  ) AS DATE)
                  ELSE CAST((
                    "f"."first_exposure" + TO_DAYS(5)
                  ) AS DATE)
                END AS "enters_ds",
                CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
              FROM "statsig_staging"."first_exposures_123" AS "f"
            ) AS "m"
              ON "m"."unit_id" = "u"."unit_id"
          )
          SELECT
            "d"."ds" AS "point",
            "a"."unit_id",
            "a"."group_id",
            "a"."first_exposure_ds",
            SUM("a"."a0") AS "a0"
          FROM "activity" AS "a"
          JOIN (
            SELECT
              "d"."ds"
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE))) AS "d"("ds")
          ) AS "d"
            ON "d"."ds" >= "a"."ds" AND "d"."ds" < "a"."gone_ds"
          WHERE
            "d"."ds" >= "a"."enters_ds"
            AND (
              "a"."leaves_ds" IS NULL OR "d"."ds" < "a"."leaves_ds"
            )
          GROUP BY
            "d"."ds",
            "a"."unit_id",
            "a"."group_id",
            "a"."first_exposure_ds"
        ) AS "s"
      ) AS "p"
    ) AS "w"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m0", CAST(0 AS DOUBLE)) END AS "total",
    CASE WHEN "k"."number" = 0 THEN COALESCE("t"."m1", CAST(0 AS DOUBLE)) END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
    END AS "divisor",
    CAST(NULL AS DOUBLE) AS "denominator_total",
    CAST(NULL AS DOUBLE) AS "denominator_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_product",
    CAST(NULL AS DOUBLE) AS "covariate_total",
    CAST(NULL AS DOUBLE) AS "covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        CASE
          WHEN (
            "f"."first_exposure" + TO_DAYS(5)
          ) = CAST(CAST((
            "f"."first_exposure" + TO_DAYS(5)
          ) AS DATE) AS TIMESTAMP)
          THEN CAST((
            CAST((
              "f"."first_exposure" + TO_DAYS(5)
            ) AS DATE) + -1
          ) AS DATE)
          ELSE CAST((
            "f"."first_exposure" + TO_DAYS(5)
          ) AS DATE)
        END AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('7_day', 'first_week', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";

-- results: CreateTable results_123
SELECT
  '123' AS "experiment_id",
  "z"."rollup",
  "z"."ds",
  "z"."day_index",
  "z"."metric",
  "z"."dimension",
  "z"."dimension_value",
  "z"."group_id",
  "z"."units",
  CASE WHEN ISFINITE("z"."total") THEN "z"."total" END AS "total",
  CASE WHEN ISFINITE("z"."total_squares") THEN "z"."total_squares" END AS "total_squares",
  COALESCE(
    CASE WHEN ISFINITE("z"."percentile") THEN "z"."percentile" END,
    CASE
      WHEN ISFINITE("z"."total" / NULLIF("z"."divisor", 0))
      THEN "z"."total" / NULLIF("z"."divisor", 0)
    END
  ) AS "mean",
  CASE
    WHEN "z"."units" > 1
    AND ISFINITE("z"."total_squares" - "z"."total" * "z"."total" / "z"."units")
    THEN CASE
      WHEN (
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      ) IS NULL
      OR CAST(0 AS DOUBLE) IS NULL
      THEN NULL
      ELSE COALESCE(
        GREATEST(
          CASE
            WHEN ISNAN(
              (
                "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
              ) / (
                "z"."units" - 1
              )
            )
            THEN NULL
            ELSE (
              "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
            ) / (
              "z"."units" - 1
            )
          END,
          CAST(0 AS DOUBLE)
        ),
        (
          "z"."total_squares" - "z"."total" * "z"."total" / "z"."units"
        ) / (
          "z"."units" - 1
        )
      )
    END
  END AS "variance",
  CASE WHEN ISFINITE("z"."denominator_total") THEN "z"."denominator_total" END AS "denominator_total",
  CASE
    WHEN ISFINITE("z"."denominator_total_squares")
    THEN "z"."denominator_total_squares"
  END AS "denominator_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_product")
    THEN "z"."numerator_denominator_product"
  END AS "numerator_denominator_product",
  CASE WHEN ISFINITE("z"."covariate_total") THEN "z"."covariate_total" END AS "covariate_total",
  CASE
    WHEN ISFINITE("z"."covariate_total_squares")
    THEN "z"."covariate_total_squares"
  END AS "covariate_total_squares",
  CASE WHEN ISFINITE("z"."covariate_product") THEN "z"."covariate_product" END AS "covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total")
    THEN "z"."denominator_covariate_total"
  END AS "denominator_covariate_total",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_total_squares")
    THEN "z"."denominator_covariate_total_squares"
  END AS "denominator_covariate_total_squares",
  CASE
    WHEN ISFINITE("z"."numerator_denominator_covariate_product")
    THEN "z"."numerator_denominator_covariate_product"
  END AS "numerator_denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_covariate_product")
    THEN "z"."denominator_covariate_product"
  END AS "denominator_covariate_product",
  CASE
    WHEN ISFINITE("z"."denominator_denominator_covariate_product")
    THEN "z"."denominator_denominator_covariate_product"
  END AS "denominator_denominator_covariate_product",
  CASE WHEN ISFINITE("z"."covariates_product") THEN "z"."covariates_product" END AS "covariates_product"
FROM (
  WITH "moments" AS (
    SELECT
      "w"."point",
      "w"."group_id",
      SUM("w"."v0") AS "m0",
      SUM("w"."v0" * "w"."v0") AS "m1",
      SUM("w"."v0" * "w"."v2") AS "m2",
      SUM("w"."v1") AS "m3",
      SUM("w"."v1" * "w"."v1") AS "m4",
      SUM("w"."v2") AS "m5",
      SUM("w"."v2" * "w"."v2") AS "m6"
    FROM (
      SELECT
        "p"."point",
        "p"."unit_id",
        "p"."group_id",
        "p"."p0" AS "v0",
        "p"."p1" AS "v1",
        "p"."p2" AS "v2"
      FROM (
        SELECT
          "s"."point",
          "s"."unit_id",
          "s"."group_id",
          "s"."a0" AS "p0",
          COALESCE("s"."a1", CAST(0 AS DOUBLE)) AS "p1",
          "s"."a2" AS "p2"
        FROM (
          WITH "activity" AS (
            SELECT
              "m"."unit_id",
              "m"."group_id",
              "m"."first_exposure_ds",
              "m"."enters_ds",
              "m"."leaves_ds",
              "u"."ds" AS "ds",
              CAST((
                "u"."ds" + 7
              ) AS DATE) AS "gone_ds",
              COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0",
              "u"."a1" AS "a1",
              COALESCE("u"."a2", CAST(0 AS DOUBLE)) AS "a2"
            FROM (
              SELECT
                "b"."unit_id",
                "b"."ds",
                SUM("b"."a0") AS "a0",
                SUM("b"."a1") AS "a1",
                SUM("b"."a2") AS "a2"
              FROM (
                SELECT
                  "u"."unit_id",
                  "u"."ds",
                  CAST(NULL AS DOUBLE) AS "a0",
                  CAST("u"."latest_usd_02d0aef6" AS DOUBLE) AS "a1",
                  CAST(NULL AS DOUBLE) AS "a2"
                FROM (
                  SELECT
                    "u"."unit_id",
                    "u"."ds",
                    "u"."latest_usd_02d0aef6"
                  FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
                  WHERE
                    "u"."ds" >= CAST('2025-12-26' AS DATE)
                ) AS "u"
                UNION ALL
                SELECT
                  "u"."unit_id",
                  "u"."ds",
                  CAST("u"."completed" AS DOUBLE) AS "a0",
                  CAST(NULL AS DOUBLE) AS "a1",
                  CAST("u"."windows" AS DOUBLE) AS "a2"
                FROM (
                  WITH "activity" AS (
                    SELECT
                      "u"."unit_id",
                      "u"."ds",
                      "u"."active_7c56e7e5" AS "starts",
                      "u"."active_d265af7b" AS "completes"
                    FROM (
                      SELECT
                        "u"."unit_id",
                        "u"."ds",
                        "u"."active_7c56e7e5",
                        "u"."active_d265af7b"
                      FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
                      WHERE
                        "u"."ds" >= CAST('2025-12-23' AS DATE)
                    ) AS "u"
                    WHERE
                      "u"."active_7c56e7e5" > 0 OR "u"."active_d265af7b" > 0
                  ), "followed" AS (
                    SELECT
                      "a"."unit_id",
                      "a"."ds",
                      "a"."starts",
                      MAX("a"."completes") OVER (
                        PARTITION BY "a"."unit_id"
                        ORDER BY DATE_SUB('day', CAST('2000-01-01' AS DATE), "a"."ds")
                        RANGE BETWEEN 2 FOLLOWING AND 3 FOLLOWING
                      ) AS "completes"
                    FROM "activity" AS "a"
                  )
                  SELECT
                    "f"."unit_id",
                    CAST((
                      "f"."ds" + 3
                    ) AS DATE) AS "ds",
                    1 AS "windows",
                    CASE WHEN "f"."completes" > 0 THEN 1 ELSE 0 END AS "completed"
                  FROM "followed" AS "f"
                  WHERE
                    "f"."starts" > 0 AND DATE_SUB('day', "f"."ds", CAST('2026-01-03' AS DATE)) >= 3
                ) AS "u"
              ) AS "b"
              GROUP BY
                "b"."unit_id",
                "b"."ds"
            ) AS "u"
            JOIN (
              SELECT
                "f"."unit_id",
                "f"."group_id",
                "f"."first_exposure_ds",
                "f"."first_exposure_ds" AS "enters_ds",
                CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
              FROM "statsig_staging"."first_exposures_123" AS "f"
            ) AS "m"
              ON "m"."unit_id" = "u"."unit_id"
          )
          SELECT
            "d"."ds" AS "point",
            "a"."unit_id",
            "a"."group_id",
            "a"."first_exposure_ds",
            SUM("a"."a0") AS "a0",
            ARG_MAX_NULL("a"."a1", "a"."ds") FILTER(WHERE
              NOT "a"."a1" IS NULL) AS "a1",
            SUM("a"."a2") AS "a2"
          FROM "activity" AS "a"
          JOIN (
            SELECT
              "d"."ds"
            FROM (VALUES
              (CAST('2026-01-01' AS DATE)),
              (CAST('2026-01-02' AS DATE)),
              (CAST('2026-01-03' AS DATE))) AS "d"("ds")
          ) AS "d"
            ON "d"."ds" >= "a"."ds" AND "d"."ds" < "a"."gone_ds"
          WHERE
            "d"."ds" >= "a"."enters_ds"
            AND (
              "a"."leaves_ds" IS NULL OR "d"."ds" < "a"."leaves_ds"
            )
          GROUP BY
            "d"."ds",
            "a"."unit_id",
            "a"."group_id",
            "a"."first_exposure_ds"
        ) AS "s"
      ) AS "p"
    ) AS "w"
    GROUP BY
      "w"."point",
      "w"."group_id"
  )
  SELECT
    "k"."rollup",
    "g"."point" AS "ds",
    CAST(NULL AS BIGINT) AS "day_index",
    "k"."metric",
    CAST(NULL AS TEXT) AS "dimension",
    CAST(NULL AS TEXT) AS "dimension_value",
    "g"."group_id",
    COALESCE("c"."units", 0) AS "units",
    CASE
      WHEN "k"."number" = 0
      THEN COALESCE("t"."m3", CAST(0 AS DOUBLE))
      WHEN "k"."number" = 1
      THEN COALESCE("t"."m0", CAST(0 AS DOUBLE))
    END AS "total",
    CASE
      WHEN "k"."number" = 0
      THEN COALESCE("t"."m4", CAST(0 AS DOUBLE))
      WHEN "k"."number" = 1
      THEN COALESCE("t"."m1", CAST(0 AS DOUBLE))
    END AS "total_squares",
    CASE
      WHEN "k"."number" = 0
      THEN CAST(COALESCE("c"."units", CAST(0 AS DOUBLE)) AS DOUBLE)
      WHEN "k"."number" = 1
      THEN COALESCE("t"."m5", CAST(0 AS DOUBLE))
    END AS "divisor",
    CASE WHEN "k"."number" = 1 THEN COALESCE("t"."m5", CAST(0 AS DOUBLE)) END AS "denominator_total",
    CASE WHEN "k"."number" = 1 THEN COALESCE("t"."m6", CAST(0 AS DOUBLE)) END AS "denominator_total_squares",
    CASE WHEN "k"."number" = 1 THEN COALESCE("t"."m2", CAST(0 AS DOUBLE)) END AS "numerator_denominator_product",
    CAST(NULL AS DOUBLE) AS "covariate_total",
    CAST(NULL AS DOUBLE) AS "covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_total_squares",
    CAST(NULL AS DOUBLE) AS "numerator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "denominator_denominator_covariate_product",
    CAST(NULL AS DOUBLE) AS "covariates_product",
    CAST(NULL AS DOUBLE) AS "percentile"
  FROM (
    SELECT
      "s"."ds" AS "point",
      "s"."group_id"
    FROM "statsig_staging"."exposures_summary_123" AS "s"
  ) AS "g"
  LEFT JOIN (
    SELECT
      "d"."ds" AS "point",
      "m"."group_id",
      COUNT(*) AS "units"
    FROM (
      SELECT
        "d"."ds"
      FROM (VALUES
        (CAST('2026-01-01' AS DATE)),
        (CAST('2026-01-02' AS DATE)),
        (CAST('2026-01-03' AS DATE))) AS "d"("ds")
    ) AS "d"
    JOIN (
      SELECT
        "f"."unit_id",
        "f"."group_id",
        "f"."first_exposure_ds",
        "f"."first_exposure_ds" AS "enters_ds",
        CASE WHEN "f"."crossover" AND TRUE THEN CAST("f"."crossover_at" AS DATE) END AS "leaves_ds"
      FROM "statsig_staging"."first_exposures_123" AS "f"
    ) AS "m"
      ON "m"."enters_ds" <= "d"."ds"
    WHERE
      "m"."leaves_ds" IS NULL OR "d"."ds" < "m"."leaves_ds"
    GROUP BY
      "d"."ds",
      "m"."group_id"
  ) AS "c"
    ON "c"."point" = "g"."point" AND "c"."group_id" = "g"."group_id"
  LEFT JOIN "moments" AS "t"
    ON "t"."point" = "g"."point" AND "t"."group_id" = "g"."group_id"
  CROSS JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('7_day', 'latest', 0),
      ('7_day', 'back', 1)) AS "k"("rollup", "metric", "number")
  ) AS "k"
) AS "z";
