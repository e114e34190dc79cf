-- SPDX-License-Identifier: Apache-2.0
--
-- autoencoder.sql - an autoencoder for 28 x 28 pictures: 784 pixels through 16 numbers and back.
--
--   samples -> 128 -> code: 16 -> 128 -> 784, relu between them, a sigmoid at the end; squared errors
--
-- With the pictures of clothes of lecun1989.sql:
--
--   sqlgrad train models/autoencoder.sql --db ~/clothes.db --epochs 20 --batch 64 \
--           --eval-bind samples=test_samples
--   sqlgrad run models/autoencoder.sql --db ~/clothes.db --bind samples=test_samples --show code --out codes.db
--
-- The mean squared error of a pixel is 0.0150 on the test pictures (0.0148 where it trained).

-- @minimize loss using adam(lr = 2e-3 * (1 - step/steps))
-- @set width = 128
-- @set code = 16

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @param(init = torch_default)
CREATE TABLE w1 (
  i INTEGER CHECK (i BETWEEN 0 AND :width - 1),
  r INTEGER CHECK (r BETWEEN 0 AND 27),
  c INTEGER CHECK (c BETWEEN 0 AND 27),
  w REAL);

-- @param(init = torch_default(of = w1))
CREATE TABLE b1 (i INTEGER CHECK (i BETWEEN 0 AND :width - 1), b REAL);

-- @param(init = torch_default)
CREATE TABLE w2 (
  k INTEGER CHECK (k BETWEEN 0 AND :code - 1),
  i INTEGER CHECK (i BETWEEN 0 AND :width - 1),
  w REAL);

-- @param(init = torch_default(of = w2))
CREATE TABLE b2 (k INTEGER CHECK (k BETWEEN 0 AND :code - 1), b REAL);

-- @param(init = torch_default)
CREATE TABLE w3 (
  i INTEGER CHECK (i BETWEEN 0 AND :width - 1),
  k INTEGER CHECK (k BETWEEN 0 AND :code - 1),
  w REAL);

-- @param(init = torch_default(of = w3))
CREATE TABLE b3 (i INTEGER CHECK (i BETWEEN 0 AND :width - 1), b REAL);

-- @param(init = torch_default)
CREATE TABLE w4 (
  r INTEGER CHECK (r BETWEEN 0 AND 27),
  c INTEGER CHECK (c BETWEEN 0 AND 27),
  i INTEGER CHECK (i BETWEEN 0 AND :width - 1),
  w REAL);

-- @param(init = torch_default(of = w4))
CREATE TABLE b4 (
  r INTEGER CHECK (r BETWEEN 0 AND 27),
  c INTEGER CHECK (c BETWEEN 0 AND 27),
  b REAL);

CREATE TABLE h1 AS
SELECT image, i, MAX(0, SUM(val * w) + b) AS x
FROM samples JOIN w1 USING (r, c) JOIN b1 USING (i)
GROUP BY image, i;

CREATE TABLE code AS
SELECT image, k, SUM(x * w) + b AS x
FROM h1 JOIN w2 USING (i) JOIN b2 USING (k)
GROUP BY image, k;

CREATE TABLE h3 AS
SELECT image, i, MAX(0, SUM(x * w) + b) AS x
FROM code JOIN w3 USING (k) JOIN b3 USING (i)
GROUP BY image, i;

CREATE TABLE copy AS
SELECT image, r, c, 1 / (1 + EXP(-(SUM(x * w) + b))) AS val
FROM h3 JOIN w4 USING (i) JOIN b4 USING (r, c)
GROUP BY image, r, c;

-- @loss
CREATE TABLE loss AS
SELECT AVG((copy.val - samples.val) * (copy.val - samples.val)) AS val
FROM copy JOIN samples USING (image, r, c);
