#!/bin/sh
# Trains and measures the built-in model, from nothing: ./train.sh [PYTHON]
# About 40 minutes on two free cores (from the processor time that the committed run took). Needs the packages of
# requirements.txt; works in .cache/, then replaces ../model, ../per-layer and ../cross-layer.
set -eu
cd "$(dirname "$0")"
python="${1:-python3}"
work=.cache
export OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1

mkdir -p "$work"
"$python" train_model.py --out "$work/model" --data "$work/data"

"$python" train_transcoders.py "$work/model" "$work/per-layer" --kind per-layer --data "$work/data" >train_per-layer.jsonl &
"$python" train_transcoders.py "$work/model" "$work/cross-layer" --kind cross-layer --data "$work/data" >train_cross-layer.jsonl
wait

"$python" describe_features.py "$work/model" "$work/per-layer" &
"$python" describe_features.py "$work/model" "$work/cross-layer"
wait

for part in model per-layer cross-layer; do
  rm -rf "../$part"
  cp -R "$work/$part" "../$part"
done
cp "$work/train_model.json" .
"$python" report.py
