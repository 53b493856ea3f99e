-- One row per unit and day on which it, or a session of it, reached steps of a funnel.
-- version: 3
WITH reached AS (
  SELECT
    r.unit_id,
    k.step,
    :ds AS ds,
    CAST(DATE_DIFF('millisecond', r.entered_at, r.reached_at) AS DOUBLE) / 1000 AS seconds
  FROM funnel AS r
  CROSS JOIN step_keys AS k
)
SELECT
  d.unit_id,
  d.ds
FROM reached AS d
WHERE
  d.ds <= :through
GROUP BY
  d.unit_id,
  d.ds
