-- The groups that the published results have rows of.
-- version: 1
SELECT DISTINCT
  p.group_id
FROM published_results AS p
