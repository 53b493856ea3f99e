-- Sums over the counted units by day, metric and group, of values that change with a unit's own rows only.
-- A sum over all units moves only by the units active on a day. Units that meet a second group are few;
-- they stand apart, with their totals on every day until they leave, so that nothing of them remains.
-- version: 2
WITH members AS (
  SELECT
    f.unit_id,
    f.group_id,
    ROW_NUMBER() OVER () AS unit_key
  FROM first_exposures AS f
  WHERE
    NOT (f.crossover AND :crossovers_leave)
), activity AS (
  SELECT
    m.unit_key,
    m.group_id,
    u.ds
  FROM unit_days AS u
  JOIN members AS m
    ON m.unit_id = u.unit_id
), running AS (
  SELECT
    a.group_id,
    a.ds
  FROM activity AS a
), moments AS (
  SELECT
    r.ds,
    r.group_id
  FROM running AS r
  GROUP BY
    r.ds,
    r.group_id
), leavers AS (
  SELECT
    f.unit_id,
    f.group_id,
    CAST(f.crossover_at AS DATE) AS leaves_ds
  FROM first_exposures AS f
  WHERE
    f.crossover AND :crossovers_leave AND CAST(f.crossover_at AS DATE) > :since
), leaver_activity AS (
  SELECT
    l.unit_id,
    l.group_id,
    l.leaves_ds,
    u.ds
  FROM unit_days AS u
  JOIN leavers AS l
    ON l.unit_id = u.unit_id AND u.ds < l.leaves_ds
), leaver_running AS (
  SELECT
    a.group_id,
    a.ds,
    COALESCE(LEAD(a.ds) OVER (PARTITION BY a.unit_id ORDER BY a.ds), a.leaves_ds) AS until_ds
  FROM leaver_activity AS a
), leaver_moments AS (
  SELECT
    d.ds,
    r.group_id
  FROM leaver_running AS r
  JOIN days AS d
    ON d.ds >= r.ds AND d.ds < r.until_ds
  GROUP BY
    d.ds,
    r.group_id
), series AS (
  SELECT
    s.ds,
    s.group_id,
    s.cumulative_exposures AS units
  FROM exposures_summary AS s
  LEFT JOIN moments AS m
    ON m.ds = s.ds AND m.group_id = s.group_id
  LEFT JOIN leaver_moments AS l
    ON l.ds = s.ds AND l.group_id = s.group_id
), by_rollup AS (
  SELECT
    r.rollup,
    t.ds,
    t.group_id,
    t.units
  FROM series AS t
  CROSS JOIN rollups AS r
)
SELECT
  k.rollup,
  t.ds,
  CAST(NULL AS BIGINT) AS day_index,
  k.metric,
  CAST(NULL AS VARCHAR) AS dimension,
  CAST(NULL AS VARCHAR) AS dimension_value,
  t.group_id,
  t.units
FROM by_rollup AS t
JOIN statistic_keys AS k
  ON k.rollup = t.rollup
