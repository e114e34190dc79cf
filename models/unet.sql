-- SPDX-License-Identifier: Apache-2.0
--
-- unet.sql - a small U-Net (Ronneberger and others, 2015) that makes pictures four times as large: 14 x 14 to 28 x 28.
--
--   low: 14 x 14 -> down: 8 maps -> halved to 7 x 7 -> bottom: 16 maps -> doubled to 14 x 14
--                    `------------------ skip connection ------------------------+-> up: 16 maps -> 28 x 28
--
-- A skip connection is UNION ALL: the maps of one table behind those of another.  What comes out is added to the coarse
-- picture; each cell of `up` gives the four pixels that stand in its place.
--
-- With the pictures of clothes of lecun1989.sql:
--
--   sqlgrad train models/unet.sql --db ~/clothes.db --epochs 5 --batch 64 --eval-bind samples=test_samples
--
-- The mean squared error of a pixel is 0.0070 on the test pictures; it is 0.0157 (metric `coarse`) without the network.

-- @minimize loss using adam(lr = 3e-3 * (1 - step/steps))

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @range
CREATE TABLE cells (
  r INTEGER CHECK (r BETWEEN 0 AND 13),
  c INTEGER CHECK (c BETWEEN 0 AND 13));

-- Kernels: o, the map that comes out, of i, the map that goes in.

-- @param(init = kaiming_uniform)
CREATE TABLE down_w (
  o INTEGER CHECK (o BETWEEN 0 AND 7),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = zeros)
CREATE TABLE down_b (o INTEGER CHECK (o BETWEEN 0 AND 7), b REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE bottom_w (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 7),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = zeros)
CREATE TABLE bottom_b (o INTEGER CHECK (o BETWEEN 0 AND 15), b REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE up_w (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 23),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = zeros)
CREATE TABLE up_b (o INTEGER CHECK (o BETWEEN 0 AND 15), b REAL);

-- Which of the four pixels of a cell: dr below, dc to the right.

-- @param(init = zeros)
CREATE TABLE out_w (
  i  INTEGER CHECK (i BETWEEN 0 AND 15),
  dr INTEGER CHECK (dr BETWEEN 0 AND 1),
  dc INTEGER CHECK (dc BETWEEN 0 AND 1),
  w  REAL);

CREATE TABLE low AS
SELECT image, samples.r/2 AS r, samples.c/2 AS c, AVG(val) AS x
FROM samples
GROUP BY image, samples.r/2, samples.c/2;

CREATE TABLE down AS
SELECT image, down_w.o, low.r - down_w.r + 1 AS r, low.c - down_w.c + 1 AS c, MAX(0, SUM(x * w) + b) AS x
FROM low, down_w JOIN down_b USING (o)
WHERE low.r - down_w.r + 1 BETWEEN 0 AND 13 AND low.c - down_w.c + 1 BETWEEN 0 AND 13
GROUP BY image, down_w.o, low.r - down_w.r + 1, low.c - down_w.c + 1;

CREATE TABLE halved AS
SELECT image, o, down.r/2 AS r, down.c/2 AS c, MAX(x) AS x
FROM down
GROUP BY image, o, down.r/2, down.c/2;

CREATE TABLE bottom AS
SELECT image, bottom_w.o, halved.r - bottom_w.r + 1 AS r, halved.c - bottom_w.c + 1 AS c, MAX(0, SUM(x * w) + b) AS x
FROM halved JOIN bottom_w ON halved.o = bottom_w.i JOIN bottom_b ON bottom_b.o = bottom_w.o
WHERE halved.r - bottom_w.r + 1 BETWEEN 0 AND 6 AND halved.c - bottom_w.c + 1 BETWEEN 0 AND 6
GROUP BY image, bottom_w.o, halved.r - bottom_w.r + 1, halved.c - bottom_w.c + 1;

-- Maps 0 … 7 are those of `down`, 8 … 23 those of `bottom`, each cell four times.

CREATE TABLE joined AS
SELECT image, o AS i, r, c, x FROM down UNION ALL
SELECT image, o + 8, cells.r, cells.c, x FROM bottom JOIN cells ON cells.r/2 = bottom.r AND cells.c/2 = bottom.c;

CREATE TABLE up AS
SELECT image, o, joined.r - up_w.r + 1 AS r, joined.c - up_w.c + 1 AS c, MAX(0, SUM(x * w) + b) AS x
FROM joined JOIN up_w USING (i) JOIN up_b USING (o)
WHERE joined.r - up_w.r + 1 BETWEEN 0 AND 13 AND joined.c - up_w.c + 1 BETWEEN 0 AND 13
GROUP BY image, o, joined.r - up_w.r + 1, joined.c - up_w.c + 1;

CREATE TABLE detail AS
SELECT image, 2 * r + dr AS r, 2 * c + dc AS c, SUM(x * w) AS x
FROM up JOIN out_w ON up.o = out_w.i
GROUP BY image, 2 * up.r + dr, 2 * up.c + dc;

CREATE TABLE large AS
SELECT image, detail.r, detail.c, low.x + detail.x AS x
FROM detail JOIN low USING (image)
WHERE low.r = detail.r/2 AND low.c = detail.c/2;

-- @loss
CREATE TABLE loss AS
SELECT AVG((x - val) * (x - val)) AS val
FROM large JOIN samples USING (image, r, c);

-- What enlarging without any network would cost.

-- @metric
CREATE VIEW coarse AS
SELECT AVG((x - val) * (x - val)) AS val
FROM samples JOIN low ON low.image = samples.image AND low.r = samples.r/2 AND low.c = samples.c/2;
