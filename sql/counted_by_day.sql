-- One row per day and group that has a counted unit: how many there are.
-- version: 1
SELECT
  d.ds AS point,
  m.group_id,
  COUNT(*) AS units
FROM days AS d
JOIN members AS m
  ON m.enters_ds <= d.ds
WHERE
  m.leaves_ds IS NULL OR d.ds < m.leaves_ds
GROUP BY
  d.ds,
  m.group_id
