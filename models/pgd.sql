-- SPDX-License-Identifier: Apache-2.0
--
-- pgd.sql - adversarial images by several steps and a projection: the network of fashion.sql is left as it is, and each pixel moves
-- against it, at most eps away from where it was, and between 0 and 1.
--
--   pictures + delta -> samples -> network -> loss;  delta goes up by the sign of its gradient and is put back into [-eps, eps]
--
-- What is trained is how far each pixel is moved, so that the bound is a number; where a picture ends up outside [0, 1], `outside` takes
-- it back, and as that is detached, the gradient of a pixel at the edge is what it would be within.  With a network trained as
-- fashion.sql says, its parameters in ~/fashion.db, and a thousand test images:
--
--   sqlgrad import idx t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz --db few.db --limit 1000 \
--           --table pictures --labels labels --as 'val/255.0'
--   sqlite3 few.db 'CREATE TABLE delta AS SELECT image, r, c, 0.0 AS d FROM pictures'
--   sqlgrad train models/pgd.sql --db few.db --params ~/fashion.db --state moved.db --steps 10 --set eps=0.1
--   sqlgrad eval models/pgd.sql --db few.db --params ~/fashion.db --state moved.db
--
-- Accuracy in per cent of a network trained for two epochs, at eps 0, .05, .1, .15, .2, .25, .3, and of the attack as PyTorch users
-- write it, which puts back the image itself (test/accept/pgd.py):
--
--   ten steps  86.5  40.4  8.0  1.5  0.1  0.0  0.0
--   PyTorch    86.5  40.1  8.1  1.5  0.0  0.0  0.0

-- @set eps = 0.1
-- @set stride = 2.5
-- @maximize x_ent_loss over delta clamp(-:eps, :eps) using signsgd(lr = :stride * :eps / steps)

CREATE TABLE pictures (image INTEGER, r INTEGER, c INTEGER, val REAL);

CREATE TABLE labels (image INTEGER, label INTEGER);

CREATE TABLE delta (image INTEGER, r INTEGER, c INTEGER, d REAL);

-- @detach
CREATE TABLE outside AS
SELECT image, r, c, MAX(0, val + d - 1) + MIN(0, val + d) AS over
FROM pictures JOIN delta USING (image, r, c);

CREATE TABLE samples AS
SELECT image, r, c, val + d - over AS val
FROM pictures JOIN delta USING (image, r, c) JOIN outside USING (image, r, c);

-- @include 'parts/fashion.sql'
