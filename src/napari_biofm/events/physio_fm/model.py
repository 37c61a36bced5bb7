"""PhysioFM: one model, all kinds of physiological signals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.options import option_values
from napari_biofm.events.physio_fm import decode, weights
from napari_biofm.events.physio_fm.beats import in_sequence
from napari_biofm.events.physio_fm.inference import embed, recognise, surprise
from napari_biofm.events.physio_fm.input_encoding import TOKEN_KINDS, encode_input, network_unit
from napari_biofm.events.physio_fm.resampling import ResampledTrace, Resampling, choose_resampling
from napari_biofm.events.physio_fm.streaming import decode_trace
from napari_biofm.events.physio_fm.table import as_events, likely_best, scores, threshold
from napari_biofm.types import (
    DetectionSettings,
    Events,
    Kind,
    Option,
    Progress,
    RecordingError,
    Task,
    Trace,
    no_events,
    run_task,
)

SHORTEST = 16  # resampled samples; below that there is nothing to see


class PhysioFM:
    """The stock detector.

    Parameters
    ----------
    weights : safetensors with a JSON beside it; None takes the shipped ones.
    device : torch device.
    threads : CPU threads for the network; None leaves torch's own choice.

    Examples
    --------
    >>> from napari_biofm.types import DetectionSettings, Trace, run_task  # doctest: +SKIP
    >>> events = run_task(PhysioFM().detect(Trace(x, 20000.0, "mV"), DetectionSettings()))  # doctest: +SKIP
    """

    name = "physio-fm"
    kinds: Sequence[Kind] = ("auto", *(spec.name for spec in KINDS.values()))
    options: Sequence[Option] = (
        Option("threshold", "", 0, 1, None, "Score from which an event counts, in place of the preset's."),
    )

    def __init__(self, weights: Path | None = None, device: str = "cpu", threads: int | None = None) -> None:
        self.path = weights
        self.device, self.threads = device, threads
        self._net: Any = None
        self._shares: Any = None  # spreads windows over the cores of a CPU
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
        """Run the network on windows (B, T) of a resampled trace; outputs as arrays plus `scale` (B,)."""
        import torch

        net, known = self.network(), None if kind is None else TOKEN_KINDS.index(kind)

        def say(windows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
            inputs, tokens, _, scale = encode_input(windows, rate, unit, known)
            with torch.inference_mode():
                out = net(torch.from_numpy(inputs).to(self.device), torch.from_numpy(tokens).to(self.device))
            return {k: v.cpu().numpy() for k, v in out.items()} | {"scale": scale}

        if self.device != "cpu":
            return say(x)
        if self._shares is None:
            from napari_biofm.events.physio_fm.parallel_windows import ParallelWindows

            self._shares = ParallelWindows()
        said: dict[str, NDArray[Any]] = self._shares(say, x)
        return said

    # ------------------------------------------------------------------ what is it
    def recognise(self, signal: Trace) -> tuple[str, dict[str, float]]:
        """Return the kind of a signal and the probability of each; see `inference.recognise`."""
        return recognise(self, signal)

    # ------------------------------------------------------------------ events
    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
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
        option_values(self, settings)
        check(signal)
        if len(signal.values) < 3:
            return no_events()
        if self.adapted is not None:
            return (yield from self.adapted.detect(self, signal, settings))
        return (yield from self.detect_stock(signal, settings))

    def detect_stock(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Find events as the stock model does, whatever was taught; see `detect`."""
        check(signal)
        kind = settings.kind if settings.kind != "auto" else self.recognise(signal)[0]
        if kind == "channel":
            from napari_biofm.events.channels.idealization import opening_events

            return opening_events(signal)
        if kind == "ecg":  # beats are judged by the beats around them
            return (yield from self._beats(signal, settings))
        if kind == "calcium":  # an event is measured up to the next one
            return (yield from self._transients(signal, settings))
        parts: list[Events] = [no_events()]
        for done, total, found in self.candidates(signal, kind):
            part = as_events(signal, kind, found, self.card, settings)
            parts.append(part)
            yield Progress(done, total, f"{kind}: {sum(map(len, parts))} events", part)
        return cast("Events", np.concatenate(parts))

    def candidates(self, signal: Trace, kind: str) -> Iterator[tuple[int, int, decode.Candidates]]:
        """Yield (samples done, samples in all, candidates) of a signal as a kind, in order of time."""
        unit, factor = network_unit(signal, kind)
        resamplings: list[Resampling] = [
            choose_resampling(signal.sampling_rate, kind, step) for step in self.card["rungs"].get(kind, [0])
        ]
        trace = ResampledTrace(signal.values, resamplings[0], factor)
        if trace.length < SHORTEST:
            return
        others = [ResampledTrace(signal.values, resampling, factor) for resampling in resamplings[1:]]
        yield from decode_trace(self, trace, others, unit, kind)

    def found(self, signal: Trace, kind: str) -> decode.Candidates | None:
        """Return all candidates of a signal as a kind, heart beats in view of each other; None if there are
        none.
        """
        return run_task(self._all_candidates(signal, kind))

    def _all_candidates(self, signal: Trace, kind: str) -> Task[decode.Candidates | None]:
        parts = []
        for done, total, part in self.candidates(signal, kind):
            parts.append(part)
            yield Progress(done, total + 1, f"{kind}: looking for events")
        if not parts:
            return None
        joined = decode.Candidates.join(parts)
        return in_sequence(joined, self.card.get("beats")) if kind == "ecg" else joined

    def _beats(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        found = yield from self._all_candidates(signal, "ecg")
        if found is None:
            return no_events()
        beats = as_events(signal, "ecg", found, self.card, settings)
        yield Progress(1, 1, f"ecg: {len(beats)} events", beats)
        return beats

    def _transients(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Find calcium events: the balanced threshold is the recording's own, sizes are those of transients."""
        from napari_biofm.events.physio_fm.calcium import with_transients

        found = yield from self._all_candidates(signal, "calcium")
        if found is None:
            return no_events()
        if settings.preset == "balanced" and "threshold" not in settings.options:
            likely = scores("calcium", found.logit, self.card)[~found.is_artefact]
            settings = replace(settings, options={**settings.options, "threshold": likely_best(likely)})
        events = as_events(signal, "calcium", found, self.card, settings)
        events = with_transients(signal, events, threshold("calcium", self.card, settings))
        yield Progress(1, 1, f"calcium: {len(events)} events", events)
        return events

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
        from napari_biofm.events.physio_fm.calcium import spike_rate

        return spike_rate(self, dff, sampling_rate)

    def forecast(
        self, signal: Trace, at_s: float, horizon: int
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
        from napari_biofm.events.physio_fm.forecast import HISTORY, QUANTILES, forecast_quantiles

        check(signal)
        at = round(at_s * signal.sampling_rate)
        if at < 1 or at > len(signal.values) or horizon < 1:
            span = len(signal.values) / signal.sampling_rate
            raise RecordingError(
                f"a forecast of {horizon} samples at {at_s} s: the sweep lasts {span:.3f} s; "
                "choose a time inside it."
            )
        trace = ResampledTrace(signal.values, Resampling(signal.sampling_rate))
        past = trace.read(max(0, at - HISTORY), at)[0]
        return (
            forecast_quantiles(past, horizon),
            QUANTILES.copy(),
            (at + np.arange(horizon)) / signal.sampling_rate,
        )

    def surprise(self, signal: Trace, kind: str | None = None) -> tuple[NDArray[np.float32], float]:
        """Return how unexpected each moment is, and at which rate (Hz); see `inference.surprise`."""
        check(signal)
        return surprise(self, signal, kind)

    def embed(
        self, signal: Trace, times: NDArray[np.float64] | None = None, kind: str | None = None
    ) -> NDArray[Any]:
        """Return vectors of moments (s), or one of the whole trace; see `inference.embed`."""
        check(signal)
        return embed(self, signal, times, kind)

    def classify(
        self, clips: Mapping[str, NDArray[Any]], sampling_rate: float = 300.0, task: str = "af"
    ) -> Any:
        """Return the rhythm of electrocardiogram clips; see `rhythm.classify`."""
        from napari_biofm.events.physio_fm.rhythm import classify

        if task != "af":
            raise RecordingError(f"task {task!r}: the stock model knows 'af' (N, A, O, ~).")
        return classify(self, clips, sampling_rate)

    def describe(self, signal: Trace) -> dict[str, Any]:
        """Return kind, faults and a proposal where the unit looks wrong; JSON-able."""
        from napari_biofm.events.physio_fm.describe import describe

        return describe(self, signal)


def check(signal: Trace) -> None:
    """Raise RecordingError where a signal cannot be worked on."""
    rate = signal.sampling_rate
    if not np.isfinite(rate) or rate <= 0:
        raise RecordingError(
            f"sampling rate {rate} Hz of sweep {signal.sweep}: give the rate in Hz, above 0."
        )
    shape = getattr(signal.values, "shape", (len(signal.values),))
    if len(shape) != 1:
        raise RecordingError(f"a signal of shape {shape}: give one channel of one sweep, (n_samples,).")
