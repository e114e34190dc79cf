-- SPDX-License-Identifier: Apache-2.0
--
-- parts/gpt.sql - the layers of a transformer, for the models that include it: gpt.sql and gpt_text.sql.  From tokens to the
-- numbers from which the next token is told:
--
--   sequences(seq, t, token), wte(token, j, w) -> h -> :layers x (norm -> attention -> +, norm -> mlp -> +) -> end_norm
--
-- Attention is a join: the query at t meets every key at s <= t.  All layers are one text; their parameters are rows of the
-- same tables, told apart by `layer`.  The names :layers, :width, :heads and :length are the model's.

-- Parameters.  Weight decay is for matrices only.

-- @param(init = normal(0, 0.02), decay = 0)
CREATE TABLE wpe (
  t INTEGER CHECK (t BETWEEN 0 AND :length - 1),
  j INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w REAL);

-- @param(init = ones, decay = 0)
CREATE TABLE norm_gain (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  part  INTEGER CHECK (part BETWEEN 0 AND 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  gain  REAL);

-- @param(init = zeros, decay = 0)
CREATE TABLE norm_bias (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  part  INTEGER CHECK (part BETWEEN 0 AND 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  bias  REAL);

-- @param(init = normal(0, 0.02))
CREATE TABLE qkv_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  part  INTEGER CHECK (part BETWEEN 0 AND 2),
  head  INTEGER CHECK (head BETWEEN 0 AND :heads - 1),
  d     INTEGER CHECK (d BETWEEN 0 AND :width / :heads - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- @param(init = zeros, decay = 0)
CREATE TABLE qkv_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  part  INTEGER CHECK (part BETWEEN 0 AND 2),
  head  INTEGER CHECK (head BETWEEN 0 AND :heads - 1),
  d     INTEGER CHECK (d BETWEEN 0 AND :width / :heads - 1),
  b     REAL);

-- @param(init = normal(0, 0.0082))
CREATE TABLE proj_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  head  INTEGER CHECK (head BETWEEN 0 AND :heads - 1),
  d     INTEGER CHECK (d BETWEEN 0 AND :width / :heads - 1),
  w     REAL);

-- @param(init = zeros, decay = 0)
CREATE TABLE proj_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  b     REAL);

-- @param(init = normal(0, 0.02))
CREATE TABLE up_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  i     INTEGER CHECK (i BETWEEN 0 AND 4 * :width - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- @param(init = zeros, decay = 0)
CREATE TABLE up_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  i     INTEGER CHECK (i BETWEEN 0 AND 4 * :width - 1),
  b     REAL);

-- @param(init = normal(0, 0.0082))
CREATE TABLE down_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  i     INTEGER CHECK (i BETWEEN 0 AND 4 * :width - 1),
  w     REAL);

-- @param(init = zeros, decay = 0)
CREATE TABLE down_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND :layers - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  b     REAL);

-- @param(init = ones, decay = 0)
CREATE TABLE end_gain (j INTEGER CHECK (j BETWEEN 0 AND :width - 1), gain REAL);

-- @param(init = zeros, decay = 0)
CREATE TABLE end_bias (j INTEGER CHECK (j BETWEEN 0 AND :width - 1), bias REAL);

-- What a token is, and where it stands.

CREATE TABLE h AS
SELECT seq, t, j, wte.w + wpe.w AS x
FROM sequences JOIN wte USING (token) JOIN wpe USING (t, j)
WHERE t < :length;

-- The layers, each from the `h` of the one before.

-- @for layer = 0 .. :layers - 1
-- Layer norm: over the numbers of a token.

CREATE TABLE centred AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h;

CREATE TABLE normed AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = :layer AND part = 0;

-- Query, key and value of every head: parts 0, 1 and 2.

CREATE TABLE qkv AS
SELECT seq, t, part, head, d, SUM(x * w) + b AS x
FROM normed JOIN qkv_w USING (j) JOIN qkv_b USING (layer, part, head, d)
WHERE layer = :layer
GROUP BY seq, t, part, head, d;

-- How much the token at t looks at the one at s, and the softmax of that.

CREATE TABLE score AS
SELECT q.seq, q.head, q.t, k.t AS s, SUM(q.x * k.x) / SQRT(:width / :heads) AS x
FROM qkv AS q JOIN qkv AS k ON k.seq = q.seq AND k.head = q.head AND k.d = q.d
WHERE q.part = 0 AND k.part = 1 AND k.t <= q.t
GROUP BY q.seq, q.head, q.t, k.t;

CREATE TABLE attend AS
SELECT seq, head, t, s, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY seq, head, t))) AS p
FROM score;

-- What it sees there, all heads together.

CREATE TABLE mix AS
SELECT attend.seq, attend.t, attend.head, v.d, SUM(p * x) AS x
FROM attend JOIN qkv AS v ON v.seq = attend.seq AND v.head = attend.head AND v.t = s
WHERE v.part = 2
GROUP BY attend.seq, attend.t, attend.head, v.d;

CREATE TABLE proj AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM mix JOIN proj_w USING (head, d) JOIN proj_b USING (layer, j)
WHERE layer = :layer
GROUP BY seq, t, j;

CREATE TABLE after AS
SELECT seq, t, j, h.x + proj.x AS x
FROM h JOIN proj USING (seq, t, j);

-- The perceptron, each token by itself, with GELU in its tanh form.

CREATE TABLE centred_mlp AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM after;

CREATE TABLE norm_mlp AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred_mlp JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = :layer AND part = 1;

CREATE TABLE up AS
SELECT seq, t, i, SUM(x * w) + b AS x
FROM norm_mlp JOIN up_w USING (j) JOIN up_b USING (layer, i)
WHERE layer = :layer
GROUP BY seq, t, i;

CREATE TABLE gelu AS
SELECT seq, t, i, 0.5 * x * (1 + TANH(SQRT(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) AS x
FROM up;

CREATE TABLE down AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM gelu JOIN down_w USING (i) JOIN down_b USING (layer, j)
WHERE layer = :layer
GROUP BY seq, t, j;

CREATE TABLE h AS
SELECT seq, t, j, after.x + down.x AS x
FROM after JOIN down USING (seq, t, j);

-- @end

-- A last norm.

CREATE TABLE end_centred AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h;

CREATE TABLE end_norm AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM end_centred JOIN end_gain USING (j) JOIN end_bias USING (j);
