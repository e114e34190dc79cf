-- SPDX-License-Identifier: Apache-2.0
--
-- resnet.sql - a small residual network with batch norm for 28 x 28 pictures.
--
--   samples -> 5 x 5 convolution, step 2: 8 x 14 x 14 -> block -> step 2, 3 x 3: 16 x 7 x 7 -> block -> mean of each
--   channel -> 10 classes;          block: x + norm(conv(relu(norm(conv(x)))))
--
-- Batch norm takes mean and variance of a channel over the batch when it trains, and running ones when it is asked: two
-- definitions of one table, `@train` and `@eval`, and tables that `@update` moves after every step.
--
-- With the pictures of clothes of lecun1989.sql:
--
--   sqlgrad train models/resnet.sql --db ~/clothes.db --epochs 10 --batch 64 \
--           --eval-bind samples=test_samples,labels=test_labels
--
-- 85.3 % of the 2,007 test pictures are right.

-- @minimize loss using adam(lr = 5e-3 * (1 - step/steps))

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- Kernels: o, the channel that comes out, of i, the channel that goes in.

-- @param(init = kaiming_uniform)
CREATE TABLE stem_w (
  o INTEGER CHECK (o BETWEEN 0 AND 7),
  r INTEGER CHECK (r BETWEEN 0 AND 4),
  c INTEGER CHECK (c BETWEEN 0 AND 4),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE a1_w (
  o INTEGER CHECK (o BETWEEN 0 AND 7),
  i INTEGER CHECK (i BETWEEN 0 AND 7),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE a2_w (
  o INTEGER CHECK (o BETWEEN 0 AND 7),
  i INTEGER CHECK (i BETWEEN 0 AND 7),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE down_w (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 7),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE b1_w (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 15),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = kaiming_uniform)
CREATE TABLE b2_w (
  o INTEGER CHECK (o BETWEEN 0 AND 15),
  i INTEGER CHECK (i BETWEEN 0 AND 15),
  r INTEGER CHECK (r BETWEEN 0 AND 2),
  c INTEGER CHECK (c BETWEEN 0 AND 2),
  w REAL);

-- @param(init = torch_default)
CREATE TABLE head_w (
  label INTEGER CHECK (label BETWEEN 0 AND 9),
  ch    INTEGER CHECK (ch BETWEEN 0 AND 15),
  w     REAL);

-- @param(init = zeros)
CREATE TABLE head_b (label INTEGER CHECK (label BETWEEN 0 AND 9), b REAL);

-- Four norms: of 8 channels in the first block, of 16 in the second.

-- @range
CREATE TABLE norms (
  norm INTEGER CHECK (norm BETWEEN 1 AND 4),
  ch   INTEGER CHECK (ch BETWEEN 0 AND 15),
  CHECK (ch < 8 OR norm > 2));

-- @param
CREATE TABLE scale AS SELECT norm, ch, 1.0 AS g, 0.0 AS b FROM norms;

-- @param
CREATE TABLE running AS SELECT norm, ch, 0.0 AS mean, 1.0 AS var FROM norms;

CREATE TABLE h0 AS
SELECT image, o AS ch, (samples.r - stem_w.r + 2) / 2 AS r, (samples.c - stem_w.c + 2) / 2 AS c, MAX(0, SUM(val * w)) AS x
FROM samples, stem_w
WHERE (samples.r - stem_w.r + 2) % 2 = 0 AND (samples.c - stem_w.c + 2) % 2 = 0 AND
samples.r - stem_w.r + 2 BETWEEN 0 AND 27 AND samples.c - stem_w.c + 2 BETWEEN 0 AND 27
GROUP BY image, o, (samples.r - stem_w.r + 2) / 2, (samples.c - stem_w.c + 2) / 2;

-- A block: what goes in is added to what comes out.

CREATE TABLE a1 AS
SELECT image, o AS ch, h0.r - a1_w.r + 1 AS r, h0.c - a1_w.c + 1 AS c, SUM(x * w) AS x
FROM h0 JOIN a1_w ON i = ch
WHERE h0.r - a1_w.r + 1 BETWEEN 0 AND 13 AND h0.c - a1_w.c + 1 BETWEEN 0 AND 13
GROUP BY image, o, h0.r - a1_w.r + 1, h0.c - a1_w.c + 1;

CREATE TABLE moments1 AS
SELECT ch, AVG(x) AS mean, VAR_POP(x) AS var, VAR_SAMP(x) AS var_samp FROM a1 GROUP BY ch;

-- @train
CREATE TABLE a1_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM a1 JOIN moments1 USING (ch) JOIN scale USING (ch)
WHERE norm = 1;

-- @eval
CREATE TABLE a1_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM a1 JOIN running USING (ch) JOIN scale USING (norm, ch)
WHERE norm = 1;

CREATE TABLE a1_relu AS
SELECT image, ch, r, c, MAX(0, x) AS x FROM a1_norm;

CREATE TABLE a2 AS
SELECT image, o AS ch, a1_relu.r - a2_w.r + 1 AS r, a1_relu.c - a2_w.c + 1 AS c, SUM(x * w) AS x
FROM a1_relu JOIN a2_w ON i = ch
WHERE a1_relu.r - a2_w.r + 1 BETWEEN 0 AND 13 AND a1_relu.c - a2_w.c + 1 BETWEEN 0 AND 13
GROUP BY image, o, a1_relu.r - a2_w.r + 1, a1_relu.c - a2_w.c + 1;

CREATE TABLE moments2 AS
SELECT ch, AVG(x) AS mean, VAR_POP(x) AS var, VAR_SAMP(x) AS var_samp FROM a2 GROUP BY ch;

-- @train
CREATE TABLE a2_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM a2 JOIN moments2 USING (ch) JOIN scale USING (ch)
WHERE norm = 2;

-- @eval
CREATE TABLE a2_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM a2 JOIN running USING (ch) JOIN scale USING (norm, ch)
WHERE norm = 2;

CREATE TABLE h1 AS
SELECT image, ch, r, c, MAX(0, h0.x + a2_norm.x) AS x
FROM h0 JOIN a2_norm USING (image, ch, r, c);

-- Half the size, twice the channels.

CREATE TABLE h2 AS
SELECT image, o AS ch, (h1.r - down_w.r + 1) / 2 AS r, (h1.c - down_w.c + 1) / 2 AS c, MAX(0, SUM(x * w)) AS x
FROM h1 JOIN down_w ON i = ch
WHERE (h1.r - down_w.r + 1) % 2 = 0 AND (h1.c - down_w.c + 1) % 2 = 0 AND
h1.r - down_w.r + 1 BETWEEN 0 AND 13 AND h1.c - down_w.c + 1 BETWEEN 0 AND 13
GROUP BY image, o, (h1.r - down_w.r + 1) / 2, (h1.c - down_w.c + 1) / 2;

-- The second block.

CREATE TABLE b1 AS
SELECT image, o AS ch, h2.r - b1_w.r + 1 AS r, h2.c - b1_w.c + 1 AS c, SUM(x * w) AS x
FROM h2 JOIN b1_w ON i = ch
WHERE h2.r - b1_w.r + 1 BETWEEN 0 AND 6 AND h2.c - b1_w.c + 1 BETWEEN 0 AND 6
GROUP BY image, o, h2.r - b1_w.r + 1, h2.c - b1_w.c + 1;

CREATE TABLE moments3 AS
SELECT ch, AVG(x) AS mean, VAR_POP(x) AS var, VAR_SAMP(x) AS var_samp FROM b1 GROUP BY ch;

-- @train
CREATE TABLE b1_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM b1 JOIN moments3 USING (ch) JOIN scale USING (ch)
WHERE norm = 3;

-- @eval
CREATE TABLE b1_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM b1 JOIN running USING (ch) JOIN scale USING (norm, ch)
WHERE norm = 3;

CREATE TABLE b1_relu AS
SELECT image, ch, r, c, MAX(0, x) AS x FROM b1_norm;

CREATE TABLE b2 AS
SELECT image, o AS ch, b1_relu.r - b2_w.r + 1 AS r, b1_relu.c - b2_w.c + 1 AS c, SUM(x * w) AS x
FROM b1_relu JOIN b2_w ON i = ch
WHERE b1_relu.r - b2_w.r + 1 BETWEEN 0 AND 6 AND b1_relu.c - b2_w.c + 1 BETWEEN 0 AND 6
GROUP BY image, o, b1_relu.r - b2_w.r + 1, b1_relu.c - b2_w.c + 1;

CREATE TABLE moments4 AS
SELECT ch, AVG(x) AS mean, VAR_POP(x) AS var, VAR_SAMP(x) AS var_samp FROM b2 GROUP BY ch;

-- @train
CREATE TABLE b2_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM b2 JOIN moments4 USING (ch) JOIN scale USING (ch)
WHERE norm = 4;

-- @eval
CREATE TABLE b2_norm AS
SELECT image, ch, r, c, (x - mean) / SQRT(var + 1e-5) * g + b AS x
FROM b2 JOIN running USING (ch) JOIN scale USING (norm, ch)
WHERE norm = 4;

CREATE TABLE h3 AS
SELECT image, ch, r, c, MAX(0, h2.x + b2_norm.x) AS x
FROM h2 JOIN b2_norm USING (image, ch, r, c);

-- Running statistics, as torch keeps them: a tenth of each batch's.

-- @update running
CREATE TABLE running_next AS
SELECT norm, ch, 0.9 * running.mean + 0.1 * m.mean AS mean, 0.9 * running.var + 0.1 * m.var_samp AS var
FROM running JOIN (SELECT 1 AS norm, ch, mean, var_samp FROM moments1 UNION ALL
                   SELECT 2, ch, mean, var_samp FROM moments2 UNION ALL
                   SELECT 3, ch, mean, var_samp FROM moments3 UNION ALL
                   SELECT 4, ch, mean, var_samp FROM moments4) AS m USING (norm, ch);

CREATE TABLE pooled AS
SELECT image, ch, AVG(x) AS x FROM h3 GROUP BY image, ch;

CREATE TABLE logits AS
SELECT image, label, SUM(x * w) + b AS x
FROM pooled JOIN head_w USING (ch) JOIN head_b USING (label)
GROUP BY image, label;

CREATE TABLE losses AS
SELECT image, total - x AS val
FROM logits JOIN labels USING (image, label)
JOIN (SELECT image, LN(SUM(EXP(x))) AS total FROM logits GROUP BY image) AS totals USING (image);

-- @loss
CREATE TABLE loss AS
SELECT AVG(val) AS val FROM losses;

CREATE TABLE prediction AS
SELECT image, label
FROM (SELECT image, label, ROW_NUMBER() OVER (PARTITION BY image ORDER BY x DESC, label) AS place
      FROM logits) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction JOIN labels USING (image);
