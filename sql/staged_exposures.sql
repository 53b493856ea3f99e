-- Exposures that stand for the staged unit-days of some days: its first one, and the first ones to the
-- smallest and the largest group where there is a second group, at the earliest they can have been.
-- version: 1
SELECT
  d.unit_id,
  CASE g.place WHEN 1 THEN d.group_id WHEN 2 THEN d.min_group_id ELSE d.max_group_id END AS group_id,
  CASE g.place WHEN 1 THEN d.first_exposure ELSE d.crossover_at END AS exposed_at,
  d.ds
FROM unit_day_exposures AS d
JOIN places AS g
  ON g.place = 1 OR NOT d.crossover_at IS NULL
WHERE
  :on_days
