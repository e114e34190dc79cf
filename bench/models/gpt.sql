-- SPDX-License-Identifier: Apache-2.0
--
-- gpt.sql - models/gpt.sql with four layers, four heads and 128 numbers a token, which reads 64 letters of a text and says
-- after each which comes next.
--
--   sequences -> token + position -> 4 x (norm -> attention -> +, norm -> mlp -> +) -> norm -> next token

-- @set width = 128
-- @set heads = 4
-- @set length = 64
-- @set vocabulary = 76

-- @data(batch = seq)
CREATE TABLE sequences (seq INTEGER, t INTEGER, token INTEGER);

-- Parameters.

-- @param(init = normal(0, 0.02))
CREATE TABLE wte (
  token INTEGER CHECK (token BETWEEN 0 AND :vocabulary - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- @param(init = normal(0, 0.02))
CREATE TABLE wpe (
  t INTEGER CHECK (t BETWEEN 0 AND :length - 1),
  j INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w REAL);

-- @param(init = ones)
CREATE TABLE norm_gain (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  part  INTEGER CHECK (part BETWEEN 0 AND 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  gain  REAL);

-- @param(init = zeros)
CREATE TABLE norm_bias (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  part  INTEGER CHECK (part BETWEEN 0 AND 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  bias  REAL);

-- @param(init = normal(0, 0.02))
CREATE TABLE qkv_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  part  INTEGER CHECK (part BETWEEN 0 AND 2),
  head  INTEGER CHECK (head BETWEEN 0 AND :heads - 1),
  d     INTEGER CHECK (d BETWEEN 0 AND :width / :heads - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE qkv_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  part  INTEGER CHECK (part BETWEEN 0 AND 2),
  head  INTEGER CHECK (head BETWEEN 0 AND :heads - 1),
  d     INTEGER CHECK (d BETWEEN 0 AND :width / :heads - 1),
  b     REAL);

-- @param(init = normal(0, 0.0082))
CREATE TABLE proj_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  head  INTEGER CHECK (head BETWEEN 0 AND :heads - 1),
  d     INTEGER CHECK (d BETWEEN 0 AND :width / :heads - 1),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE proj_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  b     REAL);

-- @param(init = normal(0, 0.02))
CREATE TABLE up_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  i     INTEGER CHECK (i BETWEEN 0 AND 4 * :width - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE up_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  i     INTEGER CHECK (i BETWEEN 0 AND 4 * :width - 1),
  b     REAL);

-- @param(init = normal(0, 0.0082))
CREATE TABLE down_w (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  i     INTEGER CHECK (i BETWEEN 0 AND 4 * :width - 1),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE down_b (
  layer INTEGER CHECK (layer BETWEEN 0 AND 3),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  b     REAL);

-- @param(init = ones)
CREATE TABLE end_gain (j INTEGER CHECK (j BETWEEN 0 AND :width - 1), gain REAL);

-- @param(init = zeros)
CREATE TABLE end_bias (j INTEGER CHECK (j BETWEEN 0 AND :width - 1), bias REAL);

-- @param(init = normal(0, 0.02))
CREATE TABLE head_w (
  token INTEGER CHECK (token BETWEEN 0 AND :vocabulary - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- What a token is, and where it stands.

CREATE TABLE h0 AS
SELECT seq, t, j, wte.w + wpe.w AS x
FROM sequences JOIN wte USING (token) JOIN wpe USING (t, j)
WHERE t < :length;

-- Layer 0.  Layer norm: over the numbers of a token.

CREATE TABLE centred0 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h0;

CREATE TABLE norm0 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred0 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 0 AND part = 0;

-- Query, key and value of every head: parts 0, 1 and 2.

CREATE TABLE qkv0 AS
SELECT seq, t, part, head, d, SUM(x * w) + b AS x
FROM norm0 JOIN qkv_w USING (j) JOIN qkv_b USING (layer, part, head, d)
WHERE layer = 0
GROUP BY seq, t, part, head, d;

-- How much the token at t looks at the one at s, and the softmax of that.

CREATE TABLE score0 AS
SELECT q.seq, q.head, q.t, k.t AS s, SUM(q.x * k.x) / SQRT(:width / :heads) AS x
FROM qkv0 AS q JOIN qkv0 AS k ON k.seq = q.seq AND k.head = q.head AND k.d = q.d
WHERE q.part = 0 AND k.part = 1 AND k.t <= q.t
GROUP BY q.seq, q.head, q.t, k.t;

CREATE TABLE attend0 AS
SELECT seq, head, t, s, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY seq, head, t))) AS p
FROM score0;

-- What it sees there, all heads together.

CREATE TABLE mix0 AS
SELECT attend0.seq, attend0.t, attend0.head, v.d, SUM(p * x) AS x
FROM attend0 JOIN qkv0 AS v ON v.seq = attend0.seq AND v.head = attend0.head AND v.t = s
WHERE v.part = 2
GROUP BY attend0.seq, attend0.t, attend0.head, v.d;

CREATE TABLE proj0 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM mix0 JOIN proj_w USING (head, d) JOIN proj_b USING (layer, j)
WHERE layer = 0
GROUP BY seq, t, j;

CREATE TABLE after0 AS
SELECT seq, t, j, h0.x + proj0.x AS x
FROM h0 JOIN proj0 USING (seq, t, j);

-- The perceptron, each token by itself, with GELU in its tanh form.

CREATE TABLE centred_mlp0 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM after0;

CREATE TABLE norm_mlp0 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred_mlp0 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 0 AND part = 1;

CREATE TABLE up0 AS
SELECT seq, t, i, SUM(x * w) + b AS x
FROM norm_mlp0 JOIN up_w USING (j) JOIN up_b USING (layer, i)
WHERE layer = 0
GROUP BY seq, t, i;

CREATE TABLE gelu0 AS
SELECT seq, t, i, 0.5 * x * (1 + TANH(SQRT(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) AS x
FROM up0;

CREATE TABLE down0 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM gelu0 JOIN down_w USING (i) JOIN down_b USING (layer, j)
WHERE layer = 0
GROUP BY seq, t, j;

CREATE TABLE h1 AS
SELECT seq, t, j, after0.x + down0.x AS x
FROM after0 JOIN down0 USING (seq, t, j);

-- Layer 1, the same.

CREATE TABLE centred1 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h1;

CREATE TABLE norm1 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred1 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 1 AND part = 0;

CREATE TABLE qkv1 AS
SELECT seq, t, part, head, d, SUM(x * w) + b AS x
FROM norm1 JOIN qkv_w USING (j) JOIN qkv_b USING (layer, part, head, d)
WHERE layer = 1
GROUP BY seq, t, part, head, d;

CREATE TABLE score1 AS
SELECT q.seq, q.head, q.t, k.t AS s, SUM(q.x * k.x) / SQRT(:width / :heads) AS x
FROM qkv1 AS q JOIN qkv1 AS k ON k.seq = q.seq AND k.head = q.head AND k.d = q.d
WHERE q.part = 0 AND k.part = 1 AND k.t <= q.t
GROUP BY q.seq, q.head, q.t, k.t;

CREATE TABLE attend1 AS
SELECT seq, head, t, s, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY seq, head, t))) AS p
FROM score1;

CREATE TABLE mix1 AS
SELECT attend1.seq, attend1.t, attend1.head, v.d, SUM(p * x) AS x
FROM attend1 JOIN qkv1 AS v ON v.seq = attend1.seq AND v.head = attend1.head AND v.t = s
WHERE v.part = 2
GROUP BY attend1.seq, attend1.t, attend1.head, v.d;

CREATE TABLE proj1 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM mix1 JOIN proj_w USING (head, d) JOIN proj_b USING (layer, j)
WHERE layer = 1
GROUP BY seq, t, j;

CREATE TABLE after1 AS
SELECT seq, t, j, h1.x + proj1.x AS x
FROM h1 JOIN proj1 USING (seq, t, j);

CREATE TABLE centred_mlp1 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM after1;

CREATE TABLE norm_mlp1 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred_mlp1 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 1 AND part = 1;

CREATE TABLE up1 AS
SELECT seq, t, i, SUM(x * w) + b AS x
FROM norm_mlp1 JOIN up_w USING (j) JOIN up_b USING (layer, i)
WHERE layer = 1
GROUP BY seq, t, i;

CREATE TABLE gelu1 AS
SELECT seq, t, i, 0.5 * x * (1 + TANH(SQRT(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) AS x
FROM up1;

CREATE TABLE down1 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM gelu1 JOIN down_w USING (i) JOIN down_b USING (layer, j)
WHERE layer = 1
GROUP BY seq, t, j;

CREATE TABLE h2 AS
SELECT seq, t, j, after1.x + down1.x AS x
FROM after1 JOIN down1 USING (seq, t, j);

-- Layer 2.

CREATE TABLE centred2 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h2;

CREATE TABLE norm2 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred2 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 2 AND part = 0;

CREATE TABLE qkv2 AS
SELECT seq, t, part, head, d, SUM(x * w) + b AS x
FROM norm2 JOIN qkv_w USING (j) JOIN qkv_b USING (layer, part, head, d)
WHERE layer = 2
GROUP BY seq, t, part, head, d;

CREATE TABLE score2 AS
SELECT q.seq, q.head, q.t, k.t AS s, SUM(q.x * k.x) / SQRT(:width / :heads) AS x
FROM qkv2 AS q JOIN qkv2 AS k ON k.seq = q.seq AND k.head = q.head AND k.d = q.d
WHERE q.part = 0 AND k.part = 1 AND k.t <= q.t
GROUP BY q.seq, q.head, q.t, k.t;

CREATE TABLE attend2 AS
SELECT seq, head, t, s, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY seq, head, t))) AS p
FROM score2;

CREATE TABLE mix2 AS
SELECT attend2.seq, attend2.t, attend2.head, v.d, SUM(p * x) AS x
FROM attend2 JOIN qkv2 AS v ON v.seq = attend2.seq AND v.head = attend2.head AND v.t = s
WHERE v.part = 2
GROUP BY attend2.seq, attend2.t, attend2.head, v.d;

CREATE TABLE proj2 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM mix2 JOIN proj_w USING (head, d) JOIN proj_b USING (layer, j)
WHERE layer = 2
GROUP BY seq, t, j;

CREATE TABLE after2 AS
SELECT seq, t, j, h2.x + proj2.x AS x
FROM h2 JOIN proj2 USING (seq, t, j);

CREATE TABLE centred_mlp2 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM after2;

CREATE TABLE norm_mlp2 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred_mlp2 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 2 AND part = 1;

CREATE TABLE up2 AS
SELECT seq, t, i, SUM(x * w) + b AS x
FROM norm_mlp2 JOIN up_w USING (j) JOIN up_b USING (layer, i)
WHERE layer = 2
GROUP BY seq, t, i;

CREATE TABLE gelu2 AS
SELECT seq, t, i, 0.5 * x * (1 + TANH(SQRT(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) AS x
FROM up2;

CREATE TABLE down2 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM gelu2 JOIN down_w USING (i) JOIN down_b USING (layer, j)
WHERE layer = 2
GROUP BY seq, t, j;

CREATE TABLE h3 AS
SELECT seq, t, j, after2.x + down2.x AS x
FROM after2 JOIN down2 USING (seq, t, j);

-- Layer 3.

CREATE TABLE centred3 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h3;

CREATE TABLE norm3 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred3 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 3 AND part = 0;

CREATE TABLE qkv3 AS
SELECT seq, t, part, head, d, SUM(x * w) + b AS x
FROM norm3 JOIN qkv_w USING (j) JOIN qkv_b USING (layer, part, head, d)
WHERE layer = 3
GROUP BY seq, t, part, head, d;

CREATE TABLE score3 AS
SELECT q.seq, q.head, q.t, k.t AS s, SUM(q.x * k.x) / SQRT(:width / :heads) AS x
FROM qkv3 AS q JOIN qkv3 AS k ON k.seq = q.seq AND k.head = q.head AND k.d = q.d
WHERE q.part = 0 AND k.part = 1 AND k.t <= q.t
GROUP BY q.seq, q.head, q.t, k.t;

CREATE TABLE attend3 AS
SELECT seq, head, t, s, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY seq, head, t))) AS p
FROM score3;

