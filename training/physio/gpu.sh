#!/usr/bin/env bash
# The second run on a GPU, in calls of at most eight minutes; call it again until it says "done". From the repository root:
#     bash training/physio/gpu.sh [FOLDER]
# FOLDER (default ~/.cache/napari-biofm/runs/physio-second) holds checkpoints and the cache of recordings between calls; put it
# back before the next call where machines differ. The simulators are numpy: processes of the host (WORKERS, default all
# cores) draw windows ahead. STEPS (default 40000) is the length of the schedule, DATA the shared recordings.
# The mean of the weights is told apart from shipped ones by calibrate.py, judges.py and counts.py; see REPORT.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder="${1:-$HOME/.cache/napari-biofm/runs/physio-second}"
python="${PYTHON:-.venv/bin/python}"
mkdir -p "$folder/cache"
config="$folder/second.toml"
data="${DATA:-../shared/data/ephys}"
sed -e "s|^out = .*|out = \"$folder\"|" -e "s|^cache = .*|cache = \"$folder/cache\"|" -e "s|^data = .*|data = \"$data\"|" \
    -e "s|^steps = .*|steps = ${STEPS:-40000}|" training/physio/second.toml > "$config"
device=cuda
"$python" -c "import torch, sys; sys.exit(not torch.cuda.is_available())" || device=cpu
status=0
"$python" training/physio/train.py --config "$config" --resume --start src/napari_biofm/weights/physio.safetensors \
    --device "$device" --workers "${WORKERS:-$(nproc)}" --call-minutes "${MINUTES:-6}" || status=$?
if [ "$status" = 3 ]; then
    echo "not done: call again"
    exit 3
fi
[ "$status" = 0 ] || exit "$status"
echo "done: $folder/last.pt"
