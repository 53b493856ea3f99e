-- One row per unit and session in a funnel: when it reached one step more, and the day from which that is known;
-- null if never. An allowance lets a step come just before the one that it follows, on an earlier day even.
-- version: 2
SELECT
  p.unit_id,
  p.session,
  p.entered_at,
  MIN(e.value) AS reached_at,
  CASE WHEN MIN(e.value) IS NOT NULL THEN GREATEST(CAST(MIN(e.value) AS DATE), :last_ds) END AS ds
FROM earlier_steps AS p
LEFT JOIN funnel_events AS e
  ON e.unit_id = p.unit_id AND e.session = p.session AND e.aggregate = :aggregate AND :in_time
GROUP BY
  p.unit_id,
  p.session,
  p.entered_at
