-- SPDX-License-Identifier: Apache-2.0
--
-- tanh.sql - SUM(tanh(a w)^2) for a table a of 50,000 x 16 and w of 16 x 8: one join, one function, one sum.

CREATE TABLE a (i INTEGER, k INTEGER, val REAL);

-- @param(init = uniform(-0.5, 0.5))
CREATE TABLE w (
  k   INTEGER CHECK (k BETWEEN 0 AND 15),
  j   INTEGER CHECK (j BETWEEN 0 AND 7),
  val REAL);

CREATE TABLE h AS
SELECT a.i, w.j, TANH(SUM(a.val * w.val)) AS val
FROM a JOIN w ON a.k = w.k
GROUP BY a.i, w.j;

-- @loss
CREATE TABLE loss AS
SELECT SUM(val * val) AS val
FROM h;
