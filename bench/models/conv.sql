-- SPDX-License-Identifier: Apache-2.0
--
-- conv.sql - one convolution, relu, pooling and a linear layer, for square images of any even side: how time grows with
-- the size of an image.

-- @set side = 32

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- @param(init = torch_default)
CREATE TABLE conv_weight (
  channel INTEGER CHECK (channel BETWEEN 0 AND 7),
  r       INTEGER CHECK (r BETWEEN 0 AND 4),
  c       INTEGER CHECK (c BETWEEN 0 AND 4),
  weight  REAL);

-- @param(init = torch_default)
CREATE TABLE fc_weight (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 9),
  in_dim  INTEGER CHECK (in_dim BETWEEN 0 AND 7),
  weight  REAL);

CREATE TABLE conv_out AS
SELECT image, channel, samples.r - conv_weight.r AS r1, samples.c - conv_weight.c AS c1, SUM(val * weight) AS val
FROM samples, conv_weight
WHERE r1 BETWEEN 0 AND :side - 5 AND c1 BETWEEN 0 AND :side - 5
GROUP BY image, channel, r1, c1;

CREATE TABLE relu_out AS
SELECT image, channel, r1 AS r, c1 AS c, MAX(0, val) AS val
FROM conv_out;

CREATE TABLE pool_out AS
SELECT image, channel, r / 2 AS r, c / 2 AS c, MAX(val) AS val
FROM relu_out GROUP BY image, channel, r, c;

CREATE TABLE mean_out AS
SELECT image, channel, AVG(val) AS val
FROM pool_out GROUP BY image, channel;

CREATE TABLE scores AS
SELECT image, out_dim AS i, SUM(val * weight) AS val
FROM mean_out, fc_weight
WHERE channel = in_dim GROUP BY image, out_dim;

CREATE TABLE total AS
SELECT image, LN(SUM(EXP(val))) AS val
FROM scores GROUP BY image;

-- @loss
CREATE TABLE loss AS
SELECT AVG(total.val - scores.val) AS val
FROM scores
JOIN labels ON scores.image = labels.image AND scores.i = labels.label
JOIN total ON scores.image = total.image;
