-- SPDX-License-Identifier: Apache-2.0
--
-- parts/papers_loss.sql - from out(node, label, val) to the loss on the training papers and the accuracy on the others.

CREATE TABLE log_softmax AS
SELECT node, label, val - LN(SUM(EXP(val)) OVER (PARTITION BY node)) AS val FROM out;

-- @loss
CREATE TABLE x_ent_loss AS
SELECT -AVG(val) AS val
FROM log_softmax
JOIN labels ON labels.node = log_softmax.node AND labels.label = log_softmax.label
JOIN split ON split.node = labels.node
WHERE part = 'train';

-- The most likely subject of each vertex, and how often it is right on the test vertices.

CREATE TABLE prediction AS
SELECT node, label
FROM (SELECT node, label, ROW_NUMBER() OVER (PARTITION BY node ORDER BY val DESC, label) AS place FROM out) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN prediction.label = labels.label THEN 1.0 ELSE 0.0 END) AS val
FROM prediction, labels, split
WHERE prediction.node = labels.node AND labels.node = split.node AND part = 'test';
