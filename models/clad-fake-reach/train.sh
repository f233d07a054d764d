#!/usr/bin/env bash
# From nothing to this model, then its figures: a quarter of an hour on two idle CPU cores. Results go to data/ and runs/.
# bfloat16 suits CPUs with AVX512-BF16 or AMX; elsewhere leave the two precision settings out.
set -euo pipefail
here=$(cd "$(dirname -- "$0")" && pwd)
cd "$here/../.."

name=${1:-clad-fake-reach-again}
resume() { if [ -f "$1/state.safetensors" ]; then echo --resume; fi; }
shrunk=(--set data.proprio=arm6_ee7 --set planner.width=128 --set planner.hidden=256
    --set policy.width=256 --set policy.blocks=3 --set policy.observation=128)

[ -d data/demos-fake/fake ] || ./clad demos --robot fake --per-task 160
./clad encode --robot fake --demos data/demos-fake --out data/features-fake --workers 2
./clad train planner --features data/features-fake --out runs/fake-planner $(resume runs/fake-planner) "${shrunk[@]}" \
    --set train_planner.precision=bfloat16 --steps 800
./clad train policy --planner runs/fake-planner --out runs/fake-policy $(resume runs/fake-policy) "${shrunk[@]}" \
    --set train_policy.precision=bfloat16 --set train_policy.batch=128 --set train_policy.weights_ema=0.995 --steps 2000
./clad export --planner runs/fake-planner --policy runs/fake-policy --name "$name"
./clad robot --model "$name" --episodes 20 --seed 200
set +u  # colcon's scripts look at variables that are not set
. .venv/bin/activate
. install/local_setup.bash
for control in "" --blind; do python -m clad_fake_robot.measure --model "$name" --max-steps 300 $control; done
