-- SPDX-License-Identifier: Apache-2.0
--
-- sorting.sql - sequences of six digits 0, 1, 2 followed by the same digits sorted, for models/gpt.sql.
--
--   sqlite3 sorting.db < models/data/sorting.sql
--
-- There are 3^6 = 729 sequences.  Those whose number hashes to a multiple of 4 are never trained on: sequences has
-- 10,000 draws from the others, unseen 5,000 draws from these.

CREATE TEMP TABLE draws AS
WITH RECURSIVE d(n, state) AS (
  SELECT 0, 2463534242
  UNION ALL
  SELECT n + 1, (state * 1103515245 + 12345) % 2147483648 FROM d WHERE n < 99999)
SELECT n, state / 65536 % 729 AS number, state / 65536 % 729 * 7919 / 13 % 4 = 0 AS is_unseen FROM d;

CREATE TEMP TABLE chosen AS
SELECT is_unseen, number, ROW_NUMBER() OVER (PARTITION BY is_unseen ORDER BY n) - 1 AS seq FROM draws;

CREATE TEMP TABLE place AS
WITH RECURSIVE p(t, pow) AS (SELECT 0, 1 UNION ALL SELECT t + 1, pow * 3 FROM p WHERE t < 5) SELECT * FROM p;

CREATE TEMP TABLE digits AS
SELECT is_unseen, seq, t, number / pow % 3 AS token FROM chosen, place WHERE seq < 10000 - 5000 * is_unseen;

CREATE TEMP TABLE whole AS
SELECT * FROM digits
UNION ALL
SELECT is_unseen, seq, 5 + ROW_NUMBER() OVER (PARTITION BY is_unseen, seq ORDER BY token), token FROM digits;

CREATE TABLE sequences AS SELECT seq, t, token FROM whole WHERE NOT is_unseen ORDER BY seq, t;
CREATE TABLE unseen AS SELECT seq, t, token FROM whole WHERE is_unseen ORDER BY seq, t;
