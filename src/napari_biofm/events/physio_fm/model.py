"""PhysioFM: one model, all kinds of physiological signals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.options import option_values
from napari_biofm.events.physio_fm.calcium import spike_rate
from napari_biofm.events.physio_fm.decode import Candidates
from napari_biofm.events.physio_fm.describe import Description, describe
from napari_biofm.events.physio_fm.forecast import HISTORY, QUANTILES, forecast_quantiles, kind_of
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.inference import embed, recognise, surprise
from napari_biofm.events.physio_fm.resampling import ResampledTrace, Resampling
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.stock import all_candidates, candidates, check, detect_stock
from napari_biofm.types import (
    DetectionSettings,
    Events,
    Kind,
    Option,
    RecordingError,
    Task,
    Trace,
    no_events,
)


class PhysioFM(NetworkRunner):
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
        super().__init__(weights, device, threads)
        self.adapted: AdaptedHead | None = None  # where the user has taught one

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
        return (yield from detect_stock(self, signal, settings))

    def candidates(self, signal: Trace, kind: str) -> Iterator[tuple[int, int, Candidates]]:
        """Yield (samples done, samples in all, candidates) of a signal as a kind, in order of time."""
        return candidates(self, signal, kind)

    def found(self, signal: Trace, kind: str) -> Candidates | None:
        """Return all candidates of a signal as a kind; see `stock.all_candidates`."""
        return all_candidates(self, signal, kind)

    # ------------------------------------------------------------------ other answers
    def rate(
        self, dff: NDArray[np.floating], sampling_rate: float
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
            forecast_quantiles(past, horizon, kind_of(signal.unit, signal.sampling_rate)),
            QUANTILES.copy(),
            (at + np.arange(horizon)) / signal.sampling_rate,
        )

    def surprise(self, signal: Trace, kind: str | None = None) -> tuple[NDArray[np.float32], float]:
        """Return how unexpected each moment is, and at which rate (Hz); see `inference.surprise`."""
        check(signal)
        return surprise(self, signal, kind)

    def embed(
        self, signal: Trace, times: NDArray[np.float64] | None = None, kind: str | None = None
    ) -> NDArray[np.float32]:
        """Return vectors of moments (s), or one of the whole trace; see `inference.embed`."""
        check(signal)
        return embed(self, signal, times, kind)

    def classify(
        self, clips: Mapping[str, NDArray[np.floating]], sampling_rate: float = 300.0, task: str = "af"
    ) -> list[tuple[str, str, float]]:
        """Return the rhythm of electrocardiogram clips; see `rhythm.classify`."""
        from napari_biofm.events.physio_fm.rhythm import classify

        if task != "af":
            raise RecordingError(f"task {task!r}: the stock model knows 'af' (N, A, O, ~).")
        return classify(self, clips, sampling_rate)

    def describe(self, signal: Trace) -> Description:
        """Return kind, faults and a proposal where the unit looks wrong; JSON-able."""
        return describe(self, signal)
