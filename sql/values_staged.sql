-- The values of some aggregates that are staged, of some days.
-- version: 1
SELECT
  m.unit_id,
  m.ds,
  m.aggregate,
  m.value,
  m.occurrences
FROM unit_day_values AS m
WHERE
  :on_days AND :kept
