-- SPDX-License-Identifier: Apache-2.0
--
-- lecun1989.sql - the first convolutional network trained by backpropagation on pictures from practice (LeCun and others,
-- Neural Computation 1, 1989): 9,760 weights, tanh, squared errors.
--
--   16 x 16 -> h1: 12 maps of 8 x 8 -> h2: 12 maps of 4 x 4 -> h3: 30 -> 10 classes
--
-- A kernel is shared by its whole map, a bias belongs to one cell.  Each map of h2 sees 8 of the 12 maps of h1, by a plan
-- of connections that arrays must imitate with masks; here it is the table `links`, and weights that are not there are
-- not there.  What lies outside the picture is a row that is not there either: background, 0.
--
-- The zip codes of 1989 are not public.  With as many pictures of clothes (Debian's package dataset-fashion-mnist),
-- shrunk to 14 x 14 by SQL inside a frame of background:
--
--   cd /usr/share/datasets/fashion-mnist
--   sqlgrad import idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --db ~/clothes.db --limit 7291 \
--           --table samples --labels labels --as 'val/255.0'
--   sqlgrad import idx t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz --db ~/clothes.db --limit 2007 \
--           --table test_samples --labels test_labels --as 'val/255.0'
--   sqlgrad train models/lecun1989.sql --db ~/clothes.db --epochs 23 --batch 8 \
--           --eval-bind samples=test_samples,labels=test_labels
--
-- 85.7 % of the 2,007 test pictures are right.

-- @minimize loss using adam(lr = 1e-3 * (1 - step/steps))

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- Which map of h2 reads which maps of h1: two maps of h2 of three groups share eight maps each.

CREATE TABLE links AS
WITH groups(g, map) AS (VALUES
  (0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7),
  (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9), (1, 10), (1, 11),
  (2, 0), (2, 1), (2, 2), (2, 3), (2, 8), (2, 9), (2, 10), (2, 11)),
members(m) AS (VALUES (0), (1), (2), (3))
SELECT 4 * g + m AS map, groups.map AS seen FROM groups, members;

-- @range
CREATE TABLE kernel (
  r INTEGER CHECK (r BETWEEN 0 AND 4),
  c INTEGER CHECK (c BETWEEN 0 AND 4));

-- Weights start between -2.4 and 2.4 over the root of the number of inputs, as in the paper.

-- @param(init = uniform(-0.48, 0.48))
CREATE TABLE w1 (
  map INTEGER CHECK (map BETWEEN 0 AND 11),
  r   INTEGER CHECK (r BETWEEN 0 AND 4),
  c   INTEGER CHECK (c BETWEEN 0 AND 4),
  w   REAL);

-- @param(init = zeros)
CREATE TABLE b1 (
  map INTEGER CHECK (map BETWEEN 0 AND 11),
  r   INTEGER CHECK (r BETWEEN 0 AND 7),
  c   INTEGER CHECK (c BETWEEN 0 AND 7),
  b   REAL);

-- @param(init = uniform(-0.17, 0.17))
CREATE TABLE w2 AS SELECT map, seen, r, c, 0.0 AS w FROM links, kernel;

-- @param(init = zeros)
CREATE TABLE b2 (
  map INTEGER CHECK (map BETWEEN 0 AND 11),
  r   INTEGER CHECK (r BETWEEN 0 AND 3),
  c   INTEGER CHECK (c BETWEEN 0 AND 3),
  b   REAL);

-- @param(init = uniform(-0.17, 0.17))
CREATE TABLE w3 (
  i   INTEGER CHECK (i BETWEEN 0 AND 29),
  map INTEGER CHECK (map BETWEEN 0 AND 11),
  r   INTEGER CHECK (r BETWEEN 0 AND 3),
  c   INTEGER CHECK (c BETWEEN 0 AND 3),
  w   REAL);

-- @param(init = zeros)
CREATE TABLE b3 (i INTEGER CHECK (i BETWEEN 0 AND 29), b REAL);

-- @param(init = uniform(-0.44, 0.44))
CREATE TABLE w4 (
  label INTEGER CHECK (label BETWEEN 0 AND 9),
  i     INTEGER CHECK (i BETWEEN 0 AND 29),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE b4 (label INTEGER CHECK (label BETWEEN 0 AND 9), b REAL);

CREATE TABLE picture AS
SELECT image, r/2 + 1 AS r, c/2 + 1 AS c, AVG(val) AS x
FROM samples
GROUP BY image, r/2 + 1, c/2 + 1;

-- A cell of a map sees 5 x 5 cells round twice its place.

CREATE TABLE h1 AS
SELECT image, b1.map, b1.r, b1.c, TANH(SUM(x * w) + b) AS x
FROM picture, w1, b1
WHERE b1.map = w1.map AND picture.r = 2 * b1.r + w1.r - 2 AND picture.c = 2 * b1.c + w1.c - 2
GROUP BY image, b1.map, b1.r, b1.c;

CREATE TABLE h2 AS
SELECT image, b2.map, b2.r, b2.c, TANH(SUM(x * w) + b) AS x
FROM h1, w2, b2
WHERE h1.map = w2.seen AND b2.map = w2.map AND h1.r = 2 * b2.r + w2.r - 2 AND h1.c = 2 * b2.c + w2.c - 2
GROUP BY image, b2.map, b2.r, b2.c;

CREATE TABLE h3 AS
SELECT image, i, TANH(SUM(x * w) + b) AS x
FROM h2 JOIN w3 USING (map, r, c) JOIN b3 USING (i)
GROUP BY image, i;

CREATE TABLE outputs AS
SELECT image, label, TANH(SUM(x * w) + b) AS x
FROM h3 JOIN w4 USING (i) JOIN b4 USING (label)
GROUP BY image, label;

-- The right class should say 1, the others -1.

CREATE TABLE errors AS
SELECT image, outputs.label, x - CASE WHEN outputs.label = labels.label THEN 1.0 ELSE -1.0 END AS e
FROM outputs JOIN labels USING (image);

-- @loss
CREATE TABLE loss AS
SELECT AVG(e * e) AS val FROM errors;

CREATE TABLE prediction AS
SELECT image, label
FROM (SELECT image, label, ROW_NUMBER() OVER (PARTITION BY image ORDER BY x DESC, label) AS place
      FROM outputs) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction JOIN labels USING (image);
