"""Clocks of movies from trigger channels on which something is wrong: right, refused, or wrong in silence.

    python benchmarks/clocks.py [--json] [--quick] [--seed N]

Each case is a simulated rig with one, two or three peculiarities (preview, dropped frames, gated sweeps ...)
whose frame times are known. A clock is right if its worst frame is off by at most half a frame; a refusal
counts as such, with whether the right explanation was offered first or at all, whether the clock is right once
the numbers of frames that the file lacks are given, and whether it says that pulses of stimuli may be no frames.
A wrong clock that says what it assumed (as many pulses as frames by chance) is counted apart, as is how often a
right one says so. An hour at 20 kHz is timed.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import combinations

import numpy as np

from napari_biofm.signals import Recording
from napari_biofm.simulate.triggers import NAMES, REPLACING, TriggerCase, simulate_triggers
from napari_biofm.timeline.align import clock_from_triggers
from napari_biofm.timeline.explain import leave_out
from napari_biofm.timeline.explanations import ClockUnclearError
from napari_biofm.timeline.triggers import Pulses, find_triggers, triggers_of
from napari_biofm.types import TimelineError

RIGHT, SAID = "right", "right, says what it assumes"
FIRST, OFFERED = "asks, right one first", "asks, right one offered"
NUMBERS, STIMULI, ASKS = "asks, right with numbers", "asks: perhaps stimuli", "asks"
WRONG, WARNED = "wrong", "wrong, says what it assumes"
COLUMNS = (RIGHT, SAID, FIRST, OFFERED, NUMBERS, STIMULI, ASKS, WRONG, WARNED)


def main() -> None:
    """Run the cases and print what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    repeats, mixtures = (2, 100) if args.quick else (20, 3000)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[tuple[tuple[str, ...], int, float, str]] = []
    for what, seed in cases(repeats, mixtures, args.seed):
        case = simulate_triggers(what, seed, rate_known=seed % 3 != 0)
        outcome, error, name = judge(case, seed)
        row = counts[" + ".join(what) if len(what) < 2 else f"mixtures of {len(what)}"]
        row[outcome] += 1
        if outcome in (WRONG, WARNED):
            wrong.append((what, seed, error, name))
    total = sum(counts.values(), Counter())
    columns = COLUMNS
    print(f"{'case':24s}" + "".join(f"{column:>29s}" for column in columns))
    for name, row in counts.items():
        print(f"{name or 'nothing special':24s}" + "".join(f"{row[column]:29d}" for column in columns))
    for what, seed, error, name in wrong[:20]:
        print(f"wrong: {' + '.join(what)}, seed {seed}: {error:.2f} frames, explained as {name}")
    seconds, megabytes = hour()
    print(f"an hour at 20 kHz: {seconds:.2f} s, {megabytes:.0f} MB")
    if args.json:
        refused = sum(total[column] for column in columns[2:7])
        print(
            json.dumps(
                {
                    "silent_wrong": total[WRONG],
                    "wrong_says_what_it_assumes": total[WARNED],
                    "right_says_what_it_assumes": total[SAID],
                    "right": total[RIGHT] + total[SAID],
                    "cases": sum(total.values()),
                    "refused": refused,
                    "refused_right_first": total[FIRST],
                    "refused_right_offered": total[FIRST] + total[OFFERED],
                    "refused_right_with_frame_numbers": total[NUMBERS],
                    "refused_perhaps_stimuli": total[STIMULI],
                    "hour_s": round(seconds, 2),
                    "hour_mb": round(megabytes),
                }
            )
        )


def cases(repeats: int, mixtures: int, seed: int) -> list[tuple[tuple[str, ...], int]]:
    """Return what is special in each case, and its seed."""
    rng = np.random.default_rng(seed)
    single = [(), *((name,) for name in NAMES)]
    found = [(what, int(rng.integers(2**31))) for what in single for _ in range(repeats)]
    pairs = [
        what
        for n in (2, 3)
        for what in combinations(NAMES, n)
        if sum(name in REPLACING for name in what) <= 1
    ]
    for i in rng.integers(len(pairs), size=mixtures):
        found.append((pairs[i], int(rng.integers(2**31))))
    return found


def judge(case: TriggerCase, seed: int) -> tuple[str, float, str]:
    """Return the outcome, the worst error in frames, and the name of the explanation."""
    sweeps, starts = case.channel(np.random.default_rng(seed))
    n = len(case.frames)

    def error(times: np.ndarray) -> float:
        return float(np.abs(times - case.frames).max() / case.period)

    try:
        pulses = find_triggers(sweeps, 5000.0, starts)
        found = clock_from_triggers(pulses, n, case.rate)
    except ClockUnclearError as unclear:
        errors = [error(one.times) for one in unclear.explanations]
        if errors and errors[0] <= 0.5:
            return FIRST, errors[0], ""
        if min(errors, default=9) <= 0.5:
            return OFFERED, 0.0, ""
        if "stimulus" in case.what and unclear.no_frames:
            return STIMULI, 0.0, ""
        return (NUMBERS if with_numbers(case, pulses, error) else ASKS), 0.0, ""
    except TimelineError:
        return ASKS, 0.0, ""
    worst = error(found.clock.times)
    if worst <= 0.5:
        return (SAID if found.assumed else RIGHT), worst, found.explanation
    return (WARNED if found.assumed else WRONG), worst, found.explanation


def with_numbers(case: TriggerCase, pulses: Pulses, error: Callable[[np.ndarray], float]) -> bool:
    """Return whether the clock is right, or the right one offered first, when the frames the file lacks are given."""
    if not case.skipped:
        return False
    n = len(case.frames)
    try:
        return error(clock_from_triggers(pulses, n, case.rate, skipped=case.skipped).clock.times) <= 0.5
    except ClockUnclearError as unclear:
        if not unclear.explanations:
            return False
        return error(leave_out(unclear.explanations[0], case.skipped, n).times) <= 0.5
    except TimelineError:
        return False


def hour() -> tuple[float, float]:
    """Return seconds and peak megabytes for an hour at 20 kHz with pulses at 30 Hz."""
    rate, n = 20_000.0, 20_000 * 3600
    trace = np.zeros(n, np.int16)
    begin = (np.arange(0.5, 3599.0, 1 / 30) * rate).astype(int)
    for offset in range(40):
        trace[begin + offset] = 16_000
    recording = Recording.from_arrays(trace, rate, "V")
    tracemalloc.start()
    triggers_of(recording, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    started = time.perf_counter()
    pulses = triggers_of(recording, 0)
    clock_from_triggers(pulses, len(begin), 30.0)
    return time.perf_counter() - started, peak / 1e6


if __name__ == "__main__":
    main()
