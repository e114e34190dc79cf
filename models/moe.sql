-- SPDX-License-Identifier: Apache-2.0
--
-- moe.sql - a mixture of experts: eight small perceptrons, of which each picture asks the two its gate thinks best.
--
-- `routes` says who asks whom, two rows a picture; the joins that follow start from it, and experts that are not asked
-- have no rows.  Which rows are chosen has no gradient; the weights of the chosen have.
--
-- With the pictures of clothes of lecun1989.sql, shrunk to 7 x 7 by SQL:
--
--   sqlgrad train models/moe.sql --db ~/clothes.db --epochs 20 --batch 64 \
--           --eval-bind samples=test_samples,labels=test_labels
--   sqlgrad run models/moe.sql --db ~/clothes.db --show load
--
-- 82.1 % of the 2,007 test pictures are right, from 49 numbers each.

-- @minimize loss using adam(lr = 3e-3 * (1 - step/steps))
-- @set experts = 8
-- @set width = 32

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- @param(init = torch_default)
CREATE TABLE gate_w (
  expert INTEGER CHECK (expert BETWEEN 0 AND :experts - 1),
  i      INTEGER CHECK (i BETWEEN 0 AND 48),
  w      REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE w1 (
  expert INTEGER CHECK (expert BETWEEN 0 AND :experts - 1),
  j      INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  i      INTEGER CHECK (i BETWEEN 0 AND 48),
  w      REAL);

-- @param(init = zeros)
CREATE TABLE b1 (
  expert INTEGER CHECK (expert BETWEEN 0 AND :experts - 1),
  j      INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  b      REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE w2 (
  expert INTEGER CHECK (expert BETWEEN 0 AND :experts - 1),
  label  INTEGER CHECK (label BETWEEN 0 AND 9),
  j      INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w      REAL);

-- @param(init = zeros)
CREATE TABLE b2 (
  expert INTEGER CHECK (expert BETWEEN 0 AND :experts - 1),
  label  INTEGER CHECK (label BETWEEN 0 AND 9),
  b      REAL);

CREATE TABLE picture AS
SELECT image, r/4 * 7 + c/4 AS i, AVG(val) AS x
FROM samples
GROUP BY image, r/4 * 7 + c/4;

-- The gate: what it thinks of each expert, as probabilities.

CREATE TABLE gate AS
SELECT image, expert, SUM(x * w) AS x
FROM picture JOIN gate_w USING (i)
GROUP BY image, expert;

CREATE TABLE belief AS
SELECT image, expert, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY image))) AS p
FROM gate;

CREATE TABLE routes AS
SELECT image, expert
FROM (SELECT image, expert, ROW_NUMBER() OVER (PARTITION BY image ORDER BY x DESC, expert) AS place
      FROM gate) AS ranked
WHERE place <= 2;

-- The chosen share what is left of the belief.

CREATE TABLE trust AS
SELECT image, expert, p / SUM(p) OVER (PARTITION BY image) AS p
FROM routes JOIN belief USING (image, expert);

CREATE TABLE hidden AS
SELECT image, expert, j, MAX(0, SUM(x * w) + b) AS x
FROM routes JOIN picture USING (image) JOIN w1 USING (expert, i) JOIN b1 USING (expert, j)
GROUP BY image, expert, j;

CREATE TABLE said AS
SELECT image, expert, label, SUM(x * w) + b AS x
FROM hidden JOIN w2 USING (expert, j) JOIN b2 USING (expert, label)
GROUP BY image, expert, label;

CREATE TABLE logits AS
SELECT image, label, SUM(p * x) AS x
FROM said JOIN trust USING (image, expert)
GROUP BY image, label;

CREATE TABLE x_ent AS
SELECT AVG(total - x) AS val
FROM logits JOIN labels USING (image, label)
JOIN (SELECT image, LN(SUM(EXP(x))) AS total FROM logits GROUP BY image) AS totals USING (image);

-- So that no expert is left alone: the share of an expert's routes times its mean belief, summed (least where all are
-- asked alike, 1).

CREATE TABLE load AS
SELECT expert, COUNT(*) AS asked FROM routes GROUP BY expert;

CREATE TABLE balance AS
SELECT :experts * SUM(asked * p) / SUM(asked) AS val
FROM load JOIN (SELECT expert, AVG(p) AS p FROM belief GROUP BY expert) AS mean USING (expert);

-- @loss
CREATE TABLE loss AS
SELECT x_ent.val + 0.01 * balance.val AS val
FROM x_ent, balance;

CREATE TABLE prediction AS
SELECT image, label
FROM (SELECT image, label, ROW_NUMBER() OVER (PARTITION BY image ORDER BY x DESC, label) AS place
      FROM logits) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction JOIN labels USING (image);
