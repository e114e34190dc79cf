-- SPDX-License-Identifier: Apache-2.0
--
-- mf.sql - matrix factorisation: stars = mean + person + film + sum of tastes * qualities.
--
-- The matrix of people and films is never there; what is stored is one row a rating.
--
--   sqlite3 ratings.db < models/data/ratings.sql
--   sqlgrad train models/mf.sql --db ratings.db --steps 400
--
-- The error (root mean square) on ratings not trained on is 0.37 stars; it is 0.87 for the mean of the
-- ratings, and fm.sql, which also looks at the day, comes to 0.26.  0.2 of it is noise.

-- @minimize loss using adam(lr = 0.02)
-- @set tastes = 2

CREATE TABLE ratings (n INTEGER, person INTEGER, film INTEGER, weekend INTEGER, stars REAL, part TEXT);

-- @range
CREATE TABLE places (k INTEGER CHECK (k BETWEEN 1 AND :tastes));

-- @param
CREATE TABLE person_mean AS SELECT DISTINCT person, 0.0 AS w FROM ratings;

-- @param
CREATE TABLE film_mean AS SELECT DISTINCT film, 0.0 AS w FROM ratings;

-- @param(init = normal(0, 0.3))
CREATE TABLE taste AS SELECT DISTINCT person, k, 0.0 AS w FROM ratings, places;

-- @param(init = normal(0, 0.3))
CREATE TABLE quality AS SELECT DISTINCT film, k, 0.0 AS w FROM ratings, places;

CREATE TABLE mean AS
SELECT AVG(stars) AS stars FROM ratings WHERE part = 'train';

CREATE TABLE agreement AS
SELECT n, SUM(taste.w * quality.w) AS val
FROM ratings JOIN taste USING (person) JOIN quality USING (film, k)
GROUP BY n;

CREATE TABLE errors AS
SELECT n, part, ratings.stars - (mean.stars + person_mean.w + film_mean.w + agreement.val) AS miss
FROM ratings JOIN person_mean USING (person) JOIN film_mean USING (film) JOIN agreement USING (n), mean;

-- A person with few ratings should not be explained by tastes alone: small weights for all that a rating uses.

CREATE TABLE size AS
SELECT AVG(taste.w * taste.w + quality.w * quality.w) AS val
FROM ratings JOIN taste USING (person) JOIN quality USING (film, k)
WHERE part = 'train';

-- @loss
CREATE TABLE loss AS
SELECT AVG(miss * miss) + 0.02 * size.val AS val
FROM errors, size
WHERE part = 'train';

-- @metric
CREATE VIEW rmse AS
SELECT SQRT(AVG(miss * miss)) AS val FROM errors WHERE part = 'test';

-- The first films each person should see, of those without a rating.

CREATE TABLE advice AS
SELECT person, film
FROM (SELECT person, film, ROW_NUMBER() OVER (PARTITION BY person ORDER BY score DESC) AS place
      FROM (SELECT taste.person, quality.film, film_mean.w + SUM(taste.w * quality.w) AS score
            FROM taste JOIN quality USING (k) JOIN film_mean USING (film)
            WHERE NOT EXISTS (SELECT 1 FROM ratings
                              WHERE ratings.person = taste.person AND ratings.film = quality.film)
            GROUP BY taste.person, quality.film) AS scores) AS ranked
WHERE place <= 3;
