-- The exposures of one experiment that count, with the library's own column names.
-- version: 1
SELECT
  :unit_id AS unit_id,
  :group_id AS group_id,
  :exposed_at AS exposed_at,
  :ds AS ds
FROM assignment_source AS s
WHERE
  :of_experiment
  AND :within
  AND :unit_id <> ''
  AND :group_id <> ''
