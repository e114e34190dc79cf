-- SPDX-License-Identifier: Apache-2.0
--
-- gan_images.sql - Algorithm 5 on images: a generator that learns to draw clothes of a wanted kind by deceiving a
-- discriminator, which is shown images together with the kind they are said to be.
--
--   noise z, kind    -> two hidden layers -> made        \
--                                                          two hidden layers -> score: real or made?
--   image, its kind  ->                      samples     /
--
-- Both play at once, as in gan.sql.  The kind is a row of a table that is added to the first layer.  With the files of Debian's
-- package dataset-fashion-mnist:
--
--   cd /usr/share/datasets/fashion-mnist
--   sqlgrad import idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --db ~/fashion.db \
--           --table samples --labels labels --as 'val/255.0'
--   sqlgrad train models/gan_images.sql --db ~/fashion.db --state gan.db --epochs 15 --batch 64
--
-- After 15 epochs, 45 s of steps on two cores, of 1,000 images made the network of fashion.sql takes 81.5 % for the kind that was
-- wanted; of real test images, 85.2 % (test/accept/gan_images.py).  Making images needs no samples, only labels that say what is
-- wanted; four of each kind:
--
--   sqlite3 wanted.db 'CREATE TABLE labels AS SELECT value AS image, value % 10 AS label FROM generate_series(0, 39)'
--   sqlgrad run models/gan_images.sql --db wanted.db --state gan.db --show made --out made.db
--   sqlgrad plot --db made.db --table made --cols 10 --range 0,1 --scale 2 --out made.png

-- @set side = 28
-- @set latent = 32
-- @set hidden = 256
-- @minimize d_loss over d_in, d_kind, d_mid, d_mid_bias, d_out, d_out_bias using adam(lr = 2e-4, beta1 = 0.5)
-- @minimize g_loss over g_in, g_kind, g_mid, g_mid_bias, g_out, g_out_bias using adam(lr = 2e-4, beta1 = 0.5)

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- @range
CREATE TABLE place (k INTEGER CHECK (k BETWEEN 0 AND :latent - 1));

-- The generator.  Its last step is the logistic function, written so that it cannot overflow.

-- @param(init = kaiming_uniform)
CREATE TABLE g_in (
  j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  k INTEGER CHECK (k BETWEEN 0 AND :latent - 1),
  w REAL);

