-- SPDX-License-Identifier: Apache-2.0
--
-- regression.sql - four classics, each found by gradient descent, with the numbers that statistics packages print.
-- (Logistic regression has a file of its own, logreg.sql.)
--
--   linear     Anscombe's quartet (The American Statistician 27, 1973): four data sets, one line.  Every slope is
--              0.500 and every level 3.00, though only the first data set looks it.
--   quantile   the 10th, 50th and 90th percentile of the same, by the pinball loss.  The median does not see the
--              one wild point of data set III: its slope is 0.345, that of the other ten points.
--   Poisson    a randomised trial (Dobson 1990; the example of R's glm): log-linear in outcome and treatment.
--              level 3.045, outcome 2: -0.454, outcome 3: -0.293, treatments 0.
--   Cox        weeks of remission of 42 children with leukaemia, on 6-mercaptopurine or a placebo (Freireich and
--              others, Blood 21, 1963): partial likelihood, ties after Breslow.  log hazard ratio -1.509.
--
-- Everything is in this file.
--
--   sqlgrad train models/regression.sql --db reg.db --steps 3000
--   sqlgrad run models/regression.sql --db reg.db --show lines,quantile_lines,effects,hazard
--
-- The four have no parameter in common, so one sum of their losses trains them side by side; `--loss cox_loss` trains
-- one alone.

-- @minimize loss using adam(lr = 0.05 * (1 - step/steps))

-- ---- linear ----

CREATE TABLE points AS
WITH quartet(n, x, y1, y2, y3, x4, y4) AS (VALUES
  (1, 10.0, 8.04, 9.14, 7.46, 8.0, 6.58),  (2, 8.0, 6.95, 8.14, 6.77, 8.0, 5.76),
  (3, 13.0, 7.58, 8.74, 12.74, 8.0, 7.71), (4, 9.0, 8.81, 8.77, 7.11, 8.0, 8.84),
  (5, 11.0, 8.33, 9.26, 7.81, 8.0, 8.47),  (6, 14.0, 9.96, 8.10, 8.84, 8.0, 7.04),
  (7, 6.0, 7.24, 6.13, 6.08, 8.0, 5.25),   (8, 4.0, 4.26, 3.10, 5.39, 19.0, 12.50),
  (9, 12.0, 10.84, 9.13, 8.15, 8.0, 5.56), (10, 7.0, 4.82, 7.26, 6.42, 8.0, 7.91),
  (11, 5.0, 5.68, 4.74, 5.73, 8.0, 6.89))
SELECT 'I' AS data, n, x, y1 AS y FROM quartet UNION ALL
SELECT 'II', n, x, y2 FROM quartet UNION ALL
SELECT 'III', n, x, y3 FROM quartet UNION ALL
SELECT 'IV', n, x4, y4 FROM quartet;

-- Two numbers for each data set, starting at 0.  Lines go through the mean of x: slope and level do not disturb
-- each other then, and gradient descent is quick.

-- @param
CREATE TABLE fit AS SELECT DISTINCT data, 0.0 AS slope, 0.0 AS middle FROM points;

CREATE TABLE centred AS
SELECT data, n, x - AVG(x) OVER (PARTITION BY data) AS x, y FROM points;

CREATE TABLE linear_loss AS
SELECT AVG((y - middle - slope * x) * (y - middle - slope * x)) AS val
FROM centred JOIN fit USING (data);

CREATE TABLE lines AS
SELECT data, slope, middle - slope * AVG(x) AS level
FROM points JOIN fit USING (data)
GROUP BY data;

-- ---- quantiles ----

CREATE TABLE percents AS
WITH p(percent) AS (VALUES (10), (50), (90)) SELECT percent FROM p;

-- @param
CREATE TABLE quantile_fit AS
SELECT DISTINCT data, percent, 0.0 AS slope, 0.0 AS middle FROM points, percents;

-- A point above the line pulls with p, one below with 1 - p.

CREATE TABLE quantile_loss AS
SELECT AVG(MAX(percent / 100.0 * miss, (percent / 100.0 - 1) * miss)) AS val
FROM (SELECT data, percent, n, y - middle - slope * x AS miss
      FROM centred JOIN quantile_fit USING (data)) AS misses;

CREATE TABLE quantile_lines AS
SELECT data, percent, slope, middle - slope * AVG(x) AS level
FROM points JOIN quantile_fit USING (data)
GROUP BY data, percent;

-- ---- Poisson ----

CREATE TABLE trial AS
WITH counts(outcome, treatment, n) AS (VALUES
  (1, 1, 18), (2, 1, 17), (3, 1, 15), (1, 2, 20), (2, 2, 10), (3, 2, 20), (1, 3, 25), (2, 3, 13), (3, 3, 12))
SELECT outcome, treatment, n FROM counts;

-- Which effects act in a cell: a row each.  The first outcome and the first treatment are what others compare with.

CREATE TABLE acts AS
SELECT outcome, treatment, 'level' AS effect, 1 AS grade FROM trial UNION ALL
SELECT outcome, treatment, 'outcome', outcome FROM trial WHERE outcome > 1 UNION ALL
SELECT outcome, treatment, 'treatment', treatment FROM trial WHERE treatment > 1;

-- @param
CREATE TABLE effects AS SELECT DISTINCT effect, grade, 0.0 AS w FROM acts;

CREATE TABLE log_rate AS
SELECT outcome, treatment, SUM(w) AS eta
FROM acts JOIN effects USING (effect, grade)
GROUP BY outcome, treatment;

CREATE TABLE poisson_loss AS
SELECT AVG(EXP(eta) - n * eta) AS val
FROM trial JOIN log_rate USING (outcome, treatment);

-- ---- Cox ----

-- relapse 0: the child was still in remission when the study ended.

CREATE TABLE children AS
WITH mp(weeks, relapse) AS (VALUES
  (6, 1), (6, 1), (6, 1), (6, 0), (7, 1), (9, 0), (10, 1), (10, 0), (11, 0), (13, 1), (16, 1), (17, 0), (19, 0),
  (20, 0), (22, 1), (23, 1), (25, 0), (32, 0), (32, 0), (34, 0), (35, 0)),
placebo(weeks) AS (VALUES
  (1), (1), (2), (2), (3), (4), (4), (5), (5), (8), (8), (8), (8), (11), (11), (12), (12), (15), (17), (22), (23))
SELECT weeks, relapse, 1 AS treated FROM mp UNION ALL
SELECT weeks, 1, 0 FROM placebo;

-- @param
CREATE TABLE hazard AS SELECT 0.0 AS log_ratio;

-- Each relapse competes with everyone whose remission lasted as long: children at risk, counted once a relapse.

CREATE TABLE risk AS
SELECT relapsed.weeks, LN(SUM(EXP(log_ratio * other.treated))) AS total
FROM (SELECT DISTINCT weeks FROM children WHERE relapse = 1) AS relapsed
JOIN children AS other ON other.weeks >= relapsed.weeks, hazard
GROUP BY relapsed.weeks;

CREATE TABLE cox_loss AS
SELECT AVG(total - log_ratio * treated) AS val
FROM children JOIN risk USING (weeks), hazard
WHERE relapse = 1;

-- @loss
CREATE TABLE loss AS
SELECT linear_loss.val + quantile_loss.val + poisson_loss.val + cox_loss.val AS val
FROM linear_loss, quantile_loss, poisson_loss, cox_loss;
