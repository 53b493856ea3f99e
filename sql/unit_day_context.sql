-- One row per unit and day: the first value of each context column that is not null.
SELECT
  e.unit_id,
  e.ds
FROM exposures AS e
GROUP BY
  e.unit_id,
  e.ds
