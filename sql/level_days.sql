-- One row per unit at a place and day: what its rows come to whose level is at that place. The id of such a unit
-- begins with the two digits of the place.
-- version: 1
SELECT
  CONCAT(COALESCE(p.place, :other), v.unit_id) AS unit_id,
  v.ds
FROM level_values AS v
LEFT JOIN level_places AS p
  ON p.levels = :levels AND p.value = v.value
WHERE
  :wanted
GROUP BY
  CONCAT(COALESCE(p.place, :other), v.unit_id),
  v.ds
