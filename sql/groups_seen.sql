-- Every group that a unit was seen in.
-- version: 1
SELECT DISTINCT
  c.group_id
FROM exposure_counts AS c
WHERE
  c.group_id <> '' AND c.exposures > c.without_unit
