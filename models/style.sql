-- SPDX-License-Identifier: Apache-2.0
--
-- style.sql - Algorithm 4: a picture with the content of one image and the style of another.
--
--   content, style, image -> conv1 -> relu -> pool -> conv2 -> relu        (the network of fashion.sql, left as it is)
--
-- Content is what conv2 sees where; style is which channels are seen together, wherever: a Gram matrix, which is a
-- join of a table with itself.  The image starts as the content and is what is trained; its values stay in [0, 1].
--
--   sqlgrad import image photo.png --db pictures.db --table photo --channels 1 --as 'val/255.0'
--   sqlgrad import image painting.png --db pictures.db --table painting --channels 1 --as 'val/255.0'
--   sqlgrad train models/style.sql --db pictures.db --params ~/fashion.db --state styled.db --steps 300 \
--           --bind content=photo,image=photo,style=painting
--   sqlgrad plot --db styled.db --table image --range 0,1 --scale 4 --out styled.png
--
-- In test/accept/style.py, a ring on a dark ground in the style of oblique stripes, 64 x 64: the style term falls to
-- 1/139 of what it was, the content term ends at 0.42 (bar: 1/20, and 0.5); 40 s of processor time.

-- @set weight = 0.02
-- @minimize total over image clamp(0, 1) using adam(lr = 0.02 * (1 - 0.9 * step/steps))

-- Grey pictures of any sizes.

CREATE TABLE content (r INTEGER, c INTEGER, val REAL);

CREATE TABLE style (r INTEGER, c INTEGER, val REAL);

-- Bound to the content: where it starts.  What it becomes is in the state database.

CREATE TABLE image (r INTEGER, c INTEGER, val REAL);

CREATE TABLE pictures AS
SELECT 'content' AS picture, r, c, val FROM content
UNION ALL
SELECT 'style' AS picture, r, c, val FROM style
UNION ALL
SELECT 'image' AS picture, r, c, val FROM image;

-- The eyes: the first two layers of a network that learned to tell clothes apart.

-- @param(freeze, init = torch_default)
CREATE TABLE conv1_weight (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 5),
  r           INTEGER CHECK (r BETWEEN 0 AND 4),
  c           INTEGER CHECK (c BETWEEN 0 AND 4),
  weight      REAL);

-- @param(freeze, init = torch_default(of = conv1_weight))
CREATE TABLE conv1_bias (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 5),
  bias        REAL);

-- @param(freeze, init = torch_default)
CREATE TABLE conv2_weight (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 15),
  in_channel  INTEGER CHECK (in_channel BETWEEN 0 AND 5),
  r           INTEGER CHECK (r BETWEEN 0 AND 4),
  c           INTEGER CHECK (c BETWEEN 0 AND 4),
  weight      REAL);

-- @param(freeze, init = torch_default(of = conv2_weight))
CREATE TABLE conv2_bias (
  out_channel INTEGER CHECK (out_channel BETWEEN 0 AND 15),
  bias        REAL);

-- Where the window lies wholly inside: all its rows are there.

CREATE TABLE size AS
SELECT picture, MAX(r) AS last_r, MAX(c) AS last_c
FROM pictures GROUP BY picture;

CREATE TABLE conv1_sum AS
SELECT p.picture, w.out_channel AS channel, p.r - w.r AS r, p.c - w.c AS c, SUM(p.val * w.weight) AS val
FROM pictures AS p, conv1_weight AS w, size
WHERE size.picture = p.picture AND p.r - w.r BETWEEN 0 AND last_r - 4 AND p.c - w.c BETWEEN 0 AND last_c - 4
GROUP BY p.picture, w.out_channel, p.r - w.r, p.c - w.c;

CREATE TABLE relu1 AS
SELECT picture, channel, r, c, MAX(0, val + bias) AS val
FROM conv1_sum JOIN conv1_bias ON channel = out_channel;

CREATE TABLE pool1 AS
SELECT picture, channel, r / 2 AS r, c / 2 AS c, MAX(val) AS val
FROM relu1 GROUP BY picture, channel, relu1.r / 2, relu1.c / 2;

CREATE TABLE conv2_sum AS
SELECT p.picture, w.out_channel AS channel, p.r - w.r AS r, p.c - w.c AS c, SUM(p.val * w.weight) AS val
FROM pool1 AS p, conv2_weight AS w, size
WHERE size.picture = p.picture AND p.channel = w.in_channel
AND p.r - w.r BETWEEN 0 AND (last_r - 4) / 2 - 4 AND p.c - w.c BETWEEN 0 AND (last_c - 4) / 2 - 4
GROUP BY p.picture, w.out_channel, p.r - w.r, p.c - w.c;

CREATE TABLE relu2 AS
SELECT picture, channel, r, c, MAX(0, val + bias) AS val
FROM conv2_sum JOIN conv2_bias ON channel = out_channel;

-- Content: the squared difference of what conv2 sees, as a part of what it sees.

CREATE TABLE content_term AS
SELECT SUM((x.val - y.val) * (x.val - y.val)) / SUM(y.val * y.val) AS val
FROM relu2 AS x JOIN relu2 AS y ON x.channel = y.channel AND x.r = y.r AND x.c = y.c
WHERE x.picture = 'image' AND y.picture = 'content';

-- Style: how the channels of a layer go together, averaged over the picture.

CREATE TABLE seen AS
SELECT picture, 1 AS layer, channel, r, c, val FROM relu1
UNION ALL
SELECT picture, 2 AS layer, channel, r, c, val FROM relu2;

CREATE TABLE gram AS
SELECT x.picture, x.layer, x.channel AS a, y.channel AS b, AVG(x.val * y.val) AS val
FROM seen AS x JOIN seen AS y ON x.picture = y.picture AND x.layer = y.layer AND x.r = y.r AND x.c = y.c
GROUP BY x.picture, x.layer, x.channel, y.channel;

CREATE TABLE layer_term AS
SELECT x.layer, SUM((x.val - y.val) * (x.val - y.val)) / SUM(y.val * y.val) AS val
FROM gram AS x JOIN gram AS y ON x.layer = y.layer AND x.a = y.a AND x.b = y.b
WHERE x.picture = 'image' AND y.picture = 'style'
GROUP BY x.layer;

CREATE TABLE style_term AS SELECT SUM(val) AS val FROM layer_term;

CREATE TABLE total AS
SELECT style_term.val + :weight * content_term.val AS val
FROM style_term, content_term;

-- @metric
CREATE TABLE terms AS
SELECT style_term.val AS style, content_term.val AS content
FROM style_term, content_term;
