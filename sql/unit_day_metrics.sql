-- One row per exposed unit and day: the aggregates of its rows at or after its first exposure.
-- version: 1
WITH events AS (
  SELECT
    :unit_id AS unit_id,
    :occurred_at AS occurred_at,
    :ds AS ds
  FROM metric_source AS s
  WHERE
    :within
)
SELECT
  e.unit_id,
  e.ds
FROM events AS e
JOIN first_exposures AS f
  ON f.unit_id = e.unit_id AND :exposed
GROUP BY
  e.unit_id,
  e.ds
