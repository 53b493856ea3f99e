-- One row per unit: its aggregates summed over all its days through one, for later loads to start from.
-- version: 1
SELECT
  u.unit_id,
  :through AS ds
FROM unit_days AS u
GROUP BY
  u.unit_id
