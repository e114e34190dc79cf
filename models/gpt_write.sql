-- SPDX-License-Identifier: Apache-2.0
--
-- gpt_write.sql - text written by the network of gpt_text.sql, a letter a step and several texts at once.
--
-- Each step computes the newest letter only: its keys and values go into the table `cache`, and its query meets those of all
-- letters before.  The next letter is drawn from what the network expects, made sharper by a temperature below 1: the largest
-- of score + Gumbel noise is a letter with its probability.
--
--   sqlgrad run models/gpt_write.sql --db text.db --show sample [--set letters=64] [--set temperature=0.5]
--
-- text.db is that of gpt_text.sql; a network that is elsewhere is named by --params.  `expected` has the scores of every step: those
-- that gpt_text.sql computes for the whole text at once, with `written` as its passages (test/cases/run/write.case).  Of the words
-- written 75 % stand in the text; one of the twelve texts:
--
--   for modified or contument a propriated to / copy to the work modify

-- @include 'gpt_text.sql'
-- @set letters = 64
-- @set temperature = 0.5

-- Each text begins with another letter.

CREATE TABLE written AS SELECT code AS seq, 0 AS t, code FROM alphabet WHERE ch BETWEEN 'a' AND 'l';

CREATE TABLE cache (t INTEGER, layer INTEGER, seq INTEGER, part INTEGER, head INTEGER, d INTEGER, x REAL);

CREATE TABLE expected (t INTEGER, seq INTEGER, token INTEGER, x REAL);

-- @for t = 0 .. :letters - 1
CREATE TABLE new AS
SELECT seq, j, SUM(wte.w + wpe.w) AS x
FROM written JOIN wte ON token = code JOIN wpe USING (t, j)
WHERE t = :t
GROUP BY seq, j;

-- @for layer = 0 .. :layers - 1
CREATE TABLE new_centred AS
SELECT seq, j, x - AVG(x) OVER (PARTITION BY seq) AS x
FROM new;

CREATE TABLE new_normed AS
SELECT seq, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq) + 1e-5) * gain + bias AS x
FROM new_centred JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = :layer AND part = 0;

CREATE TABLE new_qkv AS
SELECT seq, part, head, d, SUM(x * w) + b AS x
FROM new_normed JOIN qkv_w USING (j) JOIN qkv_b USING (layer, part, head, d)
WHERE layer = :layer
GROUP BY seq, part, head, d;

INSERT INTO cache SELECT :t, :layer, seq, part, head, d, x FROM new_qkv WHERE part > 0;

CREATE TABLE new_score AS
SELECT q.seq, q.head, k.t AS s, SUM(q.x * k.x) / SQRT(:width / :heads) AS x
FROM new_qkv AS q JOIN cache AS k ON k.seq = q.seq AND k.head = q.head AND k.d = q.d
WHERE q.part = 0 AND k.part = 1 AND k.layer = :layer
GROUP BY q.seq, q.head, k.t;

CREATE TABLE new_attend AS
SELECT seq, head, s, EXP(x - LN(SUM(EXP(x)) OVER (PARTITION BY seq, head))) AS p
FROM new_score;

CREATE TABLE new_mix AS
SELECT a.seq, a.head, v.d, SUM(p * v.x) AS x
FROM new_attend AS a JOIN cache AS v ON v.seq = a.seq AND v.head = a.head AND v.t = s
WHERE v.part = 2 AND v.layer = :layer
GROUP BY a.seq, a.head, v.d;

CREATE TABLE new_after AS
SELECT seq, j, new.x + SUM(m.x * w) + b AS x
FROM new JOIN proj_w USING (j) JOIN proj_b USING (layer, j) JOIN new_mix AS m USING (seq, head, d)
WHERE layer = :layer
GROUP BY seq, j;

CREATE TABLE new_centred_mlp AS
SELECT seq, j, x - AVG(x) OVER (PARTITION BY seq) AS x
FROM new_after;

CREATE TABLE new_normed_mlp AS
SELECT seq, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq) + 1e-5) * gain + bias AS x
FROM new_centred_mlp JOIN norm_gain USING (j) JOIN norm_bias USING (layer, part, j)
WHERE layer = :layer AND part = 1;

CREATE TABLE new_up AS
SELECT seq, i, SUM(x * w) + b AS x
FROM new_normed_mlp JOIN up_w USING (j) JOIN up_b USING (layer, i)
WHERE layer = :layer
GROUP BY seq, i;

CREATE TABLE new_gelu AS
SELECT seq, i, 0.5 * x * (1 + TANH(SQRT(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))) AS x
FROM new_up;

CREATE TABLE new AS
SELECT seq, j, a.x + SUM(g.x * w) + b AS x
FROM new_gelu AS g JOIN down_w USING (i) JOIN down_b USING (layer, j) JOIN new_after AS a USING (seq, j)
WHERE layer = :layer
GROUP BY seq, j;
-- @end

CREATE TABLE new_end AS
SELECT seq, j, x - AVG(x) OVER (PARTITION BY seq) AS x
FROM new;

CREATE TABLE new_end_norm AS
SELECT seq, j, x / SQRT(AVG(x * x) OVER (PARTITION BY seq) + 1e-5) * gain + bias AS x
FROM new_end JOIN end_gain USING (j) JOIN end_bias USING (j);

INSERT INTO expected
SELECT :t, seq, token, SUM(x * w)
FROM new_end_norm JOIN wte USING (j)
GROUP BY seq, token;

-- @noise(uniform(0, 1))
CREATE TABLE dice AS SELECT seq, code, 0.0 AS u FROM (SELECT DISTINCT seq FROM written) AS texts, alphabet;

INSERT INTO written
SELECT seq, :t + 1, token
FROM (SELECT seq, token, ROW_NUMBER() OVER (PARTITION BY seq ORDER BY x / :temperature - LN(-LN(u)) DESC) AS place
      FROM expected JOIN dice USING (seq)
      WHERE t = :t AND token = code) AS ranked
WHERE place = 1;
-- @end

CREATE TABLE sample AS SELECT seq, t, ch FROM written JOIN alphabet USING (code);
