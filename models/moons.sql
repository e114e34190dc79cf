-- SPDX-License-Identifier: Apache-2.0
--
-- moons.sql - the multi-layer perceptron of the demonstration in micrograd (2-16-16-1, relu) on two
-- interleaved half circles: points(n, i, x) holds coordinate i of point n, sides(n, y) is -1 or 1.
--
--   points -> layer 1 -> relu -> layer 2 -> relu -> score -> hinge loss + 1e-4 * sum of squares
--
--   sqlgrad import csv points.csv --db moons.db --table points       (the same for sides, w1, b1, w2, b2, w3, b3)
--   sqlgrad train models/moons.sql --db moons.db --steps 100 --precision f64
--
-- From micrograd's initial weights the losses are the published ones: 0.8958441028683222 at step 0,
-- 1.7235905336972022 at step 1, 0.010978370135492717 at step 99.  Without w1 … b3 in the database,
-- training starts from random weights.

-- @minimize loss over w1, b1, w2, b2, w3, b3 using sgd(lr = 1.0 - 0.9*step/100)

CREATE TABLE points (n INTEGER, i INTEGER, x REAL);

CREATE TABLE sides (n INTEGER, y REAL);

-- @param(init = uniform(-1, 1))
CREATE TABLE w1 (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 1),
  w REAL);

-- @param(init = zeros)
CREATE TABLE b1 (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  b REAL);

-- @param(init = uniform(-1, 1))
CREATE TABLE w2 (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 15),
  w REAL);

-- @param(init = zeros)
CREATE TABLE b2 (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  b REAL);

-- @param(init = uniform(-1, 1))
CREATE TABLE w3 (
  o INTEGER CHECK (o BETWEEN 0 AND 0),
  i INTEGER CHECK (i BETWEEN 0 AND 15),
  w REAL);

-- @param(init = zeros)
CREATE TABLE b3 (
  o INTEGER CHECK (o BETWEEN 0 AND 0),
  b REAL);

-- b beside the SUM is the one bias of neuron o: GROUP BY determines it.

CREATE TABLE h1 AS
SELECT n, w1.o AS i, MAX(0, SUM(w * x) + b) AS x
FROM points, w1, b1
WHERE points.i = w1.i AND w1.o = b1.o
GROUP BY n, w1.o;

CREATE TABLE h2 AS
SELECT n, w2.o AS i, MAX(0, SUM(w * x) + b) AS x
FROM h1, w2, b2
WHERE h1.i = w2.i AND w2.o = b2.o
GROUP BY n, w2.o;

CREATE TABLE scores AS
SELECT n, SUM(w * x) + b AS score
FROM h2, w3, b3
WHERE h2.i = w3.i AND w3.o = b3.o
GROUP BY n, w3.o;

CREATE TABLE data_loss AS
SELECT AVG(MAX(0, 1 - y * score)) AS val
FROM scores, sides
WHERE scores.n = sides.n;

CREATE TABLE reg_loss AS
SELECT 1e-4 * SUM(p * p) AS val
FROM (SELECT w AS p FROM w1 UNION ALL SELECT b FROM b1 UNION ALL
      SELECT w FROM w2 UNION ALL SELECT b FROM b2 UNION ALL
      SELECT w FROM w3 UNION ALL SELECT b FROM b3) AS parameters;

-- @loss
CREATE TABLE loss AS
SELECT data_loss.val + reg_loss.val AS val
FROM data_loss, reg_loss;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN score * y > 0 THEN 1.0 ELSE 0.0 END) AS val
FROM scores, sides
WHERE scores.n = sides.n;
