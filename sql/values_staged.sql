-- The values of some aggregates that are staged, of some days.
-- version: 2
SELECT
  m.unit_id,
  m.ds,
  m.aggregate,
  m.value
FROM unit_day_values AS m
WHERE
  :on_days AND :kept
