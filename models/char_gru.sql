-- SPDX-License-Identifier: Apache-2.0
--
-- char_gru.sql - char_rnn.sql with gated recurrent units (GRU), as torch.nn.GRU has them.
--
--   r, z = 1 / (1 + exp(-(x + W h))),   candidate = tanh(x + r (W h + b)),   h = (1 - z) candidate + z h
--
-- with x the letter's weights, for each of the three gates.
--
-- Data, training and evaluation as in char_rnn.sql:
--
--   sqlgrad train models/char_gru.sql --db text.db --epochs 40 --batch 32 --eval-bind seq=val_seq --eval-every 10
--
-- After 40 epochs the loss on val_seq is 1.56 (char_rnn.sql: 1.83).

-- @minimize loss using adam(lr = 3e-3)
-- @set steps = 50
-- @set hidden = 128

-- @data(batch = n)
CREATE TABLE seq (n INTEGER, t INTEGER, code INTEGER);

CREATE TABLE alphabet (code INTEGER, ch TEXT);

-- @range
CREATE TABLE unit (j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1));

-- The gates: 0 reset, 1 update, 2 candidate.

-- @range
CREATE TABLE gates (g INTEGER CHECK (g BETWEEN 0 AND 2));

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wx AS SELECT code, g, j, 0.0 AS w FROM alphabet, gates, unit;

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wh AS SELECT a.j AS i, g, b.j, 0.0 AS w FROM unit AS a, gates, unit AS b;

-- @param(init = zeros)
CREATE TABLE bh AS SELECT j, 0.0 AS b FROM unit;

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wo AS SELECT j, code, 0.0 AS w FROM unit, alphabet;

-- @param(init = zeros)
CREATE TABLE bo AS SELECT code, 0.0 AS b FROM alphabet;

CREATE TABLE xw AS
SELECT n, t, g, j, w AS val
FROM seq, wx
WHERE seq.code = wx.code;

-- What a sequence knows, made anew by every letter.

CREATE TABLE s AS SELECT n, j, 0.0 AS val FROM (SELECT DISTINCT n FROM seq) AS sequences, unit;

CREATE TABLE h (n INTEGER, t INTEGER, j INTEGER, val REAL);

-- @for t = 0 .. :steps - 1
CREATE TABLE sw AS
SELECT n, g, wh.j, SUM(val * w) AS val
FROM s, wh
WHERE s.j = wh.i
GROUP BY n, g, wh.j;

CREATE TABLE reset AS
SELECT n, j, 1 / (1 + EXP(-sw.val - xw.val)) AS val
FROM sw JOIN xw USING (n, g, j)
WHERE xw.t = :t AND g = 0;

CREATE TABLE carry AS
SELECT n, j, 1 / (1 + EXP(-sw.val - xw.val)) AS val
FROM sw JOIN xw USING (n, g, j)
WHERE xw.t = :t AND g = 1;

CREATE TABLE candidate AS
SELECT n, j, TANH(xw.val + reset.val * (sw.val + b)) AS val
FROM xw JOIN sw USING (n, g, j) JOIN reset USING (n, j) JOIN bh USING (j)
WHERE xw.t = :t AND g = 2;

CREATE TABLE s AS
SELECT n, j, (1 - carry.val) * candidate.val + carry.val * s.val AS val
FROM s JOIN candidate USING (n, j) JOIN carry USING (n, j);

INSERT INTO h SELECT n, :t, j, val FROM s;
-- @end

CREATE TABLE logits AS
SELECT n, t, wo.code, SUM(val * w) + b AS val
FROM h, wo, bo
WHERE h.j = wo.j AND wo.code = bo.code
GROUP BY n, t, wo.code;

-- Cross-entropy with the next letter.

CREATE TABLE losses AS
SELECT n, t, LOG(SUM(EXP(val))) AS val
FROM logits GROUP BY n, t;

CREATE TABLE hits AS
SELECT n, logits.t, val
FROM logits JOIN seq USING (n, code)
WHERE seq.t = logits.t + 1;

-- @loss
CREATE TABLE loss AS
SELECT AVG(losses.val - hits.val) AS val
FROM losses JOIN hits USING (n, t);
