-- One row per day and counted unit that has a row on one of the last days: its aggregates of those days.
-- version: 2
WITH activity AS (
  SELECT
    m.unit_id,
    m.group_id,
    m.first_exposure_ds,
    m.enters_ds,
    m.leaves_ds,
    :counts_on AS ds,
    :gone_on AS gone_ds
  FROM unit_days AS u
  JOIN members AS m
    ON m.unit_id = u.unit_id
)
SELECT
  d.ds AS point,
  a.unit_id,
  a.group_id,
  a.first_exposure_ds
FROM activity AS a
JOIN days AS d
  ON d.ds >= a.ds AND d.ds < a.gone_ds
WHERE
  d.ds >= a.enters_ds AND (a.leaves_ds IS NULL OR d.ds < a.leaves_ds)
GROUP BY
  d.ds,
  a.unit_id,
  a.group_id,
  a.first_exposure_ds
