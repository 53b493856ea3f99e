-- Exposure rows that are left out, by cause, and an example of the groups that are not listed.
-- version: 1
SELECT
  COALESCE(SUM(c.without_unit), 0) AS without_unit,
  COALESCE(SUM(c.exposures) FILTER (WHERE c.group_id = ''), 0) AS without_group,
  COALESCE(SUM(c.exposures) FILTER (WHERE c.group_id <> '' AND :unlisted), 0) AS unlisted,
  MIN(c.group_id) FILTER (WHERE c.group_id <> '' AND :unlisted) AS unlisted_example
FROM exposure_counts AS c
