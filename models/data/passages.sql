-- SPDX-License-Identifier: Apache-2.0
--
-- From text(pos, code), as `sqlgrad import text` makes it, passages of 65 letters (seq, t, code), for models/gpt_text.sql.
-- Each tenth stretch of 640 letters is kept apart: val_passages has its ten passages, which begin every 64 letters; passages has
-- those of the rest, which begin every 16 and overlap.

DROP TABLE IF EXISTS passages;
DROP TABLE IF EXISTS val_passages;

CREATE TEMP TABLE offsets AS
WITH RECURSIVE o(t) AS (SELECT 0 UNION ALL SELECT t + 1 FROM o WHERE t < 64) SELECT * FROM o;

CREATE TEMP TABLE starts AS
SELECT pos / 16 AS seq, pos AS start, pos / 640 % 10 = 9 AS apart, (pos + 64) / 640 % 10 = 9 AS ends_apart
FROM text
WHERE pos % 16 = 0 AND pos + 64 <= (SELECT MAX(pos) FROM text);

CREATE TABLE passages AS
SELECT seq, t, code
FROM starts, offsets JOIN text ON pos = start + t
WHERE NOT apart AND NOT ends_apart
ORDER BY seq, t;

CREATE TABLE val_passages AS
SELECT seq, t, code
FROM starts, offsets JOIN text ON pos = start + t
WHERE apart AND start % 64 = 0
ORDER BY seq, t;
