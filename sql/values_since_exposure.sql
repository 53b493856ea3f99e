-- The values of counted units by day since their exposure.
-- version: 1
SELECT
  DATE_DIFF('day', m.first_exposure_ds, u.ds) AS point,
  m.unit_id,
  m.group_id,
  u.aggregate,
  u.value,
  u.occurrences
FROM percentile_values AS u
JOIN members AS m
  ON m.unit_id = u.unit_id
WHERE
  :wanted AND m.leaves_ds IS NULL AND m.enters_ds <= :through
