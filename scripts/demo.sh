#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# make demo: a convolutional network in plain SQL, from Debian's Fashion-MNIST to a confusion table.
#   TRAIN_IMAGES=20000 EPOCHS=6 THREADS=2 DB=demo.db scripts/demo.sh
# Ends with status 0 only if the accuracy on the test images is at least 80 % and is the one that plain
# SQL finds in the database.
set -eu
cd "$(dirname "$0")/.."

model=models/fashion.sql
data=${DATA:-/usr/share/datasets/fashion-mnist}
images=${TRAIN_IMAGES:-60000}
epochs=${EPOCHS:-3}
db=${DB:-build/demo.db}

[ -f "$data/train-images-idx3-ubyte.gz" ] || {
    echo "demo: no Fashion-MNIST in $data (Debian: apt-get install dataset-fashion-mnist)" >&2
    exit 3
}
mkdir -p "$(dirname "$db")"
rm -f "$db" "$db-journal" "$db-wal" "$db-shm"

step() { printf '\n== %s\n' "$1"; shift; printf '$'; printf " %s" "$@"; echo; "$@"; }

step "Import $images training images and all test images" \
    ./sqlgrad import idx "$data/train-images-idx3-ubyte.gz" "$data/train-labels-idx1-ubyte.gz" \
    --db "$db" --table samples --labels labels --as 'val/255.0' --limit "$images"
step "" ./sqlgrad import idx "$data/t10k-images-idx3-ubyte.gz" "$data/t10k-labels-idx1-ubyte.gz" \
    --db "$db" --table test_samples --labels test_labels --as 'val/255.0'

step "Train $model: $epochs epochs, natively" \
    ./sqlgrad train "$model" --db "$db" --epochs "$epochs" --batch 100 --optimizer adam --lr 2e-3 --seed 0 \
    ${THREADS:+--threads "$THREADS"}

step "Evaluate on the test images, which no training step read" \
    ./sqlgrad eval "$model" --db "$db" --bind samples=test_samples,labels=test_labels --quiet
printed=$(./sqlgrad eval "$model" --db "$db" --bind samples=test_samples,labels=test_labels --json --quiet |
    sed -n 's/^{"table":"accuracy",.*"val": *\([-+.0-9eE]*\).*/\1/p')

step "Write the predictions into the database" \
    ./sqlgrad run "$model" --db "$db" --bind samples=test_samples --show prediction --out "$db" --quiet

printf '\n== Confusion table, by plain SQL (rows: true class, columns: predicted)\n'
{
    echo '.mode column'
    echo 'SELECT test_labels.label AS class,'
    for k in 0 1 2 3 4 5 6 7 8 9; do echo "  SUM(prediction.label = $k) AS \"$k\","; done
    echo '  COUNT(*) AS images'
    echo 'FROM test_labels JOIN prediction USING (image) GROUP BY 1;'
} > build/confusion.sql
printf '$ sqlite3 %s < build/confusion.sql\n' "$db"
sqlite3 "$db" < build/confusion.sql

counted=$(sqlite3 "$db" 'SELECT SUM(prediction.label = test_labels.label) || " " || COUNT(*)
                         FROM test_labels JOIN prediction USING (image)')
echo "$counted $printed" | awk '
    $3 == "" { print "demo: sqlgrad eval printed no accuracy"; exit 1 }
    {
        sql = $1 / $2
        printf "\n%d of %d test images are right: %.2f %%; sqlgrad printed %.2f %%\n", $1, $2, 100 * sql, 100 * $3
        if ($2 != 10000) { print "demo: not all 10,000 test images were predicted"; exit 1 }
        if (sql - $3 > 1e-6 || $3 - sql > 1e-6) { print "demo: the two disagree"; exit 1 }
        if (sql < 0.80) { print "demo: below 80 %"; exit 1 }
    }'
echo "The database is $db: the images, the trained parameters, the history and the predictions are tables in it."
