-- Exposure rows by day and group, those of new files on top of those that are staged.
-- version: 1
SELECT
  c.ds,
  c.group_id,
  SUM(c.exposures) AS exposures,
  SUM(c.without_unit) AS without_unit
FROM counted AS c
GROUP BY
  c.ds,
  c.group_id
