-- SPDX-License-Identifier: Apache-2.0
--
-- char_sample.sql - text written by the network of char_rnn.sql, a letter a step: the next letter is drawn from what the
-- network expects, made sharper by a temperature below 1.  Drawing the largest of score + Gumbel noise draws a letter with
-- its probability.
--
--   sqlgrad run models/char_sample.sql --db text.db --show sample [--set temperature=0.5] [--set seed_code=0]

-- @include 'char_rnn.sql'
-- @set length = 500
-- @set temperature = 0.5
-- @set first_code = 0

CREATE TABLE said AS SELECT 0 AS t, :first_code AS code;

CREATE TABLE s AS SELECT j, 0.0 AS val FROM unit;

-- @for t = 1 .. :length
CREATE TABLE sw AS
SELECT wh.j, SUM(val * w) AS val
FROM s, wh
WHERE s.j = wh.i
GROUP BY wh.j;

CREATE TABLE s AS
SELECT j, TANH(sw.val + wx.w) AS val
FROM said JOIN wx USING (code) JOIN sw USING (j)
WHERE said.t = :t - 1;

CREATE TABLE score AS
SELECT wo.code, (SUM(val * w) + b) / :temperature AS val
FROM s, wo, bo
WHERE s.j = wo.j AND wo.code = bo.code
GROUP BY wo.code;

-- @noise(uniform(0, 1))
CREATE TABLE dice AS SELECT code, 0.0 AS u FROM alphabet;

INSERT INTO said
SELECT :t, code
FROM (SELECT code, ROW_NUMBER() OVER (ORDER BY score.val - LN(-LN(u)) DESC) AS place
      FROM score JOIN dice USING (code)) AS ranked
WHERE place = 1;
-- @end

CREATE TABLE sample AS SELECT t, ch FROM said JOIN alphabet USING (code);
