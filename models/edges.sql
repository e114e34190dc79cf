-- SPDX-License-Identifier: Apache-2.0
--
-- edges.sql - the graph convolutional network of gcn.sql, with the weights of the edges learned as well: one number for
-- each of Cora's 10,556 edges.
--
-- The gradient of an edge table is an edge table.  Where arrays would make 2,708 x 2,708 numbers, or a special kind of
-- tensor, there are the rows that are there.
--
--   sqlgrad train models/edges.sql --db cora.db --steps 200          (cora.db as for gcn.sql)
--
-- 79.8 % of the 1,000 test papers are right, mean of seeds 0 to 4: with 140 known papers the edges' 10,556 numbers are
-- no help (gcn.sql: 80.5 %).

-- @minimize loss using adam(lr = 0.01, weight_decay = 5e-4)
-- @set hidden = 16

CREATE TABLE edges (src INTEGER, dst INTEGER);

CREATE TABLE features (node INTEGER, word INTEGER);

CREATE TABLE labels (node INTEGER, label INTEGER);

CREATE TABLE split (node INTEGER, part TEXT);

-- A score for each edge, starting at 0: all neighbours count the same.

-- @param
CREATE TABLE score AS SELECT src, dst, 0.0 AS s FROM edges;

-- @param(init = xavier_uniform)
CREATE TABLE w1 (
  word INTEGER CHECK (word BETWEEN 0 AND 1432),
  j    INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  w    REAL);

-- @param(init = zeros)
CREATE TABLE b1 (j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1), b REAL);

-- @param(init = xavier_uniform)
CREATE TABLE w2 (
  j     INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  label INTEGER CHECK (label BETWEEN 0 AND 6),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE b2 (label INTEGER CHECK (label BETWEEN 0 AND 6), b REAL);

CREATE TABLE words AS
SELECT node, word, 1.0 / COUNT(*) OVER (PARTITION BY node) AS val
FROM features;

CREATE TABLE edge AS
SELECT src, dst, EXP(s) / SUM(EXP(s)) OVER (PARTITION BY src) AS w
FROM score;

CREATE TABLE mid1 AS
SELECT node, j, SUM(val * w) AS x
FROM words JOIN w1 USING (word)
GROUP BY node, j;

CREATE TABLE h AS
SELECT src AS node, j, MAX(0, SUM(edge.w * x) + b) AS x
FROM edge JOIN mid1 ON node = dst JOIN b1 USING (j)
GROUP BY src, j;

CREATE TABLE mid2 AS
SELECT node, label, SUM(x * w) AS x
FROM h JOIN w2 USING (j)
GROUP BY node, label;

CREATE TABLE logits AS
SELECT src AS node, label, SUM(edge.w * x) + b AS x
FROM edge JOIN mid2 ON node = dst JOIN b2 USING (label)
GROUP BY src, label;

CREATE TABLE losses AS
SELECT node, total - x AS val
FROM logits JOIN labels USING (node, label) JOIN split USING (node)
JOIN (SELECT node, LN(SUM(EXP(x))) AS total FROM logits GROUP BY node) AS totals USING (node)
WHERE part = 'train';

-- @loss
CREATE TABLE loss AS
SELECT AVG(val) AS val FROM losses;

CREATE TABLE prediction AS
SELECT node, label
FROM (SELECT node, label, ROW_NUMBER() OVER (PARTITION BY node ORDER BY x DESC, label) AS place
      FROM logits) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction JOIN labels USING (node) JOIN split USING (node)
WHERE part = 'test';

-- What was learned: the neighbours that count most, and least, for what is equal among n of them.

CREATE TABLE moved AS
SELECT src, dst, n, w
FROM (SELECT src, dst, w, COUNT(*) OVER (PARTITION BY src) AS n FROM edge) AS counted
ORDER BY ABS(w - 1.0 / n) DESC LIMIT 10;
