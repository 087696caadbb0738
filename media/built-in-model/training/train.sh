#!/bin/sh
# Trains and measures the built-in model, from nothing: ./train.sh [PYTHON]
# About 55 minutes on two cores (the sum of the committed run's parts: 31, 3, 10, 5 and 2 minutes). Needs the packages of
# requirements.txt; works in .cache/, then replaces ../model, ../per-layer and ../cross-layer.
set -eu
cd "$(dirname "$0")"
python="${1:-python3}"
work=.cache
export OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1

mkdir -p "$work"
"$python" train_model.py --out "$work/first" --data "$work/data"
cp "$work/train_model.json" train_model-first.json
# a short second run on fresh text, with a lower learning rate that falls from the start
"$python" train_model.py --start-from "$work/first" --out "$work/model" --data "$work/data-second" --documents 120000 \
  --steps 1500 --decay-steps 1500 --learning-rate 1e-3 --readout-weight 0

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
cp "$work/train_model.json" train_model-second.json
"$python" report.py
