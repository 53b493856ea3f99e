-- The values of counted units on each day that they count on.
-- version: 1
SELECT
  d.ds AS point,
  m.unit_id,
  m.group_id,
  u.aggregate,
  u.value,
  u.occurrences
FROM percentile_values AS u
JOIN members AS m
  ON m.unit_id = u.unit_id
JOIN days AS d
  ON d.ds >= :counts_on AND d.ds >= m.enters_ds
WHERE
  :wanted AND :still AND (m.leaves_ds IS NULL OR d.ds < m.leaves_ds)
