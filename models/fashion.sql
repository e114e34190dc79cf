-- SPDX-License-Identifier: Apache-2.0
--
-- fashion.sql - the network of lenet.sql for 28 x 28 images of one channel (MNIST, Fashion-MNIST):
--
--   samples -> conv1 -> relu1 -> pool1 -> conv2 -> relu2 -> pool2 -> flatten -> fc1 -> relu3 -> fc2
--           -> relu4 -> fc3 -> cross-entropy with labels
--
-- With the files of Debian's package dataset-fashion-mnist (`make demo` does all this):
--
--   cd /usr/share/datasets/fashion-mnist
--   sqlgrad import idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --db ~/fashion.db \
--           --table samples --labels labels --as 'val/255.0'
--   sqlgrad import idx t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz --db ~/fashion.db \
--           --table test_samples --labels test_labels --as 'val/255.0'
--   sqlgrad train models/fashion.sql --db ~/fashion.db --epochs 3 --batch 100 --optimizer adam --lr 2e-3 \
--           --eval-bind samples=test_samples,labels=test_labels

-- @data(batch = image)
CREATE TABLE samples (image INTEGER, r INTEGER, c INTEGER, val REAL);

-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);

-- @include 'parts/fashion.sql'
