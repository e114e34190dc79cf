-- SPDX-License-Identifier: Apache-2.0
--
-- sage.sql - GraphSAGE with mean aggregation, after Hamilton, Ying and Leskovec, "Inductive Representation Learning on
-- Large Graphs" (NIPS 2017), for the citation network Cora (kipf.sql says how to import it).
--
--   features -> own words W + mean of the neighbours' words V -> relu -> the same again -> cross-entropy
--
-- A vertex looks at no more than a few of its neighbours, others in each layer and in every step: every edge draws a
-- number, and ROW_NUMBER over these numbers takes the first.  In evaluation all neighbours count.
--
--   sqlgrad train models/sage.sql --db cora.db --steps 200
--
-- 78.4 % of the 1,000 test vertices are right, mean of seeds 0 to 4 (without dropout).

-- @set hidden = 32
-- @set neighbours = 5
-- @minimize x_ent_loss using adam(lr = 0.01, weight_decay = 5e-3)

-- @include 'parts/papers.sql'

-- @param(init = xavier_uniform)
CREATE TABLE own1 (
  word INTEGER CHECK (word BETWEEN 0 AND 1432),
  unit INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  weight REAL);

-- @param(init = xavier_uniform)
CREATE TABLE near1 (
  word INTEGER CHECK (word BETWEEN 0 AND 1432),
  unit INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  weight REAL);

-- @param(init = xavier_uniform)
CREATE TABLE own2 (
  unit  INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  label INTEGER CHECK (label BETWEEN 0 AND 6),
  weight REAL);

-- @param(init = xavier_uniform)
CREATE TABLE near2 (
  unit  INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  label INTEGER CHECK (label BETWEEN 0 AND 6),
  weight REAL);

-- Lots, and the edges they choose.

-- @noise(uniform(0, 1))
CREATE TABLE lot AS SELECT DISTINCT src, dst, 0.0 AS layer1, 0.0 AS layer2 FROM edges;

-- @train
CREATE TABLE chosen1 AS
SELECT src, dst
FROM (SELECT src, dst, ROW_NUMBER() OVER (PARTITION BY src ORDER BY layer1) AS place FROM lot) AS drawn
WHERE place <= :neighbours;

-- @train
CREATE TABLE chosen2 AS
SELECT src, dst
FROM (SELECT src, dst, ROW_NUMBER() OVER (PARTITION BY src ORDER BY layer2) AS place FROM lot) AS drawn
WHERE place <= :neighbours;

-- @eval
CREATE TABLE chosen1 AS SELECT DISTINCT src, dst FROM edges;

-- @eval
CREATE TABLE chosen2 AS SELECT DISTINCT src, dst FROM edges;

-- The first layer.  A mean of products is the product of the mean, so the words are multiplied first.

CREATE TABLE own1_mid AS
SELECT s.node, w.unit, SUM(s.val * w.weight) AS val
FROM samples AS s JOIN own1 AS w ON w.word = s.word
GROUP BY s.node, w.unit;

CREATE TABLE near1_mid AS
SELECT s.node, w.unit, SUM(s.val * w.weight) AS val
FROM samples AS s JOIN near1 AS w ON w.word = s.word
GROUP BY s.node, w.unit;

CREATE TABLE near1_mean AS
SELECT c.src AS node, m.unit, AVG(m.val) AS val
FROM chosen1 AS c JOIN near1_mid AS m ON m.node = c.dst
GROUP BY c.src, m.unit;

CREATE TABLE hidden AS
SELECT o.node, o.unit, MAX(0, o.val + COALESCE(n.val, 0)) AS val
FROM own1_mid AS o LEFT JOIN near1_mean AS n ON n.node = o.node AND n.unit = o.unit;

-- The second.

CREATE TABLE own2_mid AS
SELECT h.node, w.label, SUM(h.val * w.weight) AS val
FROM hidden AS h JOIN own2 AS w ON w.unit = h.unit
GROUP BY h.node, w.label;

CREATE TABLE near2_mid AS
SELECT h.node, w.label, SUM(h.val * w.weight) AS val
FROM hidden AS h JOIN near2 AS w ON w.unit = h.unit
GROUP BY h.node, w.label;

CREATE TABLE near2_mean AS
SELECT c.src AS node, m.label, AVG(m.val) AS val
FROM chosen2 AS c JOIN near2_mid AS m ON m.node = c.dst
GROUP BY c.src, m.label;

CREATE TABLE out AS
SELECT o.node, o.label, o.val + COALESCE(n.val, 0) AS val
FROM own2_mid AS o LEFT JOIN near2_mean AS n ON n.node = o.node AND n.label = o.label;

-- @include 'parts/papers_loss.sql'
