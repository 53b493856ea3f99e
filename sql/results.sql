-- One row per rollup, day, metric and group: the sufficient statistics of the counted units.
-- What is too large for a DOUBLE is null.
-- version: 6
SELECT
  :experiment_id AS experiment_id,
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
    CASE WHEN IS_FINITE(z.total / NULLIF(z.divisor, 0)) THEN z.total / NULLIF(z.divisor, 0) END
  ) AS mean,
  CASE
    WHEN z.units > 1 AND IS_FINITE(z.total_squares - z.total * z.total / z.units)
    THEN GREATEST((z.total_squares - z.total * z.total / z.units) / (z.units - 1), CAST(0 AS DOUBLE))
  END AS variance,
  CASE WHEN IS_FINITE(z.denominator_total) THEN z.denominator_total END AS denominator_total,
  CASE WHEN IS_FINITE(z.denominator_total_squares) THEN z.denominator_total_squares END AS denominator_total_squares,
  CASE WHEN IS_FINITE(z.numerator_denominator_product) THEN z.numerator_denominator_product END AS numerator_denominator_product,
  CASE WHEN IS_FINITE(z.covariate_total) THEN z.covariate_total END AS covariate_total,
  CASE WHEN IS_FINITE(z.covariate_total_squares) THEN z.covariate_total_squares END AS covariate_total_squares,
  CASE WHEN IS_FINITE(z.covariate_product) THEN z.covariate_product END AS covariate_product,
  CASE WHEN IS_FINITE(z.denominator_covariate_total) THEN z.denominator_covariate_total END AS denominator_covariate_total,
  CASE WHEN IS_FINITE(z.denominator_covariate_total_squares) THEN z.denominator_covariate_total_squares END AS denominator_covariate_total_squares,
  CASE WHEN IS_FINITE(z.numerator_denominator_covariate_product) THEN z.numerator_denominator_covariate_product END AS numerator_denominator_covariate_product,
  CASE WHEN IS_FINITE(z.denominator_covariate_product) THEN z.denominator_covariate_product END AS denominator_covariate_product,
  CASE WHEN IS_FINITE(z.denominator_denominator_covariate_product) THEN z.denominator_denominator_covariate_product END AS denominator_denominator_covariate_product,
  CASE WHEN IS_FINITE(z.covariates_product) THEN z.covariates_product END AS covariates_product
FROM statistics AS z
