-- SPDX-License-Identifier: Apache-2.0
--
-- parts/papers.sql - a citation network, for the models that include it: its tables, and the words of each paper with
-- 1 shared evenly among them.  kipf.sql says how to import Cora.

CREATE TABLE edges (src INTEGER, dst INTEGER);

CREATE TABLE features (node INTEGER, word INTEGER);

CREATE TABLE labels (node INTEGER, label INTEGER);

CREATE TABLE split (node INTEGER, part TEXT);

CREATE TABLE samples AS
SELECT node, word, 1.0 / COUNT(*) OVER (PARTITION BY node) AS val
FROM features;
