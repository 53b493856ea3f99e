-- The values that late units have now, on the days that are restated.
-- version: 1
SELECT
  m.unit_id,
  m.ds,
  m.aggregate,
  m.value
FROM unit_day_values AS m
JOIN late_units AS l
  ON l.unit_id = m.unit_id
WHERE
  :on_days
