-- SPDX-License-Identifier: Apache-2.0
--
-- word2vec.sql - word vectors by skip-grams with negative sampling, after Mikolov and others, "Distributed
-- Representations of Words and Phrases and their Compositionality" (NIPS 2013).  The keys are the words themselves.
--
--   a word of the text (centre) is drawn to the words within :reach of it (near) and pushed away from :negatives words
--   that are drawn by lot for each, as often as count^0.75 says
--
-- With a text that every Debian has:
--
--   (echo pos,word; tr -cs A-Za-z '\n' < /usr/share/common-licenses/GPL-3 | tr A-Z a-z | awk 'NF {print n++ "," $0}') > words.csv
--   sqlgrad import csv words.csv --db words.db --table words
--   sqlgrad train models/word2vec.sql --db words.db --epochs 30 --batch 256
--   sqlgrad eval models/word2vec.sql --db words.db --show nearest
--
-- The loss falls from 4.16 (six times ln 2) to 2.0; among the nearest words: free - software, copyright - holder, source -
-- corresponding, license - patent.

-- @set dims = 32
-- @set reach = 3
-- @set negatives = 5
-- @set slots = 4096
-- @minimize loss using adam(lr = 5e-3)

-- @data(batch = pos)
CREATE TABLE words (pos INTEGER, word TEXT);

-- @once
CREATE TABLE vocabulary AS SELECT word, COUNT(*) AS n FROM words GROUP BY word;

-- @range
CREATE TABLE dim (d INTEGER CHECK (d BETWEEN 0 AND :dims - 1));

-- @param(init = uniform(-0.1, 0.1))
CREATE TABLE centre AS SELECT v.word, dim.d, 0.0 AS x FROM vocabulary AS v, dim;

-- @param(init = zeros)
CREATE TABLE near AS SELECT v.word, dim.d, 0.0 AS x FROM vocabulary AS v, dim;

-- The urn that lots are drawn from: each word has slots in proportion to count^0.75, one behind the other.

-- @once
CREATE TABLE share AS
SELECT word, POW(n, 0.75) / SUM(POW(n, 0.75)) OVER () AS part FROM vocabulary;

-- @once
CREATE TABLE before AS
SELECT s.word, s.part, SUM(CASE WHEN t.word < s.word THEN t.part ELSE 0.0 END) AS low
FROM share AS s, share AS t GROUP BY s.word, s.part;

-- @once
CREATE TABLE place AS
SELECT DISTINCT word, CAST(ROUND(low * :slots) AS INTEGER) AS first, CAST(ROUND((low + part) * :slots) AS INTEGER) AS last
FROM before;

-- @range
CREATE TABLE slot (s INTEGER CHECK (s BETWEEN 0 AND :slots - 1));

-- @once
CREATE TABLE urn AS
SELECT slot.s, place.word
FROM slot JOIN place ON slot.s >= place.first AND slot.s < place.last;

-- What is near, and what is drawn by lot.

-- @once
CREATE TABLE text AS SELECT pos, word FROM words;

-- @range
CREATE TABLE way (o INTEGER CHECK (o BETWEEN -:reach AND :reach AND o <> 0));

CREATE TABLE pair AS
SELECT a.pos, way.o, a.word, b.word AS seen
FROM words AS a CROSS JOIN way JOIN text AS b ON b.pos = a.pos + way.o;

-- @range
CREATE TABLE draw (k INTEGER CHECK (k BETWEEN 1 AND :negatives));

-- @noise(uniform(0, :slots))
CREATE TABLE lot AS SELECT pair.pos, pair.o, draw.k, 0.0 AS val FROM pair, draw;

CREATE TABLE drawn AS
SELECT lot.pos, lot.o, lot.k, pair.word, urn.word AS seen
FROM lot
JOIN pair ON pair.pos = lot.pos AND pair.o = lot.o
JOIN urn ON urn.s = CAST(lot.val AS INTEGER);

-- The loss: -ln sigmoid of what is near, -ln sigmoid of minus what was drawn.

CREATE TABLE near_score AS
SELECT p.pos, p.o, SUM(c.x * o.x) AS x
FROM pair AS p
JOIN centre AS c ON c.word = p.word
JOIN near AS o ON o.word = p.seen AND o.d = c.d
GROUP BY p.pos, p.o;

CREATE TABLE drawn_score AS
SELECT p.pos, p.o, p.k, SUM(c.x * o.x) AS x
FROM drawn AS p
JOIN centre AS c ON c.word = p.word
JOIN near AS o ON o.word = p.seen AND o.d = c.d
GROUP BY p.pos, p.o, p.k;

CREATE TABLE near_loss AS SELECT SUM(LN(1.0 + EXP(-x))) AS val, COUNT(*) AS n FROM near_score;

CREATE TABLE drawn_loss AS SELECT SUM(LN(1.0 + EXP(x))) AS val FROM drawn_score;

-- @loss
CREATE TABLE loss AS SELECT (near_loss.val + drawn_loss.val) / near_loss.n AS val FROM near_loss, drawn_loss;

-- The words nearest to each, by the cosine of their vectors; those that stand in the text at least 10 times.

CREATE VIEW length AS
SELECT c.word, SQRT(SUM(c.x * c.x)) AS x
FROM centre AS c JOIN vocabulary AS v ON v.word = c.word
WHERE v.n >= 10
GROUP BY c.word;

CREATE VIEW likeness AS
SELECT a.word, b.word AS other, SUM(a.x * b.x) / (la.x * lb.x) AS x
FROM centre AS a
JOIN centre AS b ON b.d = a.d AND b.word <> a.word
JOIN length AS la ON la.word = a.word
JOIN length AS lb ON lb.word = b.word
GROUP BY a.word, b.word, la.x, lb.x;

CREATE VIEW nearest AS
SELECT word, other, x
FROM (SELECT word, other, x, ROW_NUMBER() OVER (PARTITION BY word ORDER BY x DESC) AS n FROM likeness) AS ranked
WHERE n <= 3;
