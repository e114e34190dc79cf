-- SPDX-License-Identifier: Apache-2.0
--
-- parts/fashion.sql - the network of fashion.sql, from samples(image, r, c, val) and labels(image, label) to its loss and accuracy, for
-- the models that include it: fashion.sql, which trains it, and pgd.sql, which attacks it.

-- @param(init = torch_default)
CREATE TABLE conv1_weight (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 5),
  r           INTEGER CHECK (r BETWEEN 0 AND 4),
  c           INTEGER CHECK (c BETWEEN 0 AND 4),
  weight      REAL);

-- @param(init = torch_default(of = conv1_weight))
CREATE TABLE conv1_bias (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 5),
  bias        REAL);

-- @param(init = torch_default)
CREATE TABLE conv2_weight (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 15),
  in_channel  INTEGER CHECK (in_channel BETWEEN 0 AND 5),
  r           INTEGER CHECK (r BETWEEN 0 AND 4),
  c           INTEGER CHECK (c BETWEEN 0 AND 4),
  weight      REAL);

-- @param(init = torch_default(of = conv2_weight))
CREATE TABLE conv2_bias (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 15),
  bias        REAL);

-- @param(init = torch_default)
CREATE TABLE fc1_weight (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 119),
  in_dim  INTEGER CHECK (in_dim BETWEEN 0 AND 255),
  weight  REAL);

-- @param(init = torch_default(of = fc1_weight))
CREATE TABLE fc1_bias (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 119),
  bias    REAL);

-- @param(init = torch_default)
CREATE TABLE fc2_weight (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 83),
  in_dim  INTEGER CHECK (in_dim BETWEEN 0 AND 119),
  weight  REAL);

-- @param(init = torch_default(of = fc2_weight))
CREATE TABLE fc2_bias (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 83),
  bias    REAL);

-- @param(init = torch_default)
CREATE TABLE fc3_weight (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 9),
  in_dim  INTEGER CHECK (in_dim BETWEEN 0 AND 83),
  weight  REAL);

-- @param(init = torch_default(of = fc3_weight))
CREATE TABLE fc3_bias (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 9),
  bias    REAL);

-- conv1: 28 x 28 to 6 x 24 x 24.  In GROUP BY, channel, r1 and c1 are the aliases.

CREATE TABLE conv1_unbiased AS
SELECT
image,
out_channel AS channel,
samples.r - conv1_weight.r AS r1,
samples.c - conv1_weight.c AS c1,
SUM(val * weight) AS val
FROM samples, conv1_weight
WHERE
r1 BETWEEN 0 AND 28-5 AND
c1 BETWEEN 0 AND 28-5
GROUP BY image, channel, r1, c1;

CREATE TABLE conv1_out AS
SELECT
image, channel, r1 AS r, c1 AS c,
val + bias AS val
FROM conv1_unbiased, conv1_bias
WHERE channel = out_channel;

CREATE TABLE relu1_out AS
SELECT
image, channel, r, c, MAX(0,val) AS val
FROM conv1_out;

-- pool1: 2 x 2 cells to one, 6 x 12 x 12.  Integer division finds the cell.

CREATE TABLE pool1_out AS
SELECT
image, channel, r/2 AS r, c/2 AS c,
MAX(val) AS val
FROM relu1_out GROUP BY image, channel, r, c;

-- conv2: 6 x 12 x 12 to 16 x 8 x 8, then pool2 to 16 x 4 x 4.

CREATE TABLE conv2_unbiased AS
SELECT
image,
out_channel AS channel,
pool1_out.r - conv2_weight.r AS r1,
pool1_out.c - conv2_weight.c AS c1,
SUM(val * weight) AS val
FROM pool1_out, conv2_weight
WHERE
channel = in_channel AND
r1 BETWEEN 0 AND 12-5 AND
c1 BETWEEN 0 AND 12-5
GROUP BY image, channel, r1, c1;

CREATE TABLE conv2_out AS
SELECT
image, channel, r1 AS r, c1 AS c,
val + bias AS val
FROM conv2_unbiased, conv2_bias
WHERE channel = out_channel;

CREATE TABLE relu2_out AS
SELECT
image, channel, r, c, MAX(0,val) AS val
FROM conv2_out;

CREATE TABLE pool2_out AS
SELECT
image, channel, r/2 AS r, c/2 AS c,
MAX(val) AS val
FROM relu2_out GROUP BY image, channel, r, c;

CREATE TABLE flatten_out AS
SELECT
image, (channel * 4 + r) * 4 + c AS i, val
FROM pool2_out;

-- Three fully connected layers: 256 -> 120 -> 84 -> 10.

CREATE TABLE fc1_unbiased AS
SELECT
image, out_dim AS i,
SUM(val * weight) AS val
FROM flatten_out, fc1_weight
WHERE i = in_dim GROUP BY image, out_dim;

CREATE TABLE fc1_out AS
SELECT image, i, val + bias AS val
FROM fc1_unbiased, fc1_bias
WHERE i = out_dim;

CREATE TABLE relu3_out AS
SELECT
image, i, MAX(0,val) AS val
FROM fc1_out;

CREATE TABLE fc2_unbiased AS
SELECT
image, out_dim AS i,
SUM(val * weight) AS val
FROM relu3_out, fc2_weight
WHERE i = in_dim GROUP BY image, out_dim;

CREATE TABLE fc2_out AS
SELECT image, i, val + bias AS val
FROM fc2_unbiased, fc2_bias
WHERE i = out_dim;

CREATE TABLE relu4_out AS
SELECT
image, i, MAX(0,val) AS val
FROM fc2_out;

CREATE TABLE fc3_unbiased AS
SELECT
image, out_dim AS i,
SUM(val * weight) AS val
FROM relu4_out, fc3_weight
WHERE i = in_dim GROUP BY image, out_dim;

CREATE TABLE fc3_out AS
SELECT image, i, val + bias AS val
FROM fc3_unbiased, fc3_bias
WHERE i = out_dim;

-- Cross-entropy: -x[label] + log(sum of exp(x)), averaged over the images.

CREATE TABLE x_ent_losses_r AS
SELECT image, LOG(SUM(EXP(val))) AS r
FROM fc3_out GROUP BY image;

CREATE TABLE x_ent_losses_l AS
SELECT fc3_out.image, -val AS l
FROM fc3_out, labels
WHERE
fc3_out.image = labels.image AND i = label;

CREATE TABLE x_ent_losses AS
SELECT image, l+r AS val
FROM
x_ent_losses_l NATURAL JOIN x_ent_losses_r;

-- @loss
CREATE TABLE x_ent_loss AS
SELECT SUM(val)/COUNT(val)
FROM x_ent_losses;

-- The most likely class of each image, and how often it is right.

CREATE TABLE prediction AS
SELECT image, i AS label
FROM (SELECT image, i, ROW_NUMBER() OVER (PARTITION BY image ORDER BY val DESC, i) AS place
      FROM fc3_out) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction, labels
WHERE prediction.image = labels.image;
