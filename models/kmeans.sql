-- SPDX-License-Identifier: Apache-2.0
--
-- kmeans.sql - k-means by gradient descent: the mean squared distance of each point to its nearest centre.
--
-- MIN passes its gradient to one row of the group, so each centre is moved by the points that are nearest to it, and
-- by no others: with all points in every step, gradient descent goes where Lloyd's algorithm goes.
--
-- The points are 300 in five clouds round (0, 0), (4, 4), (-4, 4), (-4, -4) and (4, -4), of deviation 0.8, made by
-- SQL; the sum of three hashed numbers stands for a normal one.
--
--   sqlite3 clouds.db < models/data/clouds.sql
--   sqlgrad train models/kmeans.sql --db clouds.db --steps 200
--   sqlgrad run models/kmeans.sql --db clouds.db --show centres,sizes
--
-- The centres start at five of the points, one of each fifth of the table.  They end at the means of the clouds, with
-- 60 points each; the loss is 1.206.

-- @minimize loss using adam(lr = 0.2 * (1 - step/steps))
-- @set k = 5

CREATE TABLE points (n INTEGER, i INTEGER, x REAL);

-- @param
CREATE TABLE centres AS
SELECT n / (300 / :k) AS c, i, x
FROM points
WHERE n % (300 / :k) = 0;

CREATE TABLE distances AS
SELECT n, c, SUM((points.x - centres.x) * (points.x - centres.x)) AS d
FROM points JOIN centres USING (i)
GROUP BY n, c;

-- @loss
CREATE TABLE loss AS
SELECT AVG(d) AS val
FROM (SELECT n, MIN(d) AS d FROM distances GROUP BY n) AS nearest;

-- Which centre each point belongs to, and how many belong to each.

CREATE TABLE members AS
SELECT n, c
FROM (SELECT n, c, ROW_NUMBER() OVER (PARTITION BY n ORDER BY d, c) AS place FROM distances) AS ranked
WHERE place = 1;

CREATE TABLE sizes AS
SELECT c, COUNT(*) AS points FROM members GROUP BY c;
