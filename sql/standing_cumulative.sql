-- One row per day and counted unit that has a row by then: its aggregates of all days so far.
-- version: 1
WITH activity AS (
  SELECT
    m.unit_id,
    m.group_id,
    m.first_exposure_ds,
    m.enters_ds,
    m.leaves_ds,
    :counts_on AS ds
  FROM unit_days AS u
  JOIN members AS m
    ON m.unit_id = u.unit_id
), running AS (
  SELECT
    a.unit_id,
    a.group_id,
    a.first_exposure_ds,
    a.enters_ds,
    a.leaves_ds,
    a.ds,
    LEAD(a.ds) OVER (PARTITION BY a.unit_id ORDER BY a.ds) AS until_ds
  FROM activity AS a
)
SELECT
  d.ds AS point,
  r.unit_id,
  r.group_id,
  r.first_exposure_ds
FROM running AS r
JOIN days AS d
  ON d.ds >= r.ds AND d.ds >= r.enters_ds
WHERE
  (r.until_ds IS NULL OR d.ds < r.until_ds)
  AND (r.leaves_ds IS NULL OR d.ds < r.leaves_ds)
