-- exposure_counts: CreateTable exposure_counts_123
-- fills 2026-01-01
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
    (
      "s"."exposed_at" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP)
      AND "s"."exposed_at" < CAST('2026-01-02 00:00:00' AS TIMESTAMP)
    )
    AND "s"."laid" IN (CAST('2025-12-31' AS DATE), CAST('2026-01-01' AS DATE))
  )
GROUP BY
  1,
  2;

-- exposure_counts: CreateTable exposure_counts_123
-- fills 2026-01-02, 2026-01-03
SELECT
  CAST("s"."exposed_at" AS DATE) AS "ds",
  COALESCE("s"."group_id", '') AS "group_id",
  COUNT(*) AS "exposures",
  COUNT(*) FILTER(WHERE
    COALESCE("s"."user_id", '') = '') AS "without_unit"
FROM "shop"."exposures" AS "s"
WHERE
  "s"."experiment_id" = '123'
  AND (
    (
      (
        "s"."exposed_at" >= CAST('2026-01-02 00:00:00' AS TIMESTAMP)
        AND "s"."exposed_at" < CAST('2026-01-03 00:00:00' AS TIMESTAMP)
      )
      AND "s"."laid" IN (CAST('2026-01-01' AS DATE), CAST('2026-01-02' AS DATE))
    )
    OR (
      (
        "s"."exposed_at" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP)
        AND "s"."exposed_at" < CAST('2026-01-04 00:00:00' AS TIMESTAMP)
      )
      AND "s"."laid" IN (CAST('2026-01-02' AS DATE), CAST('2026-01-03' AS DATE))
    )
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
WITH "by_group" AS (
  SELECT
    "e"."unit_id",
    "e"."ds",
    "e"."group_id",
    MIN("e"."exposed_at") AS "first_exposure"
  FROM (
    SELECT
      "s"."user_id" AS "unit_id",
      "s"."group_id" AS "group_id",
      "s"."exposed_at" AS "exposed_at",
      CAST('2026-01-01' AS DATE) AS "ds"
    FROM "shop"."exposures" AS "s"
    WHERE
      "s"."experiment_id" = '123'
      AND (
        (
          "s"."exposed_at" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP)
          AND "s"."exposed_at" < CAST('2026-01-02 00:00:00' AS TIMESTAMP)
        )
        AND "s"."laid" IN (CAST('2025-12-31' AS DATE), CAST('2026-01-01' AS DATE))
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
  END AS "crossover_at"
FROM "by_group" AS "g"
GROUP BY
  "g"."unit_id",
  "g"."ds";

-- unit_day_exposures: CreateTable unit_day_exposures_123
-- fills 2026-01-02, 2026-01-03
WITH "by_group" AS (
  SELECT
    "e"."unit_id",
    "e"."ds",
    "e"."group_id",
    MIN("e"."exposed_at") AS "first_exposure"
  FROM (
    SELECT
      "s"."user_id" AS "unit_id",
      "s"."group_id" AS "group_id",
      "s"."exposed_at" AS "exposed_at",
      CAST("s"."exposed_at" AS DATE) AS "ds"
    FROM "shop"."exposures" AS "s"
    WHERE
      "s"."experiment_id" = '123'
      AND (
        (
          (
            "s"."exposed_at" >= CAST('2026-01-02 00:00:00' AS TIMESTAMP)
            AND "s"."exposed_at" < CAST('2026-01-03 00:00:00' AS TIMESTAMP)
          )
          AND "s"."laid" IN (CAST('2026-01-01' AS DATE), CAST('2026-01-02' AS DATE))
        )
        OR (
          (
            "s"."exposed_at" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP)
            AND "s"."exposed_at" < CAST('2026-01-04 00:00:00' AS TIMESTAMP)
          )
          AND "s"."laid" IN (CAST('2026-01-02' AS DATE), CAST('2026-01-03' AS DATE))
        )
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
  END AS "crossover_at"
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
    MIN("d"."min_group_id") <> MAX("d"."max_group_id") AS "crossover"
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
  "c"."crossover_at"
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
SELECT
  "e"."unit_id",
  "e"."ds",
  NULLIF(COUNT(*) FILTER(WHERE
    "e"."where_0dc0dabe"), 0) AS "count_59959d15"
FROM (
  SELECT
    "s"."user_id" AS "unit_id",
    "s"."ts" AS "occurred_at",
    CAST('2026-01-01' AS DATE) AS "ds",
    (
      "s"."kind" = 'purchase'
    ) AS "where_0dc0dabe"
  FROM "shop"."events" AS "s"
  WHERE
    (
      (
        "s"."ts" >= CAST('2026-01-01 00:00:00' AS TIMESTAMP)
        AND "s"."ts" < CAST('2026-01-02 00:00:00' AS TIMESTAMP)
      )
      AND "s"."laid" IN (CAST('20251231' AS TEXT), CAST('20260101' AS TEXT), CAST('20260102' AS TEXT))
    )
    AND (
      (
        "s"."kind" = 'purchase'
      )
    )
) AS "e"
JOIN "statsig_staging"."first_exposures_123" AS "f"
  ON "f"."unit_id" = "e"."unit_id"
  AND "e"."occurred_at" >= "f"."first_exposure"
  AND "f"."first_exposure_ds" <= CAST('2026-01-01' AS DATE)
GROUP BY
  "e"."unit_id",
  "e"."ds"
HAVING
  COUNT(*) FILTER(WHERE
    "e"."where_0dc0dabe") > 0;

-- unit_day_metrics_events: CreateTable unit_day_metrics_123_events
-- fills 2026-01-02, 2026-01-03
SELECT
  "e"."unit_id",
  "e"."ds",
  NULLIF(COUNT(*) FILTER(WHERE
    "e"."where_0dc0dabe"), 0) AS "count_59959d15"
FROM (
  SELECT
    "s"."user_id" AS "unit_id",
    "s"."ts" AS "occurred_at",
    CAST("s"."ts" AS DATE) AS "ds",
    (
      "s"."kind" = 'purchase'
    ) AS "where_0dc0dabe"
  FROM "shop"."events" AS "s"
  WHERE
    (
      (
        (
          "s"."ts" >= CAST('2026-01-02 00:00:00' AS TIMESTAMP)
          AND "s"."ts" < CAST('2026-01-03 00:00:00' AS TIMESTAMP)
        )
        AND "s"."laid" IN (CAST('20260101' AS TEXT), CAST('20260102' AS TEXT), CAST('20260103' AS TEXT))
      )
      OR (
        (
          "s"."ts" >= CAST('2026-01-03 00:00:00' AS TIMESTAMP)
          AND "s"."ts" < CAST('2026-01-04 00:00:00' AS TIMESTAMP)
        )
        AND "s"."laid" IN (CAST('20260102' AS TEXT), CAST('20260103' AS TEXT), CAST('20260104' AS TEXT))
      )
    )
    AND (
      (
        "s"."kind" = 'purchase'
      )
    )
) AS "e"
JOIN "statsig_staging"."first_exposures_123" AS "f"
  ON "f"."unit_id" = "e"."unit_id"
  AND "e"."occurred_at" >= "f"."first_exposure"
  AND "f"."first_exposure_ds" <= CAST('2026-01-03' AS DATE)
GROUP BY
  "e"."unit_id",
  "e"."ds"
HAVING
  COUNT(*) FILTER(WHERE
    "e"."where_0dc0dabe") > 0;

-- unit_totals_events: CreateTable unit_totals_123_events
SELECT
  "u"."unit_id",
  CAST('2026-01-03' AS DATE) AS "ds",
  CAST(SUM("u"."count_59959d15") AS BIGINT) AS "count_59959d15"
FROM (
  SELECT
    "u"."unit_id",
    "u"."ds",
    "u"."count_59959d15"
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
      COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
    FROM (
      SELECT
        "u"."unit_id",
        "u"."ds",
        CAST("u"."count_59959d15" AS DOUBLE) AS "a0"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          "u"."count_59959d15"
        FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
      ) AS "u"
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
      ) AS "a0_total"
    FROM "activity" AS "a"
  ), "moments" AS (
    SELECT
      "r"."ds",
      "r"."group_id",
      SUM("r"."a0") AS "m0_daily",
      SUM("r"."a0") AS "m0_move",
      SUM("r"."a0" * "r"."a0") AS "m1_daily",
      SUM("r"."a0" * "r"."a0_total" + "r"."a0_total" * "r"."a0" - "r"."a0" * "r"."a0") AS "m1_move"
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
      COALESCE("u"."a0", CAST(0 AS DOUBLE)) AS "a0"
    FROM (
      SELECT
        "u"."unit_id",
        "u"."ds",
        CAST("u"."count_59959d15" AS DOUBLE) AS "a0"
      FROM (
        SELECT
          "u"."unit_id",
          "u"."ds",
          "u"."count_59959d15"
        FROM "statsig_staging"."unit_day_metrics_123_events" AS "u"
      ) AS "u"
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
      ) AS "a0_total"
    FROM "leaver_activity" AS "a"
  ), "leaver_moments" AS (
    SELECT
      "d"."ds",
      "r"."group_id",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a0" END) AS "m0_daily",
      SUM("r"."a0_total") AS "m0_standing",
      SUM(CASE WHEN "d"."ds" = "r"."ds" THEN "r"."a0" * "r"."a0" END) AS "m1_daily",
      SUM("r"."a0_total" * "r"."a0_total") AS "m1_standing"
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
      ) + COALESCE("l"."m1_standing", CAST(0 AS DOUBLE)) AS "m1_cumulative"
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
      CASE WHEN "r"."rollup" = 'daily' THEN "t"."m1_daily" ELSE "t"."m1_cumulative" END AS "m1"
    FROM "series" AS "t"
    CROSS JOIN (
      SELECT
        "r"."rollup"
      FROM (VALUES
        ('daily'),
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
    CASE WHEN "k"."number" = 0 THEN "t"."m0" END AS "total",
    CASE WHEN "k"."number" = 0 THEN "t"."m1" END AS "total_squares",
    CASE WHEN "k"."number" = 0 THEN CAST("t"."units" AS DOUBLE) END AS "divisor",
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
  FROM "by_rollup" AS "t"
  JOIN (
    SELECT
      "k"."rollup",
      "k"."metric",
      "k"."number"
    FROM (VALUES
      ('daily', 'purchases', 0),
      ('cumulative', 'purchases', 0)) AS "k"("rollup", "metric", "number")
  ) AS "k"
    ON "k"."rollup" = "t"."rollup"
) AS "z";
