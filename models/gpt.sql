-- SPDX-License-Identifier: Apache-2.0
--
-- gpt.sql - a generative transformer (GPT) in plain SQL, on the sorting task of Andrej Karpathy's minGPT: read six
-- digits 0, 1 or 2, then write them sorted.  Its smallest size: 3 layers, 3 heads, 48 numbers a token.
--
--   sequences -> token + position -> 3 x (norm -> attention -> +, norm -> mlp -> +) -> norm -> next token
--
-- A sequence is the digits and the answer, 12 tokens at t = 0 … 11; the model reads the first 11 and its loss is
-- the cross-entropy of tokens 6 … 11.  Its layers are those of parts/gpt.sql: attention is a join, in which the query at
-- t meets every key at s <= t.
--
--   sqlite3 sort.db < models/data/sorting.sql
--   sqlgrad train models/gpt.sql --db sort.db --steps 1000 --batch 64 --clip 1.0
--   sqlgrad eval models/gpt.sql --db sort.db --bind sequences=unseen
--
-- 100 % of the 5,000 unseen sequences are sorted, digit by digit from what the model itself wrote before
-- (test/accept/gpt.py); the loss at step 1,000 is below 1e-6.
--
-- Writing: `continuation` is the most likely token behind each sequence.  With six digits a sequence in a table
-- prompt(seq, t, token), six times:
--
--   sqlgrad run models/gpt.sql --db sort.db --bind sequences=prompt --show continuation --out sort.db
--   sqlite3 sort.db 'INSERT INTO prompt SELECT * FROM continuation'
--
-- gpt_text.sql is the same network on a text, gpt_write.sql writes with it.

-- @minimize loss using adamw(lr = 5e-4 * (1 - step/steps), beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1)

-- @set layers = 3
-- @set width = 48
-- @set heads = 3
-- @set length = 11
-- @set vocabulary = 3
-- @set answer = 6

-- @data(batch = seq)
CREATE TABLE sequences (seq INTEGER, t INTEGER, token INTEGER);

-- @param(init = normal(0, 0.02), decay = 0)
CREATE TABLE wte (
  token INTEGER CHECK (token BETWEEN 0 AND :vocabulary - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- @include 'parts/gpt.sql'

-- @param(init = normal(0, 0.02))
CREATE TABLE head_w (
  token INTEGER CHECK (token BETWEEN 0 AND :vocabulary - 1),
  j     INTEGER CHECK (j BETWEEN 0 AND :width - 1),
  w     REAL);

-- The next token: a score for each, cross-entropy where the answer stands.

CREATE TABLE logits AS
SELECT seq, t, token, SUM(x * w) AS x
FROM end_norm JOIN head_w USING (j)
GROUP BY seq, t, token;

CREATE TABLE targets AS
SELECT seq, t - 1 AS t, token
FROM sequences
WHERE t >= :answer;

CREATE TABLE losses AS
SELECT seq, t, total - x AS val
FROM logits JOIN targets USING (seq, t, token)
JOIN (SELECT seq, t, LN(SUM(EXP(x))) AS total FROM logits GROUP BY seq, t) AS totals USING (seq, t);

-- @loss
CREATE TABLE loss AS
SELECT AVG(val) AS val FROM losses;

-- The most likely token at each place, given what stands before it.

CREATE TABLE likely AS
SELECT seq, t + 1 AS t, token
FROM (SELECT seq, t, token, ROW_NUMBER() OVER (PARTITION BY seq, t ORDER BY x DESC, token) AS place
      FROM logits) AS ranked
WHERE place = 1;

CREATE TABLE continuation AS
SELECT seq, t, token
FROM likely
WHERE t = (SELECT MAX(t) + 1 FROM sequences);

-- Sequences whose whole answer is right.

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(sorted) AS val
FROM (SELECT seq, MIN(CASE WHEN likely.token = sequences.token THEN 1.0 ELSE 0.0 END) AS sorted
      FROM likely JOIN sequences USING (seq, t)
      WHERE t >= :answer
      GROUP BY seq) AS answers;
