-- SPDX-License-Identifier: Apache-2.0
--
-- ratings.sql - stars that 100 people gave to 60 films, for models/mf.sql and models/fm.sql.
--
--   sqlite3 ratings.db < models/data/ratings.sql
--
-- ratings(n, person, film, weekend, stars, part): 40 % of all pairs, one in five of them to test.  Behind the stars are
-- two tastes of each person and two qualities of each film, what a person gives on average, how good the film is, what
-- its first quality is worth on a weekend, and noise of deviation 0.2.  features(n, feature) says the same as words.

CREATE TEMP TABLE h AS
WITH RECURSIVE h(k, state) AS (
  SELECT 0, 88172645
  UNION ALL
  SELECT k + 1, (state * 1103515245 + 12345) % 2147483648 FROM h WHERE k < 40000)
SELECT k, state / 65536 AS r, state / 2147483648.0 - 0.5 AS x FROM h;

CREATE TEMP TABLE person AS
SELECT k / 3 AS person, SUM(CASE k % 3 WHEN 0 THEN x END) * 1.5 AS mean, SUM(CASE k % 3 WHEN 1 THEN x END) * 2 AS a,
       SUM(CASE k % 3 WHEN 2 THEN x END) * 2 AS b FROM h WHERE k < 300 GROUP BY k / 3;

CREATE TEMP TABLE film AS
SELECT (k - 300) / 3 AS film, SUM(CASE k % 3 WHEN 0 THEN x END) * 1.5 AS mean, SUM(CASE k % 3 WHEN 1 THEN x END) * 2 AS a,
       SUM(CASE k % 3 WHEN 2 THEN x END) * 2 AS b FROM h WHERE k BETWEEN 300 AND 479 GROUP BY (k - 300) / 3;

CREATE TABLE ratings AS
SELECT ROW_NUMBER() OVER (ORDER BY person, film) AS n, person, film, u.r % 7 < 2 AS weekend,
       3.0 + person.mean + film.mean + person.a * film.a + person.b * film.b + (u.r % 7 < 2) * film.a + 0.7 * u.x AS stars,
       CASE WHEN u.r / 7 % 5 = 0 THEN 'test' ELSE 'train' END AS part
FROM person, film JOIN h AS u ON u.k = 1000 + person * 60 + film JOIN h AS v ON v.k = 10000 + person * 60 + film
WHERE v.r % 5 < 2;

CREATE TABLE features AS
SELECT n, 'person ' || person AS feature FROM ratings UNION ALL
SELECT n, 'film ' || film FROM ratings UNION ALL
SELECT n, CASE WHEN weekend THEN 'weekend' ELSE 'working day' END FROM ratings;
