-- SPDX-License-Identifier: Apache-2.0
--
-- style.sql - Algorithm 4: a picture with the content of one image and the style of another, in colours.
--
--   content, style, image -> conv1 -> relu -> pool -> conv2 -> relu        (the network of fashion.sql, left as it is)
--
-- The network learned from grey pictures, and looks at each colour by itself.  Content is what conv2 sees where; style is which
-- colours and channels are seen together, wherever: a Gram matrix, which is a join of a table with itself.  The image starts as the
-- content and is what is trained; its values stay in [0, 1].  The three pictures have one size, :rows x :cols.
--
--   sqlgrad import image photo.png --db pictures.db --table photo --channels 3 --as 'val/255.0'
--   sqlgrad import image painting.png --db pictures.db --table painting --channels 3 --as 'val/255.0'
--   sqlgrad train models/style.sql --db pictures.db --params ~/fashion.db --state styled.db --steps 300 \
--           --bind content=photo,image=photo,style=painting --set rows=64,cols=64
--   sqlgrad plot --db styled.db --table image --range 0,1 --scale 4 --out styled.png
--
-- In test/accept/style.py, a yellow ring and a red bar on dark blue in the style of stripes from green to violet, 64 x 64: the style term
-- falls to 1/157 of what it was, the content term ends at 0.44 (bar: 1/20, and 0.5); 4 s of processor time.

-- @set rows = 64
-- @set cols = 64
-- @set weight = 0.1
-- @minimize total over image clamp(0, 1) using adam(lr = 0.02 * (1 - 0.9 * step/steps))

CREATE TABLE content (channel INTEGER, r INTEGER, c INTEGER, val REAL);

CREATE TABLE style (channel INTEGER, r INTEGER, c INTEGER, val REAL);

-- Bound to the content: where it starts.  What it becomes is in the state database.

CREATE TABLE image (channel INTEGER, r INTEGER, c INTEGER, val REAL);

-- 0 is the content, 1 the style, 2 the image.

CREATE TABLE pictures AS
SELECT 0 AS picture, channel AS color, r, c, val FROM content
UNION ALL
SELECT 1 AS picture, channel AS color, r, c, val FROM style
UNION ALL
SELECT 2 AS picture, channel AS color, r, c, val FROM image;

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

CREATE TABLE conv1_sum AS
SELECT p.picture, p.color, w.out_channel AS channel, p.r - w.r AS r, p.c - w.c AS c, SUM(p.val * w.weight) AS val
FROM pictures AS p, conv1_weight AS w
WHERE p.r - w.r BETWEEN 0 AND :rows - 5 AND p.c - w.c BETWEEN 0 AND :cols - 5
GROUP BY p.picture, p.color, w.out_channel, p.r - w.r, p.c - w.c;

CREATE TABLE relu1 AS
SELECT picture, color, channel, r, c, MAX(0, val + bias) AS val
FROM conv1_sum JOIN conv1_bias ON channel = out_channel;

CREATE TABLE pool1 AS
SELECT picture, color, channel, r / 2 AS r, c / 2 AS c, MAX(val) AS val
FROM relu1 GROUP BY picture, color, channel, relu1.r / 2, relu1.c / 2;

CREATE TABLE conv2_sum AS
SELECT p.picture, p.color, w.out_channel AS channel, p.r - w.r AS r, p.c - w.c AS c, SUM(p.val * w.weight) AS val
FROM pool1 AS p, conv2_weight AS w
WHERE p.channel = w.in_channel AND p.r - w.r BETWEEN 0 AND (:rows - 5) / 2 - 4 AND p.c - w.c BETWEEN 0 AND (:cols - 5) / 2 - 4
GROUP BY p.picture, p.color, w.out_channel, p.r - w.r, p.c - w.c;

CREATE TABLE relu2 AS
SELECT picture, color, channel, r, c, MAX(0, val + bias) AS val
FROM conv2_sum JOIN conv2_bias ON channel = out_channel;

-- Content: the squared difference of what conv2 sees, as a part of what it sees.

CREATE TABLE content_term AS
SELECT SUM((x.val - y.val) * (x.val - y.val)) / SUM(y.val * y.val) AS val
FROM relu2 AS x JOIN relu2 AS y ON x.color = y.color AND x.channel = y.channel AND x.r = y.r AND x.c = y.c
WHERE x.picture = 2 AND y.picture = 0;

-- Style: how the colours and channels of a layer go together, averaged over the picture.

CREATE TABLE gram1 AS
SELECT x.picture, x.color, x.channel, y.color AS color2, y.channel AS channel2, AVG(x.val * y.val) AS val
FROM relu1 AS x JOIN relu1 AS y ON x.picture = y.picture AND x.r = y.r AND x.c = y.c
GROUP BY x.picture, x.color, x.channel, y.color, y.channel;

CREATE TABLE gram2 AS
SELECT x.picture, x.color, x.channel, y.color AS color2, y.channel AS channel2, AVG(x.val * y.val) AS val
FROM relu2 AS x JOIN relu2 AS y ON x.picture = y.picture AND x.r = y.r AND x.c = y.c
GROUP BY x.picture, x.color, x.channel, y.color, y.channel;

CREATE TABLE style1 AS
SELECT SUM((x.val - y.val) * (x.val - y.val)) / SUM(y.val * y.val) AS val
FROM gram1 AS x JOIN gram1 AS y USING (color, channel, color2, channel2)
WHERE x.picture = 2 AND y.picture = 1;

CREATE TABLE style2 AS
SELECT SUM((x.val - y.val) * (x.val - y.val)) / SUM(y.val * y.val) AS val
FROM gram2 AS x JOIN gram2 AS y USING (color, channel, color2, channel2)
WHERE x.picture = 2 AND y.picture = 1;

-- @metric
CREATE TABLE terms AS
SELECT style1.val + style2.val AS style, content_term.val AS content
FROM style1, style2, content_term;

CREATE TABLE total AS
SELECT style + :weight * content AS val
FROM terms;
