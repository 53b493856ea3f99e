-- The units that have, or had, an exposure on a day that is loaded again.
-- version: 1
SELECT
  t.unit_id
FROM (
  SELECT
    d.unit_id
  FROM unit_day_exposures AS d
  WHERE
    :on_days
  UNION
  SELECT
    p.unit_id
  FROM published_unit_day_exposures AS p
  WHERE
    :on_published_days
) AS t
