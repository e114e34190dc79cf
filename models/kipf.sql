-- SPDX-License-Identifier: Apache-2.0
--
-- kipf.sql - the graph convolutional network of Kipf and Welling, "Semi-Supervised Classification with Graph
-- Convolutional Networks" (ICLR 2017), for the citation network Cora: 2,708 papers, 1,433 words, 7 subjects.
--
--   features -> dropout -> A X W1 -> relu -> dropout -> A H W2 -> cross-entropy of 140 training vertices
--
-- A is D^-1/2 (adjacency + I) D^-1/2.  Dropout is a table of zeros and ones, drawn anew in every step: over the
-- features a row for every word that a paper has, over the hidden layer one for every unit of every paper.
--
--   sqlgrad import csv edges.csv    --db cora.db --table edges       (src, dst; each edge in both directions)
--   sqlgrad import csv features.csv --db cora.db --table features    (node, word)
--   sqlgrad import csv labels.csv   --db cora.db --table labels      (node, label)
--   sqlgrad import csv split.csv    --db cora.db --table split       (node, part: train, val or test)
--   sqlgrad train models/kipf.sql --db cora.db --steps 200
--
-- 81.9 % of the 1,000 test vertices are right, mean of seeds 0 to 4 (their paper: 81.5 %; PyTorch on the same work:
-- 81.5 +- 0.6 %).

-- @set hidden = 16
-- @set keep = 0.5
-- @minimize x_ent_loss using adam(lr = 0.01, weight_decay = 5e-4)

-- @include 'parts/papers.sql'

-- @param(init = xavier_uniform)
CREATE TABLE gc1_w (
  word   INTEGER CHECK (word BETWEEN 0 AND 1432),
  unit   INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  weight REAL);

-- Weight decay is for the first layer.
-- @param(init = xavier_uniform, decay = 0)
CREATE TABLE gc2_w (
  unit   INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  label  INTEGER CHECK (label BETWEEN 0 AND 6),
  weight REAL);

-- @include 'parts/papers_near.sql'

-- The first layer.

CREATE TABLE gc1_mid AS
SELECT s.node, w.unit, SUM(s.val * w.weight) AS val
FROM seen AS s JOIN gc1_w AS w ON w.word = s.word
GROUP BY s.node, w.unit;

CREATE TABLE hidden AS
SELECT adj.i AS node, gc1_mid.unit, MAX(0, SUM(adj.val * gc1_mid.val)) AS val
FROM adj JOIN gc1_mid ON gc1_mid.node = adj.j
GROUP BY adj.i, gc1_mid.unit;

-- The second, on the units that are kept.

-- @range
CREATE TABLE unit (unit INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1));

-- @noise(bernoulli(:keep), eval = :keep)
CREATE TABLE kept_units AS
SELECT labels.node, unit.unit, 0.0 AS val FROM labels, unit;

CREATE TABLE dropped AS
SELECT h.node, h.unit, h.val * k.val / :keep AS val
FROM hidden AS h JOIN kept_units AS k ON k.node = h.node AND k.unit = h.unit;

CREATE TABLE gc2_mid AS
SELECT h.node, w.label, SUM(h.val * w.weight) AS val
FROM dropped AS h JOIN gc2_w AS w ON w.unit = h.unit
GROUP BY h.node, w.label;

CREATE TABLE out AS
SELECT adj.i AS node, gc2_mid.label, SUM(adj.val * gc2_mid.val) AS val
FROM adj JOIN gc2_mid ON gc2_mid.node = adj.j
GROUP BY adj.i, gc2_mid.label;

-- @include 'parts/papers_loss.sql'
