-- One row per day since exposure and group that has a unit for which that day is loaded: how many there are.
-- version: 2
SELECT
  d.day_index AS point,
  m.group_id,
  COUNT(*) AS units
FROM day_indexes AS d
JOIN members AS m
  ON d.day_index <= DATE_DIFF('day', m.first_exposure_ds, :last)
WHERE
  m.leaves_ds IS NULL AND m.enters_ds <= :through
GROUP BY
  d.day_index,
  m.group_id
