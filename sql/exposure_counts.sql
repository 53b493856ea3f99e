-- Exposure rows of each day by group, with those that no unit can be told for; no group is an empty one.
-- version: 1
SELECT
  :ds AS ds,
  COALESCE(:group_id, '') AS group_id,
  COUNT(*) AS exposures,
  COUNT(*) FILTER (WHERE COALESCE(:unit_id, '') = '') AS without_unit
FROM assignment_source AS s
WHERE
  :of_experiment AND :within
GROUP BY
  1,
  2
