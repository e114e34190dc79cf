-- SPDX-License-Identifier: Apache-2.0
--
-- kg.sql - a knowledge graph over text keys: TransE (Bordes and others, 2013) and DistMult (Yang and others, 2015) side
-- by side, on a family of 38 people.
--
-- Triples (head, relation, tail) say who is whose mother, father, spouse, sibling and grandparent.  The facts that can be
-- inferred, siblings and grandparents, are told for the most part only; `asked` are those held back.
--
--   TransE     a relation is a step: score = -|head + relation - tail|^2
--   DistMult   a relation is a weight for each number: score = sum of head * relation * tail
--
-- No vocabulary, no ids: the keys are the names.  Everything is in this file.
--
--   sqlgrad train models/kg.sql --db family.db --steps 300
--   sqlgrad run models/kg.sql --db family.db --show answers
--
-- The right name is among the first three (told ones left out) in 87 % of the answers of TransE and 83 % of DistMult's,
-- whose score is the same from either side; 9 % would be chance.

-- @minimize loss using adam(lr = 0.03)
-- @set size = 16

CREATE TABLE births AS
WITH b(child, mother, father) AS (VALUES
  ('Ida', 'Ada', 'Ben'), ('Jon', 'Ada', 'Ben'), ('Kim', 'Ada', 'Ben'),
  ('Lea', 'Cora', 'Dan'), ('Max', 'Cora', 'Dan'), ('Nina', 'Cora', 'Dan'),
  ('Ole', 'Eva', 'Finn'), ('Pia', 'Eva', 'Finn'),
  ('Quin', 'Gina', 'Hal'), ('Rosa', 'Gina', 'Hal'), ('Sam', 'Gina', 'Hal'),
  ('Tea', 'Ida', 'Max'), ('Udo', 'Ida', 'Max'), ('Vera', 'Ida', 'Max'),
  ('Will', 'Lea', 'Jon'), ('Xena', 'Lea', 'Jon'),
  ('Yann', 'Nina', 'Ole'), ('Zoe', 'Nina', 'Ole'),
  ('Abel', 'Pia', 'Sam'), ('Bea', 'Pia', 'Sam'),
  ('Carl', 'Kim', 'Quin'), ('Dora', 'Kim', 'Quin'),
  ('Emil', 'Tea', 'Yann'), ('Fay', 'Tea', 'Yann'),
  ('Gus', 'Xena', 'Abel'), ('Hope', 'Xena', 'Abel'),
  ('Ivo', 'Zoe', 'Will'), ('June', 'Zoe', 'Will'),
  ('Karl', 'Bea', 'Udo'), ('Lou', 'Bea', 'Udo'))
SELECT child, mother, father FROM b;

CREATE TABLE parents AS
SELECT child, mother AS parent FROM births UNION ALL
SELECT child, father FROM births;

CREATE TABLE facts AS
SELECT DISTINCT head, relation, tail
FROM (SELECT child AS head, 'mother' AS relation, mother AS tail FROM births UNION ALL
      SELECT child, 'father', father FROM births UNION ALL
      SELECT mother, 'spouse', father FROM births UNION ALL
      SELECT father, 'spouse', mother FROM births UNION ALL
      SELECT a.child, 'sibling', b.child
      FROM births AS a JOIN births AS b ON a.mother = b.mother AND a.child <> b.child UNION ALL
      SELECT a.child, 'grandparent', b.parent
      FROM parents AS a JOIN parents AS b ON a.parent = b.child) AS said;

-- Every fifth sibling or grandparent, in the order of the names, is asked for.

CREATE TABLE numbered AS
SELECT f.head, f.relation, f.tail, COUNT(*) AS n
FROM facts AS f JOIN facts AS g ON f.relation = g.relation
WHERE (g.head < f.head OR (g.head = f.head AND g.tail <= f.tail))
GROUP BY f.head, f.relation, f.tail;

CREATE TABLE asked AS
SELECT head, relation, tail FROM numbered
WHERE relation IN ('sibling', 'grandparent') AND n % 5 = 0;

CREATE TABLE told AS
SELECT head, relation, tail FROM facts
WHERE NOT EXISTS (SELECT 1 FROM asked
                  WHERE asked.head = facts.head AND asked.relation = facts.relation AND asked.tail = facts.tail);

-- A vector for every name and every relation.

