-- SPDX-License-Identifier: Apache-2.0
--
-- gcn_large.sql - a graph convolutional network of three layers, of the size that ogbn-arxiv asks for: 169,343 vertices,
-- 2.5 million edges with self-loops, 128 -> 256 -> 256 -> 40; both directions of an edge are rows, normalised by
-- the degrees of both ends.
--
--   features, adj -> gc1 -> relu1 -> gc2 -> relu2 -> gc3 -> cross-entropy with the labels of the training vertices
--
-- Features come as `sqlgrad import idx` packs images, a byte each: a vertex is an image of one row.

-- @set inputs = 128
-- @set hidden = 256
-- @set classes = 40

CREATE TABLE features (image INTEGER, r INTEGER, c INTEGER, val REAL);

CREATE TABLE edges (src INTEGER, dst INTEGER);

CREATE TABLE labels (vertex INTEGER, label INTEGER);

CREATE TABLE training (vertex INTEGER);

-- @param(init = xavier_uniform)
CREATE TABLE gc1_w (
  i      INTEGER CHECK (i BETWEEN 0 AND :inputs - 1),
  j      INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  weight REAL);

-- @param(init = zeros)
CREATE TABLE gc1_b (
  j    INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  bias REAL);

-- @param(init = xavier_uniform)
CREATE TABLE gc2_w (
  i      INTEGER CHECK (i BETWEEN 0 AND :hidden - 1),
  j      INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  weight REAL);

-- @param(init = zeros)
CREATE TABLE gc2_b (
  j    INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  bias REAL);

-- @param(init = xavier_uniform)
CREATE TABLE gc3_w (
  i      INTEGER CHECK (i BETWEEN 0 AND :hidden - 1),
  j      INTEGER CHECK (j BETWEEN 0 AND :classes - 1),
  weight REAL);

-- @param(init = zeros)
CREATE TABLE gc3_b (
  j    INTEGER CHECK (j BETWEEN 0 AND :classes - 1),
  bias REAL);

CREATE TABLE degree AS
SELECT src AS i, COUNT(*) AS n
FROM edges GROUP BY src;

CREATE TABLE adj AS
SELECT src AS i, dst AS j, 1.0 / SQRT(a.n * b.n) AS val
FROM edges, degree AS a, degree AS b
WHERE src = a.i AND dst = b.i;

CREATE TABLE gc1_mid AS
SELECT features.image AS i, gc1_w.j AS j, SUM(features.val * weight) AS val
FROM features, gc1_w
WHERE features.c = gc1_w.i
GROUP BY features.image, gc1_w.j;

CREATE TABLE gc1_out AS
SELECT adj.i AS i, gc1_mid.j AS j, SUM(adj.val * gc1_mid.val) + bias AS val
FROM adj, gc1_mid, gc1_b
WHERE adj.j = gc1_mid.i AND gc1_mid.j = gc1_b.j
GROUP BY adj.i, gc1_mid.j;

CREATE TABLE relu1_out AS
SELECT i, j, MAX(0, val) AS val
FROM gc1_out;

CREATE TABLE gc2_mid AS
SELECT relu1_out.i AS i, gc2_w.j AS j, SUM(relu1_out.val * weight) AS val
FROM relu1_out, gc2_w
WHERE relu1_out.j = gc2_w.i
GROUP BY relu1_out.i, gc2_w.j;

CREATE TABLE gc2_out AS
SELECT adj.i AS i, gc2_mid.j AS j, SUM(adj.val * gc2_mid.val) + bias AS val
FROM adj, gc2_mid, gc2_b
WHERE adj.j = gc2_mid.i AND gc2_mid.j = gc2_b.j
GROUP BY adj.i, gc2_mid.j;

CREATE TABLE relu2_out AS
SELECT i, j, MAX(0, val) AS val
FROM gc2_out;

CREATE TABLE gc3_mid AS
SELECT relu2_out.i AS i, gc3_w.j AS j, SUM(relu2_out.val * weight) AS val
FROM relu2_out, gc3_w
WHERE relu2_out.j = gc3_w.i
GROUP BY relu2_out.i, gc3_w.j;

CREATE TABLE gc3_out AS
SELECT adj.i AS i, gc3_mid.j AS j, SUM(adj.val * gc3_mid.val) + bias AS val
FROM adj, gc3_mid, gc3_b
WHERE adj.j = gc3_mid.i AND gc3_mid.j = gc3_b.j
GROUP BY adj.i, gc3_mid.j;

-- Cross-entropy over the training vertices.

CREATE TABLE scores AS
SELECT i, j, val
FROM gc3_out JOIN training ON gc3_out.i = training.vertex;

CREATE TABLE total AS
SELECT i, LN(SUM(EXP(val))) AS val
FROM scores GROUP BY i;

-- @loss
CREATE TABLE loss AS
SELECT AVG(total.val - scores.val) AS val
FROM scores
JOIN labels ON scores.i = labels.vertex AND scores.j = labels.label
JOIN total ON scores.i = total.i;
