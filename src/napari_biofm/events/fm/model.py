"""PhysioFM: one model, all kinds of physiological signals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...types import DetectionSettings, Events, Kind, Progress, RecordingError, Signal, Task, no_events
from . import decode, weights
from .rungs import BATCH, LONG_TILE, TILE, Rung, Trace, Window, choose_rung, windows
from .table import as_events
from .words import CLASSES, KINDS, PATCH, known_unit, prepare

NOTHING = -20.0  # logit of a window without any movement
SHORTEST = 16  # samples of a rung; below that there is nothing to see


@dataclass
class Piece:
    """What the network says of the used part of one window.

    sample : (n, 5) outputs, features : (m, width) and token : (m, ...) of the whole window, x : (T,) its
    trace.
    """

    window: Window
    x: NDArray[np.float32]
    gap: NDArray[np.bool_]
    scale: float
    sample: NDArray[np.float32]
    token: NDArray[np.float32]
    features: NDArray[np.float32]
    summary: NDArray[np.float32]


class PhysioFM:
    """The stock detector.

    Parameters
    ----------
    weights : safetensors with a JSON beside it; None takes the shipped ones.
    device : torch device.
    threads : CPU threads for the network; None leaves torch's own choice.

    Examples
    --------
    >>> from napari_biofm.types import DetectionSettings, Signal, run_task  # doctest: +SKIP
    >>> events = run_task(PhysioFM().detect(Signal(x, 20000.0, "mV"), DetectionSettings()))  # doctest: +SKIP
    """

    name = "physio-fm"
    kinds: Sequence[Kind] = ("auto", "psc", "ap", "calcium", "channel", "spike", "ecg")

    def __init__(self, weights: Path | None = None, device: str = "cpu", threads: int | None = None) -> None:
        self.path = weights
        self.device, self.threads = device, threads
        self._net: Any = None
        self._card: dict[str, Any] | None = None
        self.adapted: Any = None  # an adapt.AdaptedHead, where the user has taught one

    # ------------------------------------------------------------------ network
    @property
    def card(self) -> dict[str, Any]:
        """What the JSON beside the weights says."""
        if self._card is None:
            self._card = weights.read_card(self.path or weights.STOCK)
        return self._card

    def network(self) -> Any:
        """Return the network, loaded once."""
        if self._net is None:
            import torch

            if self.threads:
                torch.set_num_threads(self.threads)
            self._net, self._card = weights.load(self.path or weights.STOCK, self.device)
        return self._net

    def run(
        self, x: NDArray[np.float32], rate: float, unit: str, kind: str | None
    ) -> dict[str, NDArray[Any]]:
        """Run the network on windows (B, T) at a rung; outputs as arrays plus `scale` (B,)."""
        import torch

        net = self.network()
        inputs, tokens, _, scale = prepare(x, rate, unit, None if kind is None else KINDS.index(kind))
        with torch.inference_mode():
            out = net(torch.from_numpy(inputs).to(self.device), torch.from_numpy(tokens).to(self.device))
        return {k: v.cpu().numpy() for k, v in out.items()} | {"scale": scale}

    def pieces(self, trace: Trace, unit: str, kind: str | None) -> Iterator[list[Piece]]:
        """Yield what the network says, a fixed number of windows at a time, in order."""
        group: list[tuple[Window, NDArray[np.float32], NDArray[np.bool_]]] = []
        todo = list(windows(trace.length, LONG_TILE.get(kind or "", TILE)))
        for i, window in enumerate(todo):
            group.append((window, *trace.read(window.start, window.stop)))
            if len(group) < BATCH and i + 1 < len(todo):
                continue
            out = self.run(np.stack([g[1] for g in group]), trace.rung.sampling_rate, unit, kind)
            flat = np.array([np.ptp(g[1]) == 0 for g in group])
            out["sample"][flat, :, :2] = NOTHING
            yield [
                Piece(
                    w,
                    x,
                    gap,
                    float(out["scale"][j]),
                    *(out[k][j] for k in ("sample", "token", "features", "window")),
                )
                for j, (w, x, gap) in enumerate(group)
            ]
            group = []

    # ------------------------------------------------------------------ what is it
    def recognise(self, signal: Signal) -> tuple[str, dict[str, float]]:
        """Return the kind of a signal and the probability of each, from up to 16 windows over its length.

        The unit narrows the choice: pA is a current, dF/F is calcium; mV may be a membrane potential, an
        extracellular recording or an electrocardiogram.
        """
        unit, factor = known_unit(signal.unit)
        rate = signal.sampling_rate
        if unit == "dF/F":
            return "calcium", {"calcium": 1.0}
        likely = {"pA": ("psc", "channel"), "mV": ("ap", "spike", "ecg"), "uV": ("spike", "ecg")}
        options = likely.get(unit, KINDS)
        options = tuple(
            k for k in options
            if (k != "ecg" or rate <= 5000) and (k != "calcium" or rate <= 200) and (k != "spike" or rate >=
            8000) and (k not in ("psc", "ap", "channel") or rate >= 900)
        ) or options  # fmt: skip
        if len(options) == 1:
            return options[0], {options[0]: 1.0}
        votes: dict[str, float] = {}
        for option in options:
            trace = Trace(signal.values, choose_rung(rate, option), factor)
            todo = list(windows(trace.length))
            todo = [todo[round(k)] for k in np.linspace(0, len(todo) - 1, min(8, len(todo)))]
            x = np.stack([trace.read(w.start, w.stop)[0] for w in todo])
            logits = self.run(x, trace.rung.sampling_rate, unit, None)["window"][:, : len(KINDS)]
            log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            votes[option] = float(np.mean(log_p[:, KINDS.index(option)]))
        top = np.array(list(votes.values()))
        p = np.exp(top - np.logaddexp.reduce(top))
        table = dict(zip(votes, p.round(4).tolist(), strict=True))
        return max(table, key=lambda k: table[k]), table

    # ------------------------------------------------------------------ events
    def detect(self, signal: Signal, settings: DetectionSettings) -> Task[Events]:
        """Find events.

        Parameters
        ----------
        signal : one channel of one sweep, of any length; NaN marks gaps. `values` may be a memory map.
        settings : kind ("auto" lets the model say), preset, all_scores.

        Yields
        ------
        Progress : `payload` is the table of the events found since the step before.

        Returns
        -------
        Events in order of time. With all_scores every candidate and every artefact.

        Raises
        ------
        RecordingError : the sampling rate is not a positive number.
        """
        check(signal)
        if len(signal.values) < 3:
            return no_events()
        if self.adapted is not None:
            return (yield from self.adapted.detect(self, signal, settings))
        kind = settings.kind if settings.kind != "auto" else self.recognise(signal)[0]
        if kind == "channel":
            from ..channels import opening_events

            return opening_events(signal)
        parts: list[Events] = [no_events()]
        for done, total, found in self.candidates(signal, kind):
            part = as_events(signal, kind, found, self.card, settings)
            parts.append(part)
            yield Progress(done, total, f"{kind}: {sum(map(len, parts))} events", part)
        return cast("Events", np.concatenate(parts))

    def candidates(self, signal: Signal, kind: str) -> Iterator[tuple[int, int, decode.Candidates]]:
        """Yield (samples done, samples in all, candidates) of a signal as a kind, in order of time."""
        unit, factor = known_unit(signal.unit)
        rungs: list[Rung] = [
            choose_rung(signal.sampling_rate, kind, step) for step in self.card["rungs"].get(kind, [0])
        ]
        trace = Trace(signal.values, rungs[0], factor)
        if trace.length < SHORTEST:
            return
        others = [Trace(signal.values, rung, factor) for rung in rungs[1:]]
        yield from decode_trace(self, trace, others, unit, kind)

    # ------------------------------------------------------------------ other answers
    def rate(
        self, dff: NDArray[Any], sampling_rate: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the spike rate of cells from their fluorescence.

        Parameters
        ----------
        dff : (n_cells, n_frames) or (n_frames,) dF/F as a fraction (0.1 is 10 %); NaN marks gaps.
        sampling_rate : frames per second.

        Returns
        -------
        rate, low, high : (n_cells, n_frames) float32, spikes/s, and the 5 and 95 % quantiles of the true
        rate smoothed
            with a Gaussian of 50 ms.
        """
        from .calcium import spike_rate

        return spike_rate(self, dff, sampling_rate)

    def forecast(
        self, signal: Signal, at_s: float, horizon: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Return quantiles of the `horizon` samples that follow `at_s`, from what lies before it only.

        Returns
        -------
        quantiles : (q, horizon) in the signal's unit. q : (q,). time_s : (horizon,) from the start of the
        sweep.

        Raises
        ------
        RecordingError : nothing lies before `at_s`, or the horizon is not positive.
        """
        from .forecast import HISTORY, QUANTILES, forecast_quantiles

        check(signal)
        at = round(at_s * signal.sampling_rate)
        if at < 1 or at > len(signal.values) or horizon < 1:
            span = len(signal.values) / signal.sampling_rate
            raise RecordingError(
                f"a forecast of {horizon} samples at {at_s} s: the sweep lasts {span:.3f} s; "
                "choose a time inside it."
            )
        trace = Trace(signal.values, Rung(signal.sampling_rate))
        past = trace.read(max(0, at - HISTORY), at)[0]
        return (
            forecast_quantiles(past, horizon),
            QUANTILES.copy(),
            (at + np.arange(horizon)) / signal.sampling_rate,
        )

    def surprise(self, signal: Signal, kind: str | None = None) -> tuple[NDArray[np.float32], float]:
        """Return how unexpected each moment is from its surroundings.

        Every patch of eight samples is hidden in turn and filled in by the network; the surprise is the
        distance between what was there and what was filled in, in robust standard deviations of the window.

        Returns
        -------
        surprise : (m,) float32 at the rung's rate, rate : that rate in Hz.
        """
        import torch

        check(signal)
        unit, factor = known_unit(signal.unit)
        kind = kind or self.recognise(signal)[0]
        trace = Trace(signal.values, choose_rung(signal.sampling_rate, kind), factor)
        out = np.zeros(trace.length, np.float32)
        net = self.network()
        for w in windows(trace.length):
            x = trace.read(w.start, w.stop)[0][None]
            inputs, tokens, _, _ = prepare(x, trace.rung.sampling_rate, unit, KINDS.index(kind))
            count = x.shape[1] // PATCH
            filled = np.zeros(x.shape[1], np.float32)
            for phase in range(4):
                hidden = (np.arange(count) % 4 == phase)[None]
                with torch.inference_mode():
                    said = net(torch.from_numpy(inputs), torch.from_numpy(tokens), torch.from_numpy(hidden))
                where = np.repeat(hidden[0], PATCH)
                filled[where] = said["sample"][0, :, 4].numpy()[where]
            apart = np.abs(inputs[0, 0] - filled)
            out[w.first : w.last] = apart[w.first - w.start : w.last - w.start]
        return out, trace.rung.sampling_rate

    def embed(
        self, signal: Signal, times: NDArray[np.float64] | None = None, kind: str | None = None
    ) -> NDArray[Any]:
        """Return vectors of moments, or of the whole trace.

        Parameters
        ----------
        times : (n,) s from the start of the sweep; None for one vector of the trace.

        Returns
        -------
        (n, width) float32 features at the moments, or (1, 2 * width): their mean and standard deviation over
        the trace.
        """
        check(signal)
        unit, factor = known_unit(signal.unit)
        kind = kind or self.recognise(signal)[0]
        trace = Trace(signal.values, choose_rung(signal.sampling_rate, kind), factor)
        place = None if times is None else np.round(np.asarray(times) * trace.rung.sampling_rate).astype(int)
        vectors: NDArray[np.float32] | None = None
        total, squares, count = 0.0, 0.0, 0
        for group in self.pieces(trace, unit, kind):
            for piece in group:
                w = piece.window
                if vectors is None and place is not None:
                    vectors = np.zeros((len(place), piece.features.shape[1]), np.float32)
                if place is not None and vectors is not None:
                    inside = np.flatnonzero((place >= w.first) & (place < w.last))
                    vectors[inside] = piece.features[(place[inside] - w.start) // PATCH]
                else:
                    used = piece.features[(w.first - w.start) // PATCH : -(-(w.last - w.start) // PATCH)]
                    total, squares, count = total + used.sum(0), squares + (used**2).sum(0), count + len(used)
        if vectors is not None:
            return vectors
        mean = np.asarray(total) / max(count, 1)
        spread = np.sqrt(np.maximum(np.asarray(squares) / max(count, 1) - mean**2, 0))
        return np.concatenate([mean, spread])[None].astype(np.float32)

    def classify(
        self, clips: Mapping[str, NDArray[Any]], sampling_rate: float = 300.0, task: str = "af"
    ) -> Any:
        """Return the rhythm of electrocardiogram clips; see `rhythm.classify`."""
        from .rhythm import classify

        if task != "af":
            raise RecordingError(f"task {task!r}: the stock model knows 'af' (N, A, O, ~).")
        return classify(self, clips, sampling_rate)

    def describe(self, signal: Signal) -> dict[str, Any]:
        """Return kind, faults and a proposal where the unit looks wrong; JSON-able."""
        from .describe import describe

        return describe(self, signal)


def check(signal: Signal) -> None:
    """Raise RecordingError where a signal cannot be worked on."""
    rate = signal.sampling_rate
    if not np.isfinite(rate) or rate <= 0:
        raise RecordingError(
            f"sampling rate {rate} Hz of sweep {signal.sweep}: give the rate in Hz, above 0."
        )
    shape = getattr(signal.values, "shape", (len(signal.values),))
    if len(shape) != 1:
        raise RecordingError(f"a signal of shape {shape}: give one channel of one sweep, (n_samples,).")


def decode_trace(
    model: PhysioFM, trace: Trace, others: list[Trace], unit: str, kind: str
) -> Iterator[tuple[int, int, decode.Candidates]]:
    """Decode the heat of one rung, mixed with that of coarser rungs, group by group with exact seams.

    A peak needs its neighbourhood: what lies within `reach` of the end of a group waits for the next one.
    """
    reach, rate = decode.REACH[kind], trace.rung.sampling_rate
    coarse = [_Follower(model, other, unit, kind, other.rung.sampling_rate / rate) for other in others]
    tail: dict[str, NDArray[Any]] | None = None
    tokens: NDArray[np.float32] | None = None  # token outputs of this group and the one before
    offset = decided = 0  # rung samples: where `now` begins, and from where peaks are still to be reported
    for group in model.pieces(trace, unit, kind):
        now = _join(group, 0 if tokens is None else len(tokens))
        for follower in coarse:
            now["logit"] = now["logit"] + follower.logits(group[0].window.first, group[-1].window.last)
        now["logit"] = now["logit"] / np.float32(1 + len(coarse))
        fresh = np.concatenate([np.concatenate([p.token, p.features], 1) for p in group])
        both = fresh if tokens is None else np.concatenate([tokens, fresh])
        if tail is not None:
            now = {k: np.concatenate([tail[k], v]) for k, v in now.items()}
        last = group[-1].window.last
        upto = trace.length if last >= trace.length else last - reach - 1
        yield last, trace.length, _candidates(now, both, offset, decided, upto, rate, kind)
        keep = max(0, upto - offset - 600)
        tail = {k: v[keep:] for k, v in now.items()}
        tail["row"] = tail["row"] - (len(both) - len(fresh))
        tokens = fresh
        offset += keep
        decided = upto


class _Follower:
    """Heat of a coarser rung, read at the samples of the finer one."""

    def __init__(self, model: PhysioFM, trace: Trace, unit: str, kind: str, ratio: float) -> None:
        self.groups = model.pieces(trace, unit, kind)
        self.ratio, self.length = ratio, trace.length
        self.logit = np.zeros(0, np.float32)
        self.first = 0

    def logits(self, start: int, stop: int) -> NDArray[np.float32]:
        need = min(self.length, int(stop * self.ratio) + 2)
        while self.first + len(self.logit) < need:
            group = _join(next(self.groups))
            self.logit = np.concatenate([self.logit, group["logit"]])
        at = np.arange(start, stop) * self.ratio - self.first
        out = np.interp(at, np.arange(len(self.logit)), self.logit).astype(np.float32)
        drop = max(0, int(start * self.ratio) - 4 - self.first)
        self.logit, self.first = self.logit[drop:], self.first + drop
        return out


def _join(group: list[Piece], rows: int = 0) -> dict[str, NDArray[Any]]:
    """Put the used parts of windows end to end; `row` is the token of a sample, counted from `rows`."""
    cut = [(p, slice(p.window.first - p.window.start, p.window.last - p.window.start)) for p in group]
    size = len(group[0].token)
    return {
        "logit": np.concatenate([p.sample[s, 0] for p, s in cut]),
        "artefact": np.concatenate([p.sample[s, 1] for p, s in cut]),
        "clean": np.concatenate(
            [np.sinh(np.clip(p.sample[s, 2], -15, 15)) * np.float32(p.scale) for p, s in cut]
        ),
        "x": np.concatenate([p.x[s] for p, s in cut]),
        "gap": np.concatenate([p.gap[s] for p, s in cut]),
        "row": np.concatenate(
            [rows + i * size + np.arange(s.start, s.stop) // PATCH for i, (_, s) in enumerate(cut)]
        ),
    }


def _candidates(
    now: Mapping[str, Any],
    tokens: NDArray[np.float32],
    offset: int,
    start: int,
    stop: int,
    rate: float,
    kind: str,
) -> decode.Candidates:
    """Return the candidates with peaks in [start, stop) of the rung."""
    at = decode.peaks(now["logit"], decode.REACH[kind])
    at = at[(at + offset >= start) & (at + offset < stop) & ~now["gap"][at]]
    place = decode.between(now["logit"], at)
    both = tokens[np.maximum(now["row"][at], 0)]
    token, features = both[:, : 4 + len(CLASSES)], both[:, 4 + len(CLASSES) :]
    before = (
        10.0 ** np.clip(token[:, 1] - 3, -6, 1) * rate if kind == "psc" else np.full(len(at), 0.002 * rate)
    )
    amplitude = decode.heights(now["x"], now["clean"], at, before, kind)
    return decode.Candidates(
        (place + offset) / rate, now["logit"][at], now["artefact"][at], token, amplitude, features
    )
