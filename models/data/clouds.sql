-- SPDX-License-Identifier: Apache-2.0
--
-- clouds.sql - points(n, i, x): 300 points of the plane in five clouds, for models/kmeans.sql.
--
--   sqlite3 clouds.db < models/data/clouds.sql

CREATE TEMP TABLE noise AS
WITH RECURSIVE h(k, state) AS (
  SELECT 0, 2463534242
  UNION ALL
  SELECT k + 1, (state * 1103515245 + 12345) % 2147483648 FROM h WHERE k < 1799)
SELECT k / 6 AS n, k / 3 % 2 AS i, SUM(state / 2147483648.0 - 0.5) * 1.6 AS x FROM h GROUP BY k / 3;

CREATE TABLE points AS
SELECT n, i, x + CASE n / 60 WHEN 0 THEN 0 WHEN 1 THEN 4 WHEN 2 THEN 8 * i - 4 WHEN 3 THEN -4 ELSE 4 - 8 * i END AS x
FROM noise ORDER BY n, i;