-- @param(init = normal(0, 0.5))
CREATE TABLE g_kind (
  j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  label INTEGER CHECK (label BETWEEN 0 AND 9),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE g_mid (
  i INTEGER CHECK (i BETWEEN 0 AND :hidden - 1),
  j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  w REAL);

-- @param(init = zeros)
CREATE TABLE g_mid_bias (i INTEGER CHECK (i BETWEEN 0 AND :hidden - 1), b REAL);

-- @param(init = xavier_uniform)
CREATE TABLE g_out (
  r INTEGER CHECK (r BETWEEN 0 AND :side - 1),
  c INTEGER CHECK (c BETWEEN 0 AND :side - 1),
  i INTEGER CHECK (i BETWEEN 0 AND :hidden - 1),
  w REAL);

-- @param(init = zeros)
CREATE TABLE g_out_bias (
  r INTEGER CHECK (r BETWEEN 0 AND :side - 1),
  c INTEGER CHECK (c BETWEEN 0 AND :side - 1),
  b REAL);

-- @noise(normal(0, 1))
CREATE TABLE z AS SELECT image, k, 0.0 AS x FROM (SELECT DISTINCT image FROM labels) AS wanted, place;

CREATE TABLE g_wanted AS
SELECT image, j, SUM(w) AS x
FROM labels JOIN g_kind USING (label)
GROUP BY image, j;

CREATE TABLE g_sum AS
SELECT image, j, SUM(x * w) AS x
FROM z JOIN g_in USING (k)
GROUP BY image, j;

CREATE TABLE g_first AS
SELECT image, j, MAX(0.2 * (s.x + w.x), s.x + w.x) AS h
FROM g_sum AS s JOIN g_wanted AS w USING (image, j);

CREATE TABLE g_second AS
SELECT image, i, MAX(0.2 * (SUM(h * w) + b), SUM(h * w) + b) AS h
FROM g_first JOIN g_mid USING (j) JOIN g_mid_bias USING (i)
GROUP BY image, i;

CREATE TABLE made AS
SELECT image, r, c, 0.5 + 0.5 * TANH(0.5 * (SUM(h * w) + b)) AS val
FROM g_second JOIN g_out USING (i) JOIN g_out_bias USING (r, c)
GROUP BY image, r, c;

-- The discriminator, over what is real (1) and what is made (0); a made image is said to be of the kind that was wanted.

-- @param(init = kaiming_uniform)
CREATE TABLE d_in (
  j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  r INTEGER CHECK (r BETWEEN 0 AND :side - 1),
  c INTEGER CHECK (c BETWEEN 0 AND :side - 1),
  w REAL);

-- @param(init = normal(0, 0.5))
CREATE TABLE d_kind (
  j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  label INTEGER CHECK (label BETWEEN 0 AND 9),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE d_mid (
  i INTEGER CHECK (i BETWEEN 0 AND :hidden - 1),
  j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1),
  w REAL);

-- @param(init = zeros)
CREATE TABLE d_mid_bias (i INTEGER CHECK (i BETWEEN 0 AND :hidden - 1), b REAL);

-- @param(init = xavier_uniform)
CREATE TABLE d_out (i INTEGER CHECK (i BETWEEN 0 AND :hidden - 1), w REAL);

-- @param(init = zeros)
CREATE TABLE d_out_bias (b REAL);

CREATE TABLE shown AS
SELECT 1 AS genuine, image, r, c, val FROM samples
UNION ALL
SELECT 0 AS genuine, image, r, c, val FROM made;

CREATE TABLE d_said AS
SELECT image, j, SUM(w) AS x
FROM labels JOIN d_kind USING (label)
GROUP BY image, j;

CREATE TABLE d_sum AS
SELECT genuine, image, j, SUM(val * w) AS h
FROM shown JOIN d_in USING (r, c)
GROUP BY genuine, image, j;

CREATE TABLE d_first AS
SELECT genuine, image, j, MAX(0.2 * (h + x), h + x) AS h
FROM d_sum JOIN d_said USING (image, j);

CREATE TABLE d_second AS
SELECT genuine, image, i, MAX(0.2 * (SUM(h * w) + b), SUM(h * w) + b) AS h
FROM d_first JOIN d_mid USING (j) JOIN d_mid_bias USING (i)
GROUP BY genuine, image, i;

CREATE TABLE score AS
SELECT genuine, image, SUM(h * w) + b AS s
FROM d_second JOIN d_out USING (i), d_out_bias
GROUP BY genuine, image;

-- Cross-entropies: log(1 + exp(-s)) where the answer is "real", log(1 + exp(s)) where it is "made".

CREATE TABLE answers AS
SELECT genuine, MAX(-s, 0) + LN(1 + EXP(-ABS(s))) AS if_real, MAX(s, 0) + LN(1 + EXP(-ABS(s))) AS if_made
FROM score;

CREATE TABLE d_loss AS
SELECT AVG(CASE WHEN genuine = 1 THEN if_real ELSE if_made END) AS val
FROM answers;

CREATE TABLE g_loss AS
SELECT AVG(if_real) AS val
FROM answers
WHERE genuine = 0;

-- How many of the images are taken for what they are.

-- @metric
CREATE TABLE judged AS
SELECT AVG(CASE WHEN genuine = 1 AND s > 0 OR genuine = 0 AND s < 0 THEN 1.0 ELSE 0.0 END) AS right
FROM score;
