-- One row per unit and session that did the first step of a funnel: when, and on which day.
-- version: 2
SELECT
  e.unit_id,
  e.session,
  MIN(e.value) AS entered_at,
  MIN(e.value) AS reached_at,
  CAST(MIN(e.value) AS DATE) AS ds_1
FROM funnel_events AS e
WHERE
  e.aggregate = :aggregate
GROUP BY
  e.unit_id,
  e.session
