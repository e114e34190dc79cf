-- SPDX-License-Identifier: Apache-2.0
--
-- parts/papers_near.sql - what graph convolutions read: adj, D^-1/2 (adjacency + I) D^-1/2, and seen, the words that dropout
-- leaves; each is kept with probability :keep.

-- Every vertex is its own neighbour.

CREATE TABLE linked AS
SELECT DISTINCT i, j
FROM (SELECT src AS i, dst AS j FROM edges UNION ALL SELECT node AS i, node AS j FROM labels) AS both_ways;

CREATE TABLE degree AS
SELECT i, 1.0 * COUNT(*) AS n FROM linked GROUP BY i;

CREATE TABLE adj AS
SELECT linked.i, linked.j, 1.0 / SQRT(di.n * dj.n) AS val
FROM linked
JOIN degree AS di ON di.i = linked.i
JOIN degree AS dj ON dj.i = linked.j;

-- @noise(bernoulli(:keep), eval = :keep)
CREATE TABLE kept_words AS
SELECT DISTINCT node, word, 0.0 AS val FROM features;

CREATE TABLE seen AS
SELECT s.node, s.word, s.val * k.val / :keep AS val
FROM samples AS s JOIN kept_words AS k ON k.node = s.node AND k.word = s.word;
