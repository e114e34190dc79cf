-- SPDX-License-Identifier: Apache-2.0
--
-- appnp.sql - predictions that spread over a graph as PageRank does (Gasteiger, Bojchevski and Guennemann, "Predict then
-- Propagate", ICLR 2019), for the citation network Cora: 2,708 papers, 1,433 words, 7 subjects.
--
--   features -> dropout -> X W1 -> relu -> dropout -> H W2 = z(0)
--   z(k) = (1 - restart) A z(k - 1) + restart z(0),  ten times  -> cross-entropy of 140 training vertices
--
-- A is D^-1/2 (adjacency + I) D^-1/2.  The steps are a loop, and gradients go back through all of them.
--
--   sqlgrad train models/appnp.sql --db cora.db --steps 200          (cora.db as for kipf.sql)
--
-- 82.8 % of the 1,000 test vertices are right, mean of seeds 0 to 4 (kipf.sql: 81.9 %).

-- @set hidden = 64
-- @set keep = 0.5
-- @set steps = 10
-- @set restart = 0.1
-- @minimize x_ent_loss using adam(lr = 0.01, weight_decay = 5e-3)

-- @include 'parts/papers.sql'

-- @param(init = xavier_uniform)
CREATE TABLE w1 (
  word   INTEGER CHECK (word BETWEEN 0 AND 1432),
  unit   INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  weight REAL);

-- Weight decay is for the first layer.
-- @param(init = xavier_uniform, decay = 0)
CREATE TABLE w2 (
  unit   INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1),
  label  INTEGER CHECK (label BETWEEN 0 AND 6),
  weight REAL);

-- @include 'parts/papers_near.sql'

-- The first layer.

CREATE TABLE mid AS
SELECT s.node, w.unit, SUM(s.val * w.weight) AS val
FROM seen AS s JOIN w1 AS w ON w.word = s.word
GROUP BY s.node, w.unit;

CREATE TABLE hidden AS SELECT node, unit, MAX(0, val) AS val FROM mid;

-- The second, on the units that are kept.

-- @range
CREATE TABLE unit (unit INTEGER CHECK (unit BETWEEN 0 AND :hidden - 1));

-- @noise(bernoulli(:keep), eval = :keep)
CREATE TABLE kept_units AS
SELECT labels.node, unit.unit, 0.0 AS val FROM labels, unit;

CREATE TABLE dropped AS
SELECT h.node, h.unit, h.val * k.val / :keep AS val
FROM hidden AS h JOIN kept_units AS k ON k.node = h.node AND k.unit = h.unit;

CREATE TABLE said AS
SELECT h.node, w.label, SUM(h.val * w.weight) AS val
FROM dropped AS h JOIN w2 AS w ON w.unit = h.unit
GROUP BY h.node, w.label;

-- What every vertex hears from its neighbours, with a part of what it said itself.

CREATE TABLE z AS SELECT node, label, val FROM said;

-- @for k = 1 .. :steps
CREATE TABLE heard AS
SELECT adj.i AS node, z.label, SUM(adj.val * z.val) AS val
FROM adj JOIN z ON z.node = adj.j
GROUP BY adj.i, z.label;

CREATE TABLE z AS
SELECT node, label, (1 - :restart) * heard.val + :restart * COALESCE(said.val, 0) AS val
FROM heard LEFT JOIN said USING (node, label);
-- @end

CREATE TABLE out AS SELECT node, label, val FROM z;

-- @include 'parts/papers_loss.sql'
