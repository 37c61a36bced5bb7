#!/usr/bin/env bash
# The fifth run on a GPU, in calls of at most eight minutes; call it again until it says "done". From the repository root:
#     bash training/image/gpu.sh [FOLDER]
# FOLDER (default ~/.cache/napari-biofm/runs/image-fifth) holds the checkpoints between calls; put it back before the next
# call where machines differ. The weights are written into it; ship them only where training/image/evaluate.py says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder="${1:-$HOME/.cache/napari-biofm/runs/image-fifth}"
python="${PYTHON:-.venv/bin/python}"
mkdir -p "$folder"
config="$folder/fifth.toml"
sed -e "s|^out = .*|out = \"$folder\"|" -e "s|^threads = .*|threads = 8|" training/image/fifth.toml > "$config"
device=cuda
"$python" -c "import torch, sys; sys.exit(not torch.cuda.is_available())" || device=cpu
status=0
"$python" training/image/train.py --config "$config" --resume --device "$device" --minutes 6 || status=$?
if [ "$status" = 3 ]; then
    echo "not done: call again"
    exit 3
fi
[ "$status" = 0 ] || exit "$status"
"$python" training/image/export.py --config "$config" --out "$folder/image.safetensors"
echo "done: $folder/image.safetensors"
