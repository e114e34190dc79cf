-- SPDX-License-Identifier: Apache-2.0
--
-- hypergraph.sql - a hypergraph convolution (Len Du's paper, section 2.4: "relations are not always edges - they could
-- be hyperedges!").
--
-- An edge joins two, a hyperedge as many as there are rows.  Here: which of 18 women came to which of 14 social events
-- in a town of Mississippi in the 1930s (Davis, Gardner and Gardner, "Deep South", 1941).  The authors knew that there
-- were two circles.  The network is told the circle of two women, Evelyn and Nora, and finds that of the other 16 from
-- the lists of guests alone.
--
-- A layer is two joins: an event is the mean of its guests, a woman the mean of her events.
--
--   sqlgrad train models/hypergraph.sql --db south.db --steps 100
--   sqlgrad run models/hypergraph.sql --db south.db --show circles
--
-- Right for all 18, from seeds 0, 1 and 2.

-- @minimize loss using adam(lr = 0.05)
-- @set width = 8

CREATE TABLE came AS
WITH guests(woman, event) AS (VALUES
  ('Evelyn', 1), ('Evelyn', 2), ('Evelyn', 3), ('Evelyn', 4), ('Evelyn', 5), ('Evelyn', 6), ('Evelyn', 8), ('Evelyn', 9),
  ('Laura', 1), ('Laura', 2), ('Laura', 3), ('Laura', 5), ('Laura', 6), ('Laura', 7), ('Laura', 8),
  ('Theresa', 2), ('Theresa', 3), ('Theresa', 4), ('Theresa', 5), ('Theresa', 6), ('Theresa', 7), ('Theresa', 8),
  ('Theresa', 9), ('Brenda', 1), ('Brenda', 3), ('Brenda', 4), ('Brenda', 5), ('Brenda', 6), ('Brenda', 7), ('Brenda', 8),
  ('Charlotte', 3), ('Charlotte', 4), ('Charlotte', 5), ('Charlotte', 7), ('Frances', 3), ('Frances', 5), ('Frances', 6),
  ('Frances', 8), ('Eleanor', 5), ('Eleanor', 6), ('Eleanor', 7), ('Eleanor', 8), ('Pearl', 6), ('Pearl', 8), ('Pearl', 9),
  ('Ruth', 5), ('Ruth', 7), ('Ruth', 8), ('Ruth', 9), ('Verne', 7), ('Verne', 8), ('Verne', 9), ('Verne', 12),
  ('Myra', 8), ('Myra', 9), ('Myra', 10), ('Myra', 12), ('Katherine', 8), ('Katherine', 9), ('Katherine', 10),
  ('Katherine', 12), ('Katherine', 13), ('Katherine', 14), ('Sylvia', 7), ('Sylvia', 8), ('Sylvia', 9), ('Sylvia', 10),
  ('Sylvia', 12), ('Sylvia', 13), ('Sylvia', 14), ('Nora', 6), ('Nora', 7), ('Nora', 9), ('Nora', 10), ('Nora', 11),
  ('Nora', 12), ('Nora', 13), ('Nora', 14), ('Helen', 7), ('Helen', 8), ('Helen', 10), ('Helen', 11), ('Helen', 12),
  ('Dorothy', 8), ('Dorothy', 9), ('Olivia', 9), ('Olivia', 11), ('Flora', 9), ('Flora', 11))
SELECT woman, event FROM guests;

-- The circles as most later studies see them (Freeman 2003); training sees two rows of it.

CREATE TABLE truth AS
WITH known(woman, circle) AS (VALUES
  ('Evelyn', 1), ('Laura', 1), ('Theresa', 1), ('Brenda', 1), ('Charlotte', 1), ('Frances', 1), ('Eleanor', 1),
  ('Pearl', 1), ('Ruth', 1), ('Verne', 2), ('Myra', 2), ('Katherine', 2), ('Sylvia', 2), ('Nora', 2), ('Helen', 2),
  ('Dorothy', 2), ('Olivia', 2), ('Flora', 2))
SELECT woman, circle FROM known;

-- @range
CREATE TABLE places (j INTEGER CHECK (j BETWEEN 1 AND :width));

-- @range
CREATE TABLE sides (circle INTEGER CHECK (circle BETWEEN 1 AND 2));

-- @param(init = xavier_uniform)
CREATE TABLE w1 AS SELECT woman, j, 0.0 AS w FROM truth, places;

-- @param(init = xavier_uniform)
CREATE TABLE w2 AS SELECT j, circle, 0.0 AS w FROM places, sides;

-- Layer 1.  What is known of a woman is who she is, so the product with the features is w1 itself.

CREATE TABLE event1 AS
SELECT event, j, AVG(w) AS x FROM came JOIN w1 USING (woman) GROUP BY event, j;

CREATE TABLE woman1 AS
SELECT woman, j, TANH(AVG(x)) AS x FROM came JOIN event1 USING (event) GROUP BY woman, j;

-- Layer 2.

CREATE TABLE turned AS
SELECT woman, circle, SUM(x * w) AS x FROM woman1 JOIN w2 USING (j) GROUP BY woman, circle;

CREATE TABLE event2 AS
SELECT event, circle, AVG(x) AS x FROM came JOIN turned USING (woman) GROUP BY event, circle;

CREATE TABLE scores AS
SELECT woman, circle, AVG(x) AS x FROM came JOIN event2 USING (event) GROUP BY woman, circle;

-- @loss
CREATE TABLE loss AS
SELECT AVG(total - x) AS val
FROM scores NATURAL JOIN truth
JOIN (SELECT woman, LN(SUM(EXP(x))) AS total FROM scores GROUP BY woman) AS totals USING (woman)
WHERE woman IN ('Evelyn', 'Nora');

CREATE TABLE circles AS
SELECT woman, circle
FROM (SELECT woman, circle, ROW_NUMBER() OVER (PARTITION BY woman ORDER BY x DESC, circle) AS place FROM scores) AS ranked
WHERE place = 1;

-- @metric
CREATE VIEW accuracy AS
SELECT AVG(CASE WHEN circles.circle = truth.circle THEN 1.0 ELSE 0.0 END) AS val
FROM circles JOIN truth USING (woman);
