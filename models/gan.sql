-- SPDX-License-Identifier: Apache-2.0
--
-- gan.sql - Algorithm 5: a generator that learns to draw from N(4, 1.25) by deceiving a discriminator.
--
--   noise z -> hidden layer -> made     \
--                                         score: real or made?
--   noise N(4, 1.25)        -> real     /
--
-- Both play at once: in each step the discriminator's tables go down d_loss and the generator's down g_loss, all
-- from the values of the step before.  A little weight decay of the discriminator keeps them from running round
-- the equilibrium.  Everything is drawn, so there is no data, and no database to begin with:
--
--   sqlgrad train models/gan.sql --state gan.db --steps 4000
--   sqlgrad run models/gan.sql --state gan.db --set n=10000 --show moments
--
-- 10,000 samples have mean 3.99 and deviation 1.21 (seeds 1 to 4: 4.01 and 1.23, 3.98 and
-- 1.23, 4.02 and 1.22, 4.11 and 1.29), after six seconds on two cores.

-- @set n = 256
-- @set hidden = 16
-- @minimize d_loss over d_in, d_in_bias, d_mid, d_mid_bias, d_out using adam(lr = 2e-3 * (1 - step/steps), beta1 = 0.5, weight_decay = 1e-3)
-- @minimize g_loss over g_in, g_in_bias, g_out, g_out_bias using adam(lr = 1e-3 * (1 - step/steps), beta1 = 0.5)

-- @range
CREATE TABLE draw (n INTEGER CHECK (n BETWEEN 1 AND :n));

-- @noise(normal(4, 1.25))
CREATE TABLE real AS SELECT n, 0.0 AS x FROM draw;

-- @noise(normal(0, 1))
CREATE TABLE z AS SELECT n, 0.0 AS x FROM draw;

-- The generator: one hidden layer.

-- @param(init = normal(0, 1))
CREATE TABLE g_in (j INTEGER CHECK (j BETWEEN 1 AND :hidden), w REAL);

-- @param(init = normal(0, 1))
CREATE TABLE g_in_bias (j INTEGER CHECK (j BETWEEN 1 AND :hidden), b REAL);

-- @param(init = normal(0, 0.3))
CREATE TABLE g_out (j INTEGER CHECK (j BETWEEN 1 AND :hidden), w REAL);

-- @param(init = zeros)
CREATE TABLE g_out_bias (b REAL);

CREATE TABLE g_hidden AS
SELECT n, j, TANH(x * w + b) AS h
FROM z, g_in JOIN g_in_bias USING (j);

CREATE TABLE g_sum AS
SELECT n, SUM(h * w) AS x
FROM g_hidden JOIN g_out USING (j)
GROUP BY n;

CREATE TABLE made AS
SELECT n, x + b AS x
FROM g_sum, g_out_bias;

-- The discriminator: two hidden layers over what is real (1) and what is made (0), leaky so that no unit sleeps.

-- @param(init = normal(0, 1))
CREATE TABLE d_in (j INTEGER CHECK (j BETWEEN 1 AND :hidden), w REAL);

-- @param(init = normal(0, 1))
CREATE TABLE d_in_bias (j INTEGER CHECK (j BETWEEN 1 AND :hidden), b REAL);

-- @param(init = xavier_uniform)
CREATE TABLE d_mid (j INTEGER CHECK (j BETWEEN 1 AND :hidden), k INTEGER CHECK (k BETWEEN 1 AND :hidden), w REAL);

-- @param(init = zeros)
CREATE TABLE d_mid_bias (k INTEGER CHECK (k BETWEEN 1 AND :hidden), b REAL);

-- @param(init = normal(0, 0.3))
CREATE TABLE d_out (k INTEGER CHECK (k BETWEEN 1 AND :hidden), w REAL);

CREATE TABLE shown AS
SELECT 1 AS genuine, n, x FROM real
UNION ALL
SELECT 0 AS genuine, n, x FROM made;

CREATE TABLE d_first AS
SELECT genuine, n, j, MAX(0.2 * (x * w + b), x * w + b) AS h
FROM shown, d_in JOIN d_in_bias USING (j);

CREATE TABLE d_sum AS
SELECT genuine, n, k, SUM(h * w) AS h
FROM d_first JOIN d_mid USING (j)
GROUP BY genuine, n, k;

CREATE TABLE d_second AS
SELECT genuine, n, k, MAX(0.2 * (h + b), h + b) AS h
FROM d_sum JOIN d_mid_bias USING (k);

CREATE TABLE score AS
SELECT genuine, n, SUM(h * w) AS s
FROM d_second JOIN d_out USING (k)
GROUP BY genuine, n;

-- Cross-entropies: log(1 + exp(-s)) where the answer is "real", log(1 + exp(s)) where it is "made".

CREATE TABLE d_loss AS
SELECT AVG(CASE WHEN genuine = 1 THEN LN(1 + EXP(-s)) ELSE LN(1 + EXP(s)) END) AS val
FROM score;

CREATE TABLE g_loss AS
SELECT AVG(LN(1 + EXP(-s))) AS val
FROM score
WHERE genuine = 0;

-- @metric
CREATE TABLE moments AS
SELECT AVG(x) AS mean, STDDEV(x) AS deviation
FROM made;
