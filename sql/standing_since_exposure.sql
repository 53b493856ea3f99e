-- One row per day since exposure and counted unit that has a row on it: its aggregates of that day.
-- version: 2
SELECT
  DATE_DIFF('day', m.first_exposure_ds, u.ds) AS point,
  m.unit_id,
  m.group_id,
  m.first_exposure_ds
FROM unit_days AS u
JOIN members AS m
  ON m.unit_id = u.unit_id
WHERE
  m.leaves_ds IS NULL AND m.enters_ds <= :through AND u.ds <= :last
GROUP BY
  DATE_DIFF('day', m.first_exposure_ds, u.ds),
  m.unit_id,
  m.group_id,
  m.first_exposure_ds