CREATE TABLE mix3 AS
SELECT attend3.seq, attend3.t, attend3.head, v.d, SUM(p * x) AS x
FROM attend3 JOIN qkv3 AS v ON v.seq = attend3.seq AND v.head = attend3.head AND v.t = s
WHERE v.part = 2
GROUP BY attend3.seq, attend3.t, attend3.head, v.d;

CREATE TABLE proj3 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM mix3 JOIN proj_w USING (head, d) JOIN proj_b USING (layer, j)
WHERE layer = 3
GROUP BY seq, t, j;

CREATE TABLE after3 AS
SELECT seq, t, j, h3.x + proj3.x AS x
FROM h3 JOIN proj3 USING (seq, t, j);

CREATE TABLE centred_mlp3 AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM after3;

CREATE TABLE norm_mlp3 AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM centred_mlp3 JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = 3 AND part = 1;

CREATE TABLE up3 AS
SELECT seq, t, i, SUM(x * w) + b AS x
FROM norm_mlp3 JOIN up_w USING (j) JOIN up_b USING (layer, i)
WHERE layer = 3
GROUP BY seq, t, i;

CREATE TABLE gelu3 AS
SELECT seq, t, i, 0.5 * x * (1 + TANH(SQRT(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) AS x
FROM up3;

CREATE TABLE down3 AS
SELECT seq, t, j, SUM(x * w) + b AS x
FROM gelu3 JOIN down_w USING (i) JOIN down_b USING (layer, j)
WHERE layer = 3
GROUP BY seq, t, j;

CREATE TABLE h4 AS
SELECT seq, t, j, after3.x + down3.x AS x
FROM after3 JOIN down3 USING (seq, t, j);

-- The next token: end norm, a score for each, cross-entropy everywhere.

CREATE TABLE end_centred AS
SELECT seq, t, j, x - AVG(x) OVER (PARTITION BY seq, t) AS x
FROM h4;

CREATE TABLE end_norm AS
SELECT seq, t, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq, t) + 1e-5) * gain + bias AS x
FROM end_centred JOIN end_gain USING (j) JOIN end_bias USING (j);

CREATE TABLE logits AS
SELECT seq, t, token, SUM(x * w) AS x
FROM end_norm JOIN head_w USING (j)
GROUP BY seq, t, token;

CREATE TABLE targets AS
SELECT seq, t - 1 AS t, token
FROM sequences
WHERE t >= 1;

CREATE TABLE losses AS
SELECT seq, t, total - x AS val
FROM logits JOIN targets USING (seq, t, token)
JOIN (SELECT seq, t, LN(SUM(EXP(x))) AS total FROM logits GROUP BY seq, t) AS totals USING (seq, t);

-- @loss
CREATE TABLE loss AS
SELECT AVG(val) AS val FROM losses;
