#!/usr/bin/env bash
# From nothing to this model, then the figures of its card: about an hour to train, half an hour to measure and half an hour for the control on two CPU cores.
# Every step resumes where it stands: start it again after an interruption. Results go to data/ and runs/.
# bfloat16 suits CPUs with AVX512-BF16 or AMX; elsewhere leave the two precision settings out.
set -euo pipefail
cd "$(dirname -- "$0")/../.."

name=${1:-clad-libero10-book-again}
resume() { if [ -f "$1/state.safetensors" ]; then echo --resume; fi; }

./clad demos --suite libero_10 --task 5 --per-task 150 --workers 2
./clad encode --workers 2
./clad train planner --out runs/planner $(resume runs/planner) \
    --set train_planner.precision=bfloat16 --set train_planner.steps=1500
./clad train policy --planner runs/planner --out runs/policy $(resume runs/policy) \
    --set train_policy.precision=bfloat16
./clad export --planner runs/planner --policy runs/policy --name "$name"
./clad eval --model "$name" --scenes sampled --episodes 30 --workers 2

./clad eval --model "$name" --episodes 50 --workers 2
./clad eval --model "$name" --episodes 50 --workers 2 --blind

# the control: another model that never had eyes
./clad train planner --blind --out runs/planner-blind $(resume runs/planner-blind) \
    --set train_planner.precision=bfloat16 --set train_planner.steps=1000
./clad train policy --planner runs/planner-blind --out runs/policy-blind $(resume runs/policy-blind) \
    --set train_policy.precision=bfloat16
./clad export --planner runs/planner-blind --policy runs/policy-blind --name "$name-control"
./clad eval --model "$name-control" --episodes 50 --workers 2
