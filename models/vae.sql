-- SPDX-License-Identifier: Apache-2.0
--
-- vae.sql - a variational autoencoder, after Kingma and Welling, "Auto-Encoding Variational Bayes" (ICLR 2014), for
-- images of one channel with values from 0 to 1:
--
--   samples -> enc (relu) -> mean, log_var;  code = mean + exp(log_var / 2) * eps;  code -> dec (relu) -> logits
--
-- eps is drawn anew in every step, and is 0 in evaluation; gradients pass it by.  The loss of an image is the
-- cross-entropy of its pixels plus the divergence of its code from the normal distribution.
--
-- With the files of Debian's package dataset-fashion-mnist:
--
--   cd /usr/share/datasets/fashion-mnist
--   sqlgrad import idx train-images-idx3-ubyte.gz --db ~/vae.db --table samples --as 'val/255.0'
--   sqlgrad import idx t10k-images-idx3-ubyte.gz --db ~/vae.db --table test_samples --as 'val/255.0'
--   sqlgrad train models/vae.sql --db ~/vae.db --epochs 10 --batch 128 --eval-bind samples=test_samples
--
-- After 10 epochs the loss of the 10,000 test images, at the means of their codes, is 239.9 nats an image, 16.1 of them
-- divergence.

-- @set side = 28
-- @set hidden = 256
-- @set latent = 16
-- @minimize loss using adam(lr = 1e-3)

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE enc_w (
  r INTEGER CHECK (r BETWEEN 0 AND :side - 1),
  c INTEGER CHECK (c BETWEEN 0 AND :side - 1),
  h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1),
  weight REAL);
-- @param(init = zeros)
CREATE TABLE enc_b (h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1), bias REAL);

-- @param(init = torch_default)
CREATE TABLE mean_w (
  h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1),
  z INTEGER CHECK (z BETWEEN 0 AND :latent - 1),
  weight REAL);
-- @param(init = zeros)
CREATE TABLE mean_b (z INTEGER CHECK (z BETWEEN 0 AND :latent - 1), bias REAL);

-- @param(init = torch_default)
CREATE TABLE var_w (
  h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1),
  z INTEGER CHECK (z BETWEEN 0 AND :latent - 1),
  weight REAL);
-- @param(init = zeros)
CREATE TABLE var_b (z INTEGER CHECK (z BETWEEN 0 AND :latent - 1), bias REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE dec_w (
  z INTEGER CHECK (z BETWEEN 0 AND :latent - 1),
  h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1),
  weight REAL);
-- @param(init = zeros)
CREATE TABLE dec_b (h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1), bias REAL);

-- @param(init = torch_default)
CREATE TABLE out_w (
  h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1),
  r INTEGER CHECK (r BETWEEN 0 AND :side - 1),
  c INTEGER CHECK (c BETWEEN 0 AND :side - 1),
  weight REAL);
-- @param(init = zeros)
CREATE TABLE out_b (
  r INTEGER CHECK (r BETWEEN 0 AND :side - 1),
  c INTEGER CHECK (c BETWEEN 0 AND :side - 1),
  bias REAL);

-- The encoder: a normal distribution for each image.

CREATE TABLE enc AS
SELECT s.image, w.h, MAX(0, SUM(s.val * w.weight) + b.bias) AS val
FROM samples AS s
JOIN enc_w AS w ON w.r = s.r AND w.c = s.c
JOIN enc_b AS b ON b.h = w.h
GROUP BY s.image, w.h;

CREATE TABLE mean AS
SELECT e.image, w.z, SUM(e.val * w.weight) + b.bias AS val
FROM enc AS e JOIN mean_w AS w ON w.h = e.h JOIN mean_b AS b ON b.z = w.z
GROUP BY e.image, w.z;

CREATE TABLE log_var AS
SELECT e.image, w.z, SUM(e.val * w.weight) + b.bias AS val
FROM enc AS e JOIN var_w AS w ON w.h = e.h JOIN var_b AS b ON b.z = w.z
GROUP BY e.image, w.z;

-- A number of that distribution.

-- @noise(normal(0, 1), eval = 0)
CREATE TABLE eps AS SELECT image, z, 0.0 AS val FROM mean;

CREATE TABLE code AS
SELECT mean.image, mean.z, mean.val + EXP(0.5 * log_var.val) * eps.val AS val
FROM mean
JOIN log_var ON log_var.image = mean.image AND log_var.z = mean.z
JOIN eps ON eps.image = mean.image AND eps.z = mean.z;

-- The decoder: the logit of every pixel.

CREATE TABLE dec AS
SELECT code.image, w.h, MAX(0, SUM(code.val * w.weight) + b.bias) AS val
FROM code JOIN dec_w AS w ON w.z = code.z JOIN dec_b AS b ON b.h = w.h
GROUP BY code.image, w.h;

CREATE TABLE logit AS
SELECT d.image, w.r, w.c, SUM(d.val * w.weight) + b.bias AS val
FROM dec AS d
JOIN out_w AS w ON w.h = d.h
JOIN out_b AS b ON b.r = w.r AND b.c = w.c
GROUP BY d.image, w.r, w.c;

CREATE TABLE rebuilt AS
SELECT image, r, c, 1.0 / (1.0 + EXP(-val)) AS val FROM logit;

-- The loss: cross-entropy of the pixels, and divergence of the codes, summed over an image.

CREATE TABLE pixel_loss AS
SELECT l.image, SUM(MAX(l.val, 0) - l.val * s.val + LN(1.0 + EXP(-ABS(l.val)))) AS val
FROM logit AS l JOIN samples AS s ON s.image = l.image AND s.r = l.r AND s.c = l.c
GROUP BY l.image;

CREATE TABLE divergence AS
SELECT mean.image, 0.5 * SUM(EXP(v.val) + mean.val * mean.val - 1.0 - v.val) AS val
FROM mean JOIN log_var AS v ON v.image = mean.image AND v.z = mean.z
GROUP BY mean.image;

-- @loss
CREATE TABLE loss AS
SELECT AVG(p.val + d.val) AS val
FROM pixel_loss AS p JOIN divergence AS d ON d.image = p.image;

-- @metric
CREATE VIEW divergence_per_image AS SELECT AVG(val) AS val FROM divergence;
