-- SPDX-License-Identifier: Apache-2.0
--
-- char_rnn.sql - a recurrent network that reads a text letter by letter and says which comes next: the control flow of
-- Algorithm 3 in Len Du, "In-Machine-Learning Database", a loop over the letters of a sequence with a hidden state.
--
--   seq -> letter's weights + W h(t - 1) -> tanh = h(t) -> logits -> cross-entropy with letter t + 1
--
-- A sequence is 51 letters of the text, at t = 0 … 50; it is read up to t = 49.  A sequence that is shorter has fewer rows,
-- and its steps end where they do.
--
--   sqlgrad import text /usr/share/common-licenses/GPL-3 --db text.db --table text --labels alphabet
--   sqlite3 text.db < models/data/sequences.sql           (each tenth sequence goes to val_seq)
--   sqlgrad train models/char_rnn.sql --db text.db --epochs 60 --batch 32 --eval-bind seq=val_seq --eval-every 10
--   sqlgrad run models/char_sample.sql --db text.db --show sample
--
-- After 60 epochs the loss is 1.747 on the sequences of val_seq; the same network in PyTorch, trained as long: 1.762. Of the
-- words it writes 78 % stand in the text (test/accept/char_rnn.py).

-- @minimize loss using adam(lr = 2e-3)
-- @set steps = 50
-- @set hidden = 128

-- @data(batch = n)
CREATE TABLE seq (n INTEGER, t INTEGER, code INTEGER);

CREATE TABLE alphabet (code INTEGER, ch TEXT);

-- @range
CREATE TABLE unit (j INTEGER CHECK (j BETWEEN 0 AND :hidden - 1));

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wx AS SELECT code, j, 0.0 AS w FROM alphabet, unit;

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wh AS SELECT a.j AS i, b.j, 0.0 AS w FROM unit AS a, unit AS b;

-- @param(init = uniform(-0.09, 0.09))
CREATE TABLE wo AS SELECT j, code, 0.0 AS w FROM unit, alphabet;

-- @param(init = zeros)
CREATE TABLE bo AS SELECT code, 0.0 AS b FROM alphabet;

-- What each letter adds, for all steps at once.

CREATE TABLE xw AS
SELECT n, t, j, w AS val
FROM seq, wx
WHERE seq.code = wx.code;

-- The state of each sequence after each letter, from zeros.

CREATE TABLE h (n INTEGER, t INTEGER, j INTEGER, val REAL);

INSERT INTO h
SELECT n, -1, j, 0.0
FROM (SELECT DISTINCT n FROM seq) AS sequences, unit;

-- @for t = 0 .. :steps - 1
CREATE TABLE hw AS
SELECT n, wh.j, SUM(val * w) AS val
FROM h, wh
WHERE t = :t - 1 AND h.j = wh.i
GROUP BY n, wh.j;

INSERT INTO h
SELECT n, :t, j, TANH(hw.val + xw.val)
FROM hw JOIN xw USING (n, j)
WHERE xw.t = :t;
-- @end

CREATE TABLE logits AS
SELECT n, t, wo.code, SUM(val * w) + b AS val
FROM h, wo, bo
WHERE h.j = wo.j AND wo.code = bo.code AND t >= 0
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
