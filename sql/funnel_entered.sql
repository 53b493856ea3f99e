-- One row per unit that did the first step of a funnel: when, and on which day.
-- version: 1
SELECT
  e.unit_id,
  MIN(e.value) AS entered_at,
  MIN(e.value) AS reached_at,
  CAST(MIN(e.value) AS DATE) AS ds_1
FROM funnel_events AS e
WHERE
  e.aggregate = :aggregate
GROUP BY
  e.unit_id
