-- SPDX-License-Identifier: Apache-2.0
--
-- gpt_text.sql - the transformer of gpt.sql on a text: which letter comes next?
--
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
