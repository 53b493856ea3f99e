-- Published results of days that nothing has touched, of the groups that there are still.
-- version: 2
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
FROM published_results AS p
WHERE
  p.ds < :since
  AND p.group_id IN (
    SELECT
      s.group_id
    FROM exposures_summary AS s
  )
