-- SPDX-License-Identifier: Apache-2.0
--
-- char_lstm.sql - char_rnn.sql with a long short-term memory (LSTM) in place of the plain recurrence, and with truncated
-- backpropagation: the state goes on from one part of a sequence to the next, the gradient does not.
--
--   i, f, o = 1 / (1 + exp(-x)),  g = tanh(x),  with x = letter's weights + W h, for each of the four gates
--   c = f c + i g,   h = o tanh(c)
--
-- Data, training and evaluation as in char_rnn.sql:
--
--   sqlgrad train models/char_lstm.sql --db text.db --epochs 40 --batch 32 --eval-bind seq=val_seq --eval-every 10
--
-- After 40 epochs the loss on val_seq is 1.91, and still falling (char_rnn.sql: 1.83 then).

-- @minimize loss using adam(lr = 3e-3)
-- @set parts = 2
-- @set steps = 25
-- @set hidden = 128

-- @data(batch = n)
CREATE TABLE seq (n INTEGER, t INTEGER, code INTEGER);

CREATE TABLE alphabet (code INTEGER, ch TEXT);

-- @range
CREATE TABLE unit (j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1));

-- The gates: 0 input, 1 forget, 2 candidate, 3 output.

-- @range
CREATE TABLE gates (g INTEGER CHECK (g BETWEEN 0 AND 3));

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wx AS SELECT code, g, j, 0.0 AS w FROM alphabet, gates, unit;

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wh AS SELECT a.j AS i, g, b.j, 0.0 AS w FROM unit AS a, gates, unit AS b;

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wo AS SELECT j, code, 0.0 AS w FROM unit, alphabet;

-- @param(init = zeros)
CREATE TABLE bo AS SELECT code, 0.0 AS b FROM alphabet;

CREATE TABLE xw AS
SELECT n, t, g, j, w AS val
FROM seq, wx
WHERE seq.code = wx.code;

-- What a sequence knows: s and c, made anew by every letter.

CREATE TABLE s AS SELECT n, j, 0.0 AS val FROM (SELECT DISTINCT n FROM seq) AS sequences, unit;

CREATE TABLE c AS SELECT n, j, val FROM s;

CREATE TABLE h (n INTEGER, t INTEGER, j INTEGER, val REAL);

-- @for part = 0 .. :parts - 1
-- @detach
CREATE TABLE s AS SELECT n, j, val FROM s;

-- @detach
CREATE TABLE c AS SELECT n, j, val FROM c;

-- @for step = 0 .. :steps - 1
CREATE TABLE sw AS
SELECT n, g, wh.j, SUM(val * w) AS val
FROM s, wh
WHERE s.j = wh.i
GROUP BY n, g, wh.j;

CREATE TABLE gate AS
SELECT n, g, j, CASE WHEN g = 2 THEN TANH(sw.val + xw.val) ELSE 1 / (1 + EXP(-sw.val - xw.val)) END AS val
FROM sw JOIN xw USING (n, g, j)
WHERE xw.t = :part * :steps + :step;

CREATE TABLE c AS
SELECT n, j, forget.val * c.val + input.val * candidate.val AS val
FROM c JOIN gate AS input USING (n, j) JOIN gate AS forget USING (n, j) JOIN gate AS candidate USING (n, j)
WHERE input.g = 0 AND forget.g = 1 AND candidate.g = 2;

CREATE TABLE s AS
SELECT n, j, gate.val * TANH(c.val) AS val
FROM c JOIN gate USING (n, j)
WHERE g = 3;

INSERT INTO h SELECT n, :part * :steps + :step, j, val FROM s;
-- @end
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
