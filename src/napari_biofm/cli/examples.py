"""Examples of every verb, shown at the end of its help."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from napari_biofm.cli.argparse_compat import HelpFormatter, verbs_below

PROGRAM = "napari-biofm"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    # images and cells
    "segment": (
        "fields/*.tif --out masks",
        "stack.tif --axes ZYX --out masks",
        "movie.tif --projection variation --out masks",
        "cells.tif --channel membrane --second-channel DAPI --diameter 40 --out masks",
        "faint.tif --normalise 1 95 --out masks",
        "fields/*.tif --out masks --resume",
    ),
    "embed": ("field.tif --masks masks/field_mask.tif --out cells.h5ad",),
    "which-model": (
        "field.tif --out compared",
        "field.tif --models biofm-image,classical --region 0,0,512,512 --out compared",
    ),
    "propagate": (
        "stack.tif --masks plane_mask.tif --plane 12 --out stack_mask.tif",
        "movie.tif --masks first_mask.tif --model sam2.1_hiera_tiny --out movie_mask.tif",
    ),
    "click": ("field.tif --prompts prompts.json --out clicked",),
    "cells fit": (
        "--crops crops.tif --labels labels.csv --out head",
        "--images fields --masks masks --labels labels.csv --out head",
    ),
    "cells regress": ("--crops crops.tif --targets dna.csv --target dna_content --out head",),
    "cells predict": (
        "--crops more.tif --head head --out predicted.csv",
        "--images fields --masks masks --head head --min-probability 0.8 --out predicted.csv",
    ),
    "cells measure": (
        "--images fields --masks masks --out cells.csv",
        "--masks nuclei.tif --within cells.tif --pixel-size 0.65 --out nuclei.csv",
    ),
    "cells match": ("day1_mask.tif day2_mask.tif --out matched.csv --masks-out day2_as_day1.tif",),
    "train cellpose": ("corrected --name my-cells", "fields --masks masks --name my-cells --epochs 50"),
    "train sam": ("corrected --name my-clicks", "fields --masks masks --name my-clicks --base vit_b_lm"),
    "train image": ("fields --name my-images --teacher cpsam",),
    "convert": (
        "field_seg.npy --out field_mask.tif",
        "field_mask.tif --image field.tif --out field_rois.zip",
        "field.geojson --image field.tif --out field_mask.tif --classes-out classes.csv",
    ),
    "export": (
        "field_mask.tif --image field.tif --to csv geojson --out exported",
        "masks/*_mask.tif --to imagej coco cellpose --out exported",
        "session.biofm --to nwb parquet --out exported",
        "results --to csv nwb --out exported --json",
    ),
    # movies
    "motion": ("movie.tif --out still.tif", "movie.tif --mode piecewise --most 20 --out still.tif"),
    "active-cells": ("movie.tif --frame-rate 30 --out found",),
    "traces": (
        "movie.tif --masks mask.tif --out traces.npz",
        "movie.tif --masks mask.tif --frame-rate 15.2 --neuropil regression --out traces.csv",
    ),
    "rate": ("traces.npz --out rate.npz",),
    "clock": (
        "recording.abf --movie movie.tif --channel 2 --out clock.json",
        "recording.abf --frames 3000 --frame-rate 30 --out clock.json",
    ),
    "curate": ("traces.npz --masks mask.tif --write-iscell iscell.npy --out judged.csv",),
    "cell-rates": ("traces.npz --cell 3 --indicator GCaMP6s --figure cell3.svg",),
    "responsive-cells": ("traces.npz --times '12, 42, 72' --from-s 0 --to-s 2 --out cells.csv",),
    "correlations": ("traces.npz --smooth-s 0.5 --out pairs.csv --figure matrix.svg",),
    "assemblies": ("traces.npz --method pca --out members.csv --figure assemblies.svg",),
    "raster-order": ("traces.npz --out order.csv --figure raster.svg",),
    "synchrony": ("traces.npz --bin-s 0.2 --shuffles 500 --out synchrony.csv",),
    "beats": ("traces.npz --out beats.csv --figure beats.svg",),
    "propagation": ("traces.npz --masks mask.tif --pixel-um 0.65 --out delays.csv --figure map.svg",),
    # recordings
    "info": ("cell3.abf", "cell3.abf --json", "movie.tif"),
    "read": ("cell3.abf --sweep 2 --from 0.1 --to 0.4 --out part.npz",),
    "events": (
        "minis.abf --out events.csv",
        "minis.abf --detector template --rise 0.0004 --decay 0.004 --out events.csv",
        "*.abf --settings settings.json --out tables",
        "minis.abf --quality --out quality.json",
    ),
    "features": ("cell3.abf --out features.csv", "cell3.abf --events events.csv --out features.csv"),
    "steps": ("cell3.abf --measure mean --out steps.csv",),
    "epochs": ("cell3.abf --out epochs.csv",),
    "membrane": ("cell3.abf --most-access 25 --most-change 20 --out membrane.csv",),
    "average": ("minis.abf --events events.csv --before 0.005 --after 0.05 --align rise --out mean.csv",),
    "idealize": ("channel.abf --out ideal.npz --tables channel_tables",),
    "classify": ("ecg_clips.npz --task af --sampling-rate 300 --out rhythm.csv",),
    "adapt": ("minis.abf --marks marks.csv --out my-minis.safetensors",),
    "forecast": ("traces.npz --at 20 --horizon 100 --out forecast.npz",),
    "what-if": (
        "steps.abf --step 150 --start 0.2 --stop 0.7 --out predicted.csv",
        "steps.abf --ramp 0 300 --start 0.2 --stop 1.2 --out predicted.csv",
    ),
    # sweeps
    "cursors": (
        "steps.abf --baseline-from-s 0 --baseline-to-s 0.1 --peak-from-s 0.2 --peak-to-s 0.4 --polarity down",
    ),
    "evoked": ("ppr.abf --stimuli times --times '0.1, 0.15' --window-ms 30 --out responses.csv",),
    "iv": ("steps.abf --from-s 0.3 --to-s 0.35 --junction-mv 10 --out iv.csv --figure iv.svg",),
    "leak": ("pn.abf --method scaled --out corrected.csv",),
    "excitability": ("steps.abf --out fi.csv --figure fi.svg",),
    "phase-plane": ("steps.abf --before-ms 2 --after-ms 4 --figure phase.svg",),
    "sag": ("steps.abf --least-mv 5 --out sag.csv",),
    "average-sweeps": ("evoked.abf --every 5 --out means.csv",),
    "split": ("long.abf --every-s 60 --out minutes.csv",),
    "concatenate": ("part1.abf part2.abf --out whole.csv",),
    "subtract": ("control.abf drug.abf --out difference.csv",),
    # events in numbers
    "histogram": ("minis.abf --events events.csv --of amplitude --bins 40 --figure sizes.svg",),
    "relation": ("events.csv --x amplitude --y rise_s --out relation.csv",),
    "scaling": ("events.csv --value amplitude --group condition --control control",),
    "mixed-model": ("events.csv --value amplitude --group condition --cell file --animal animal",),
    "noise-analysis": ("minis.abf --events events.csv --driving-mv -70 --figure variance.svg",),
    # many files
    "run": (
        "recipe.toml --dry-run",
        "recipe.toml --out results --jobs 4",
        "recipe.toml --out results --resume",
        "recipe.toml --out results --scheduler tcp://10.0.0.5:8786",
        "--images 'fields/*.tif' --step \"do='segment', diameter=30\" --step \"do='measure'\" --out results",
    ),
    "correct": (
        "results --item field_B03.tif --masks field_B03_corrected.tif",
        "results --item field_B03.tif --undo",
        "results --list",
    ),
    "collect": ("recordings --what features --rows file --out all.csv",),
    "compare": ("all.csv --value amplitude --group condition --cell file --out compared.csv",),
    "fit": (
        "decay.abf --model exp1 --from 0.21 --to 0.4 --out fit.csv",
        "iv.csv --model boltzmann --x voltage_mV --y current_pA --out fit.csv",
    ),
    "fit-columns": ("dose.csv --x dose --y response --model hill --figure hill.svg",),
    # plates and compounds
    "conditions": ("plate.csv fields --pattern '{well}_{field}' --out joined.csv",),
    "profiles": ("cells.csv --map plate.csv --negative DMSO --out wells.csv --hits hits.csv",),
    "hits": ("wells.csv --value area --by compound --out hits.csv",),
    "dose": ("wells.csv --value area --out dose.csv --svg plots",),
    "treatments": (
        "wells.csv --vectors descriptors --value event_rate --out predicted.csv --figure map.svg",
        "wells.csv --vectors words --column construct --fasta constructs.fa --value area --out predicted.csv",
    ),
    "compounds": ("plate.csv --similar CCO --svg similar.svg --out compounds.csv",),
    "vectors": ("cells.csv --vectors dino.npy --ids ids.txt --by cell --out joined.csv",),
    "sequences": ("samples.fasta --k 4 --tree tree.nwk --out vectors.csv",),
    "poses": ("docked --receptor protein.pdb --map plate.csv --joined joined.csv --out poses.csv",),
    "volumes": ("bold.nii.gz --atlas atlas.nii.gz --confounds motion.tsv --low 0.01 --high 0.1 --out regions.npz",),
    "connectivity": ("regions.npz --kind partial --out edges.csv --figure matrix.svg",),
    # sessions and the program
    "session open": ("session.biofm",),
    "session report": ("session.biofm --out report.html", "session.biofm --json"),
    "session validate": ("session.biofm",),
    "models list": ("--json",),
    "models download": ("cpsam",),
    "models verify": ("cpsam",),
    "models path": ("cpsam",),
    "models import": ("my_cells.safetensors --name my-cells",),
    "doctor": ("", "--json"),
    "cache list": ("",),
    "cache path": ("",),
    "cache clear": ("",),
    "samples": ("--out samples",),
    "demo": ("", "--headless --out demo"),
    "completion": (
        "bash > ~/.local/share/bash-completion/completions/napari-biofm",
        "zsh >> ~/.zshrc",
        "fish > ~/.config/fish/completions/napari-biofm.fish",
    ),
}  # fmt: skip


def give_examples(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> None:
    """Put the examples of every verb at the end of its help, before what it says there itself.

    Parameters
    ----------
    parser : of the program, or of a verb.
    words : the verb that the parser is of.
    """
    below = verbs_below(parser)
    for name, (verb, _) in below.items():
        give_examples(verb, (*words, name))
    if not words:
        return
    calls = calls_of(words) or [call for name in below for call in calls_of((*words, name))[:1]]
    text = "\n".join(("examples:", *(f"  {PROGRAM} {call}".rstrip() for call in calls))) if calls else ""
    parser.epilog = "\n\n".join(part for part in (text, parser.epilog) if part) or None
    parser.formatter_class = HelpFormatter


def calls_of(words: tuple[str, ...]) -> list[str]:
    """Return the examples of a verb, each with the verb in front.

    Parameters
    ----------
    words : of the verb.
    """
    return [" ".join((*words, line)) for line in EXAMPLES.get(" ".join(words), ())]
