-- SPDX-License-Identifier: Apache-2.0
--
-- mlp.sql - a perceptron with one hidden layer of 512 for 28 x 28 images of one channel (MNIST, Fashion-MNIST):
--
--   samples -> flatten -> fc1 -> relu1 -> fc2 -> cross-entropy with labels
--
-- With the data of fashion.sql:
--
--   sqlgrad train models/mlp.sql --db fashion.db --epochs 5 --batch 128 --optimizer sgd --lr 0.1 \
--           --eval-bind samples=test_samples,labels=test_labels

-- @set hidden = 512

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- @param(init = torch_default)
CREATE TABLE fc1_weight (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND :hidden - 1),
  in_dim  INTEGER CHECK (in_dim BETWEEN 0 AND 783),
  weight  REAL);

-- @param(init = torch_default(of = fc1_weight))
CREATE TABLE fc1_bias (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND :hidden - 1),
  bias    REAL);

-- @param(init = torch_default)
CREATE TABLE fc2_weight (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 9),
  in_dim  INTEGER CHECK (in_dim BETWEEN 0 AND :hidden - 1),
  weight  REAL);

-- @param(init = torch_default(of = fc2_weight))
CREATE TABLE fc2_bias (
  out_dim INTEGER CHECK (out_dim BETWEEN 0 AND 9),
  bias    REAL);

CREATE TABLE flatten_out AS
SELECT
image, r * 28 + c AS i, val
FROM samples;

-- Two fully connected layers: 784 -> 512 -> 10.

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

CREATE TABLE relu1_out AS
SELECT
image, i, MAX(0,val) AS val
FROM fc1_out;

CREATE TABLE fc2_unbiased AS
SELECT
image, out_dim AS i,
SUM(val * weight) AS val
FROM relu1_out, fc2_weight
WHERE i = in_dim GROUP BY image, out_dim;

CREATE TABLE fc2_out AS
SELECT image, i, val + bias AS val
FROM fc2_unbiased, fc2_bias
WHERE i = out_dim;

-- Cross-entropy: -x[label] + log(sum of exp(x)), averaged over the images.

CREATE TABLE x_ent_losses_r AS
SELECT image, LOG(SUM(EXP(val))) AS r
FROM fc2_out GROUP BY image;

CREATE TABLE x_ent_losses_l AS
SELECT fc2_out.image, -val AS l
FROM fc2_out, labels
WHERE
fc2_out.image = labels.image AND i = label;

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
      FROM fc2_out) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction, labels
WHERE prediction.image = labels.image;
