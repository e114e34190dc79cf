CREATE TABLE a AS SELECT id, 1e300 * x AS big, 0.1 + x AS tenth, -9223372036854775808 - 1 AS least, 'it''s' AS s FROM t;