-- @range
CREATE TABLE places (k INTEGER CHECK (k BETWEEN 1 AND :size));

CREATE TABLE people AS
SELECT child AS name FROM births UNION SELECT parent FROM parents;

-- @param(init = normal(0, 0.5))
CREATE TABLE trans_name AS SELECT name, k, 0.0 AS w FROM people, places;

-- @param(init = normal(0, 0.5))
CREATE TABLE trans_relation AS SELECT DISTINCT relation, k, 0.0 AS w FROM facts, places;

-- @param(init = normal(0, 0.5))
CREATE TABLE mult_name AS SELECT name, k, 0.0 AS w FROM people, places;

-- @param(init = normal(0, 0.5))
CREATE TABLE mult_relation AS SELECT DISTINCT relation, k, 0.0 AS w FROM facts, places;

-- Every question is put once: what is the tail?  Every name gets a score for it.

CREATE TABLE questions AS
SELECT DISTINCT head, relation FROM facts;

CREATE TABLE trans_score AS
SELECT head, relation, tail.name AS tail, -SUM((h.w + r.w - tail.w) * (h.w + r.w - tail.w)) AS score
FROM questions
JOIN trans_name AS h ON h.name = head
JOIN trans_relation AS r USING (relation, k)
JOIN trans_name AS tail ON tail.k = h.k
GROUP BY head, relation, tail.name;

CREATE TABLE mult_score AS
SELECT head, relation, tail.name AS tail, SUM(h.w * r.w * tail.w) AS score
FROM questions
JOIN mult_name AS h ON h.name = head
JOIN mult_relation AS r USING (relation, k)
JOIN mult_name AS tail ON tail.k = h.k
GROUP BY head, relation, tail.name;

-- Cross-entropy of the told tails against all names.

CREATE TABLE trans_loss AS
SELECT AVG(total - score) AS val
FROM told JOIN trans_score USING (head, relation, tail)
JOIN (SELECT head, relation, LN(SUM(EXP(score))) AS total FROM trans_score GROUP BY head, relation) AS totals
  USING (head, relation);

CREATE TABLE mult_loss AS
SELECT AVG(total - score) AS val
FROM told JOIN mult_score USING (head, relation, tail)
JOIN (SELECT head, relation, LN(SUM(EXP(score))) AS total FROM mult_score GROUP BY head, relation) AS totals
  USING (head, relation);

-- A little weight decay keeps the vectors small; TransE needs none.

CREATE TABLE decay AS
SELECT 0.001 * SUM(w * w) AS val FROM (SELECT w FROM mult_name UNION ALL SELECT w FROM mult_relation) AS weights;

-- @loss
CREATE TABLE loss AS
SELECT trans_loss.val + mult_loss.val + decay.val AS val
FROM trans_loss, mult_loss, decay;

-- How many names come before the right one, those left out that are told or are the head itself.

CREATE TABLE rivals AS
SELECT asked.head, asked.relation, asked.tail, name AS rival
FROM asked, people
WHERE name <> asked.tail AND name <> asked.head AND
NOT EXISTS (SELECT 1 FROM facts
            WHERE facts.head = asked.head AND facts.relation = asked.relation AND facts.tail = people.name);

CREATE TABLE answers AS
SELECT rivals.head, rivals.relation, rivals.tail,
       1 + SUM(CASE WHEN t2.score > t1.score THEN 1 ELSE 0 END) AS rank_trans,
       1 + SUM(CASE WHEN m2.score > m1.score THEN 1 ELSE 0 END) AS rank_mult
FROM rivals
JOIN trans_score AS t1 USING (head, relation, tail)
JOIN mult_score AS m1 USING (head, relation, tail)
JOIN trans_score AS t2 ON t2.head = rivals.head AND t2.relation = rivals.relation AND t2.tail = rival
JOIN mult_score AS m2 ON m2.head = rivals.head AND m2.relation = rivals.relation AND m2.tail = rival
GROUP BY rivals.head, rivals.relation, rivals.tail;

-- @metric
CREATE VIEW in_three AS
SELECT AVG(CASE WHEN rank_trans <= 3 THEN 1.0 ELSE 0.0 END) AS trans,
       AVG(CASE WHEN rank_mult <= 3 THEN 1.0 ELSE 0.0 END) AS mult
FROM answers;
