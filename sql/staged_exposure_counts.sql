-- The exposure rows that are staged, of some days.
-- version: 1
SELECT
  d.ds,
  d.group_id,
  d.exposures,
  d.without_unit
FROM exposure_counts AS d
WHERE
  :on_days
