-- SPDX-License-Identifier: Apache-2.0
--
-- From text(pos, code), as `sqlgrad import text` makes it, sequences of 51 letters (n, t, code) that begin every 50: the
-- last letter of one is the first of the next.  Each tenth goes to val_seq, the others to seq.  What is left of the text
-- behind the last whole sequence stays away.

DROP TABLE IF EXISTS seq;
DROP TABLE IF EXISTS val_seq;

CREATE TABLE val_seq AS
SELECT pos / 50 AS n, pos % 50 AS t, code FROM text
UNION ALL
SELECT pos / 50 - 1, 50, code FROM text WHERE pos % 50 = 0 AND pos > 0;

DELETE FROM val_seq WHERE n NOT IN (SELECT n FROM val_seq WHERE t = 50);

CREATE TABLE seq AS SELECT n, t, code FROM val_seq WHERE n % 10 <> 9 ORDER BY n, t;

DELETE FROM val_seq WHERE n % 10 <> 9;
