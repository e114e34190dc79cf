-- SPDX-License-Identifier: Apache-2.0
--
-- fm.sql - a factorisation machine (Rendle, 2010): every feature has a weight, every pair of features of a sample the
-- product of two small vectors.
--
-- A sample is its features, words in a table: 'person 12', 'film 7', 'weekend'.  Pairs are not joined: the sum over
-- all pairs is half of the square of the sum less the sum of the squares.
--
--   sqlite3 ratings.db < models/data/ratings.sql
--   sqlgrad train models/fm.sql --db ratings.db --steps 400
--
-- The error (root mean square) on ratings not trained on is 0.26 stars; mf.sql, which does not see the day, 0.37.

-- @minimize loss using adam(lr = 0.02)
-- @set size = 4

CREATE TABLE ratings (n INTEGER, person INTEGER, film INTEGER, weekend INTEGER, stars REAL, part TEXT);

CREATE TABLE features (n INTEGER, feature TEXT);

-- @range
CREATE TABLE places (k INTEGER CHECK (k BETWEEN 1 AND :size));

-- @param
CREATE TABLE level AS SELECT AVG(stars) AS w FROM ratings WHERE part = 'train';

-- @param
CREATE TABLE weight AS SELECT DISTINCT feature, 0.0 AS w FROM features;

-- @param(init = normal(0, 0.1))
CREATE TABLE factor AS SELECT DISTINCT feature, k, 0.0 AS v FROM features, places;

CREATE TABLE single AS
SELECT n, SUM(w) AS val
FROM features JOIN weight USING (feature)
GROUP BY n;

CREATE TABLE pairs AS
SELECT n, 0.5 * SUM(total * total - squares) AS val
FROM (SELECT n, k, SUM(v) AS total, SUM(v * v) AS squares
      FROM features JOIN factor USING (feature)
      GROUP BY n, k) AS sums
GROUP BY n;

CREATE TABLE errors AS
SELECT n, part, stars - (level.w + single.val + pairs.val) AS miss
FROM ratings JOIN single USING (n) JOIN pairs USING (n), level;

-- @loss
CREATE TABLE loss AS
SELECT AVG(miss * miss) + 0.0003 * (SELECT SUM(v * v) FROM factor) AS val
FROM errors
WHERE part = 'train';

-- @metric
CREATE VIEW rmse AS
SELECT SQRT(AVG(miss * miss)) AS val FROM errors WHERE part = 'test';
