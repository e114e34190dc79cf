-- SPDX-License-Identifier: Apache-2.0
--
-- logreg.sql - logistic regression: at what temperature do the O-rings of the Space Shuttle fail?
--
-- The 23 flights before Challenger's last one, the temperature at launch in degrees Fahrenheit, and whether an
-- O-ring of the boosters was damaged (Dalal, Fowlkes and Hoadley, J. American Statistical Association 84,
-- 1989).  The likelihood has one maximum, at 15.0429 - 0.2322 * temperature, a probability of 0.9996 at the
-- 31 degrees of that last morning; training must find it.  Everything is in this file.
--
--   sqlgrad train models/logreg.sql --db orings.db --steps 500
--   sqlgrad run models/logreg.sql --db orings.db --show fitted,forecast

-- @minimize loss over slope, level using sgd(lr = 1.0, momentum = 0.9)

CREATE TABLE flights AS
WITH launches(flight, temperature, damage) AS (VALUES
  (1, 66.0, 0), (2, 70.0, 1), (3, 69.0, 0), (4, 68.0, 0), (5, 67.0, 0), (6, 72.0, 0), (7, 73.0, 0),
  (8, 70.0, 0), (9, 57.0, 1), (10, 63.0, 1), (11, 70.0, 1), (12, 78.0, 0), (13, 67.0, 0), (14, 53.0, 1),
  (15, 67.0, 0), (16, 75.0, 0), (17, 70.0, 0), (18, 81.0, 0), (19, 76.0, 0), (20, 79.0, 0), (21, 75.0, 1),
  (22, 76.0, 0), (23, 58.0, 1))
SELECT flight, temperature, damage FROM launches;

-- One number each: a parameter whose rows a query gives, with the values to start from.

-- @param
CREATE TABLE slope AS SELECT 0.0 AS w;

-- @param
CREATE TABLE level AS SELECT 0.0 AS b;

-- Temperatures are centred and scaled, or gradient descent would creep.

CREATE TABLE scale AS
SELECT AVG(temperature) AS middle, STDDEV(temperature) AS spread
FROM flights;

CREATE TABLE margins AS
SELECT flight,
       CASE WHEN damage = 1 THEN 1.0 ELSE -1.0 END * (b + w * (temperature - middle) / spread) AS m
FROM flights, scale, slope, level;

-- LN(1 + EXP(-m)) without overflow.  Each branch is differentiated where it is taken, so the gradient at
-- m = 0, where training starts, is the true -1/2; MAX(0, -m) + LN(1 + EXP(-ABS(m))) would give 0 there.

-- @loss
CREATE TABLE loss AS
SELECT AVG(CASE WHEN m > 0 THEN LN(1 + EXP(-m)) ELSE LN(1 + EXP(m)) - m END) AS val
FROM margins;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN m > 0 THEN 1.0 ELSE 0.0 END) AS val
FROM margins;

CREATE TABLE fitted AS
SELECT b - w * middle / spread AS intercept, w / spread AS coefficient
FROM scale, slope, level;

CREATE TABLE forecast AS
SELECT 1 / (1 + EXP(-(intercept + coefficient * 31))) AS damage_at_31
FROM fitted;
