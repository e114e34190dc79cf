-- SPDX-License-Identifier: Apache-2.0
--
-- gpt_text.sql - the transformer of gpt.sql on a text: which letter comes next?  3 layers, 4 heads, 64 numbers a letter.
--
--   passages -> letter + position -> 3 x (norm -> attention -> +, norm -> mlp -> +) -> norm -> next letter
--
-- A passage is 65 letters of the text, at t = 0 … 64, of which the first 64 are read.  What leaves the last norm is compared with
-- the table of letters that it came in by (weight tying: `logits` reads wte).
--
--   sqlgrad import text /usr/share/common-licenses/GPL-3 --db text.db --table text --labels alphabet
--   sqlite3 text.db < models/data/passages.sql           (each tenth stretch of the text goes to val_passages)
--   sqlgrad train models/gpt_text.sql --db text.db --epochs 10 --batch 16 --clip 1.0 --eval-bind passages=val_passages
--   sqlgrad run models/gpt_write.sql --db text.db --show sample
--
-- After 10 epochs, 1,240 steps, the loss is 1.821 nats a letter on val_passages; the same network in PyTorch, trained as long: 1.858
-- (test/accept/gpt_text.py).

-- @minimize loss using adamw(lr = 2e-3 * MIN(1, (step + 1) / 50) * (1 - 0.9 * step/steps), beta2 = 0.95, weight_decay = 0.1)

-- @set layers = 3
-- @set width = 64
-- @set heads = 4
-- @set length = 64

-- @data(batch = seq)
CREATE TABLE passages (seq INTEGER, t INTEGER, code INTEGER);

CREATE TABLE alphabet (code INTEGER, ch TEXT);

-- @range
CREATE TABLE unit (j INTEGER CHECK (j BETWEEN 0 AND :width - 1));

CREATE VIEW sequences AS SELECT seq, t, code AS token FROM passages;

-- What the letters are, at the entrance and, turned round, at the exit.

-- @param(init = normal(0, 0.02), decay = 0)
CREATE TABLE wte AS SELECT code AS token, j, 0.0 AS w FROM alphabet, unit;

-- @include 'parts/gpt.sql'

CREATE TABLE logits AS
SELECT seq, t, token, SUM(x * w) AS x
FROM end_norm JOIN wte USING (j)
GROUP BY seq, t, token;

CREATE TABLE totals AS
SELECT seq, t, LN(SUM(EXP(x))) AS x
FROM logits
GROUP BY seq, t;

-- @loss
CREATE TABLE loss AS
SELECT AVG(totals.x - logits.x) AS val
FROM logits JOIN totals USING (seq, t) JOIN sequences ON sequences.seq = logits.seq AND sequences.token = logits.token
WHERE sequences.t = logits.t + 1;
