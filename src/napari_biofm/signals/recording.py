"""`Recording`: one model for gap-free traces, sweeps of a protocol, and traces of cells."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.signals.arrays import as_sweeps, checked_rate
from napari_biofm.signals.recorded import CHANGED, COMMAND_UNKNOWN, Channel, MeasuredOn, Tag
from napari_biofm.signals.roles import Role, find_roles
from napari_biofm.signals.samples import ArraySamples, Raw, RescaledSamples, Samples, scaled
from napari_biofm.signals.units import clean_unit, si_unit
from napari_biofm.types import RecordingError, Trace

CommandSource = Callable[[int, int], Trace | None]  # (sweep, channel) -> the commanded waveform


@dataclass(frozen=True, eq=False)
class Recording:
    """Channels x sweeps of samples that stay where they are until asked for.

    Gap-free data has one sweep, a step protocol one sweep per episode, calcium imaging one channel
    per cell with its `label`. Sweeps and channels count from 0.

    Attributes
    ----------
    channels : what was recorded.
    samples : where the numbers lie.
    sweep_starts : (n_sweeps,) float64, seconds from `t0`.
    t0 : wall-clock start, or None if the file does not know it.
    path : source file, or None.
    format : short name of the source format, e.g. "ABF2", "NWB", "array".
    protocol : name of the protocol, or "".
    comment : comment of the whole file, or "".
    tags : comments with a time.
    metadata : what else the file says (mode, creator, user list ...), JSON-able.
    rois : (Y, X) int32 labels of the cells behind the channels, or None.
    measured_on : the layers of the session that traces of cells were measured on, None for files and other recordings.
    """

    channels: tuple[Channel, ...]
    samples: Samples
    sweep_starts: NDArray[np.float64]
    t0: datetime | None = None
    path: Path | None = None
    format: str = "array"
    protocol: str = ""
    comment: str = ""
    tags: tuple[Tag, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    rois: NDArray[np.int32] | None = None
    command_source: CommandSource | None = None
    measured_on: MeasuredOn | None = None

    # ------------------------------------------------------------------ making one

    @classmethod
    def from_arrays(
        cls,
        values: ArrayLike | Sequence[Sequence[ArrayLike]],
        sampling_rate: float,
        unit: str | Sequence[str],
        *,
        names: Sequence[str] | None = None,
        labels: Sequence[int] | NDArray[np.integer[Any]] | None = None,
        sweep_starts: ArrayLike | None = None,
        **attributes: Any,
    ) -> Recording:
        """Make a recording of arrays in memory (or of lazy array-likes).

        Parameters
        ----------
        values : (n_samples,), or (n_sweeps, n_samples), or (n_sweeps, n_channels, n_samples), or a
            list of sweeps, each a list of channels, each (n_samples,). With `labels`, a
            two-dimensional array is (n_cells, n_frames): cells are channels of one sweep.
        sampling_rate : Hz.
        unit : one for all channels, or one per channel.
        names : of the channels.
        labels : cell ids of the channels.
        sweep_starts : (n_sweeps,) s; without it sweeps follow each other without a gap.
        **attributes : any other attribute of `Recording`.

        Raises
        ------
        RecordingError
            If the sampling rate is not a positive number or the shapes do not fit.
        """
        arrays = as_sweeps(values, cells=labels is not None)
        n_channels = len(arrays[0]) if arrays else 0
        rate = checked_rate(sampling_rate)
        units = [unit] * n_channels if isinstance(unit, str) else list(unit)
        if len(units) != n_channels or any(len(sweep) != n_channels for sweep in arrays):
            raise RecordingError(
                f"{len(units)} units for {n_channels} channels: give one unit per channel, and every "
                "sweep the same channels"
            )
        if labels is not None and len(labels) != n_channels:
            raise RecordingError(f"{len(labels)} labels for {n_channels} traces: give one label per trace")
        ids = [None] * n_channels if labels is None else [int(label) for label in labels]
        if names is None:
            names = [f"channel {i}" if ids[i] is None else f"cell {ids[i]}" for i in range(n_channels)]
        channels = tuple(
            Channel(name, clean_unit(one), rate, label)
            for name, one, label in zip(names, units, ids, strict=True)
        )
        if sweep_starts is None:
            lengths = [sweep[0].shape[0] / rate if n_channels else 0.0 for sweep in arrays]
            sweep_starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) if arrays else np.zeros(0)
        return cls(
            channels=channels,
            samples=ArraySamples(arrays),
            sweep_starts=np.asarray(sweep_starts, np.float64),
            **attributes,
        )

    def with_channel(
        self, channel: int, *, unit: str | None = None, name: str | None = None, factor: float = 1.0
    ) -> Recording:
        """Return the same recording with another unit, name or scale for one channel.

        The numbers stay unless `factor` says otherwise: a trace in mV that the file calls pA becomes
        mV, value for value; one whose amplifier gain was typed in wrong is multiplied by `factor`.
        """
        self._check(0, channel)
        old = self.channels[channel]
        new = dataclasses.replace(
            old, unit=old.unit if unit is None else clean_unit(unit), name=old.name if name is None else name
        )
        channels = (*self.channels[:channel], new, *self.channels[channel + 1 :])
        samples = self.samples if factor == 1.0 else RescaledSamples(self.samples, channel, float(factor))
        said = {"channel": channel, "name": new.name, "unit": new.unit, "factor": float(factor),
                "former_name": old.name, "former_unit": old.unit}  # fmt: skip
        metadata = {**self.metadata, CHANGED: [*self.metadata.get(CHANGED, ()), said]}
        return dataclasses.replace(self, channels=channels, samples=samples, metadata=metadata)

    def without_last_change(
        self, channel: int, unit: str, name: str | None = None, factor: float = 1.0
    ) -> Recording:
        """Return the recording as it was before the last `with_channel`, sample for sample.

        Parameters
        ----------
        channel, unit, name, factor : what was given to `with_channel` then.

        Raises
        ------
        RecordingError
            If the last change was another one.
        """
        changes = list(self.metadata.get(CHANGED, ()))
        last = changes.pop() if changes else {}
        wanted = {"channel": channel, "unit": clean_unit(unit), "factor": float(factor)}
        if name is not None:
            wanted["name"] = name
        if any(last.get(key) != value for key, value in wanted.items()):
            raise RecordingError(f"{self.name} was changed in another way since its unit was set.")
        samples = self.samples
        if factor != 1.0:
            if not isinstance(samples, RescaledSamples) or samples.channel != channel:
                raise RecordingError(f"{self.name} was changed in another way since it was rescaled.")
            samples = samples.source
        old = dataclasses.replace(
            self.channels[channel], unit=str(last["former_unit"]), name=str(last["former_name"])
        )
        channels = (*self.channels[:channel], old, *self.channels[channel + 1 :])
        metadata = {key: value for key, value in self.metadata.items() if key != CHANGED}
        if changes:
            metadata[CHANGED] = changes
        return dataclasses.replace(self, channels=channels, samples=samples, metadata=metadata)

    # ------------------------------------------------------------------ sizes and clocks

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def n_sweeps(self) -> int:
        """Number of sweeps; 1 for a gap-free recording."""
        return len(self.sweep_starts)

    @property
    def name(self) -> str:
        """What to call the recording in a window or a message."""
        if self.path is None:
            return "recording"
        return self.path.parent.name if self.format == "suite2p" else self.path.name

    @property
    def is_cells(self) -> bool:
        """Whether the channels are cells."""
        return bool(self.channels) and all(channel.label is not None for channel in self.channels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n_channels,) cell ids, -1 where a channel is no cell."""
        return np.array([-1 if c.label is None else c.label for c in self.channels], np.int64)

    def n_samples(self, sweep: int = 0, channel: int = 0) -> int:
        """Return the number of samples of one channel in one sweep, without reading them."""
        self._check(sweep, channel)
        return self.samples.n_samples(sweep, channel)

    def duration(self, sweep: int = 0) -> float:
        """Return the length of a sweep in seconds (its longest channel)."""
        return max(
            (self.n_samples(sweep, i) / c.sampling_rate for i, c in enumerate(self.channels)), default=0.0
        )

    @property
    def total_duration(self) -> float:
        """Seconds from the start of the recording to the end of its last sweep."""
        if not self.n_sweeps:
            return 0.0
        return float(max(self.sweep_starts[i] + self.duration(i) for i in range(self.n_sweeps)))

    def times(self, sweep: int = 0, channel: int = 0, *, absolute: bool = False) -> NDArray[np.float64]:
        """Return (n_samples,) seconds from the start of the sweep, or of the recording."""
        n = self.n_samples(sweep, channel)
        times = np.arange(n) / self.channels[channel].sampling_rate
        return times + self.sweep_starts[sweep] if absolute else times

    # ------------------------------------------------------------------ values

    def raw(self, sweep: int, channel: int, start: int = 0, stop: int | None = None) -> Raw:
        """Return samples as stored, a view on the file where the format allows."""
        start, stop = self._span(sweep, channel, start, stop)
        return self.samples.raw(sweep, channel, start, stop)

    def scale(self, channel: int) -> tuple[float, float]:
        """Return gain and offset that take `raw` to the channel's unit."""
        return self.samples.scale(channel) or (1.0, 0.0)

    def values(
        self, sweep: int, channel: int, start: int = 0, stop: int | None = None, *, si: bool = False
    ) -> NDArray[np.float32]:
        """Return samples [start, stop) in the channel's unit, or in SI units.

        Returns
        -------
        (stop - start,) float32, always a copy; NaN marks gaps.

        Raises
        ------
        RecordingError
            If the sweep, channel or span does not exist.
        """
        raw = self.raw(sweep, channel, start, stop)
        values = scaled(raw, self.samples.scale(channel))
        if si:
            values *= np.float32(si_unit(self.channels[channel].unit)[1])
        return values

    def sweep(self, sweep: int, channel: int) -> Trace:
        """Return one channel of one sweep as detectors see it."""
        values = self.values(sweep, channel)
        about = self.channels[channel]
        return Trace(values, about.sampling_rate, about.unit, sweep, channel, about.holding)

    def command(self, sweep: int, channel: int) -> Trace | None:
        """Return what the amplifier was told to do, from the protocol; None if the file does not say."""
        self._check(sweep, channel)
        return None if self.command_source is None else self.command_source(sweep, channel)

    @property
    def command_unknown(self) -> str:
        """Why the file's protocol does not tell the command, in words; "" where it does or gives none."""
        return str(self.metadata.get(COMMAND_UNKNOWN, ""))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """What each channel is: signal, command, trigger or other; found when first asked for."""
        if self.is_cells:
            return tuple(Role(c, "signal", "") for c in range(self.n_channels))
        return find_roles(self)

    def command_channel(self, channel: int) -> int | None:
        """Return the channel on which the command of `channel` was recorded, or None; see `roles.find_roles`."""
        self._check(0, channel)
        return next((role.channel for role in self.roles if role.command_of == channel), None)

    def stimulus(self, sweep: int, channel: int, stop: int | None = None) -> Trace | None:
        """Return the recorded command of `channel` if there is one, else the synthetic one, else None.

        Parameters
        ----------
        stop : read a recorded command up to this sample only.
        """
        recorded = self.command_channel(channel)
        if recorded is None:
            return self.command(sweep, channel)
        about = self.channels[recorded]
        stop = None if stop is None else min(stop, self.n_samples(sweep, recorded))
        return Trace(self.values(sweep, recorded, 0, stop), about.sampling_rate, about.unit, sweep, recorded)

    # ------------------------------------------------------------------ source

    @cached_property
    def sha256(self) -> str | None:
        """Hash of the source file, computed when first asked for; None without a file."""
        if self.path is None or not self.path.is_file():
            return None
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def summary(self) -> dict[str, Any]:
        """Return what is inside, JSON-able, without reading samples."""
        return {
            "name": self.name,
            "format": self.format,
            "t0": None if self.t0 is None else self.t0.isoformat(),
            "n_sweeps": self.n_sweeps,
            "n_channels": self.n_channels,
            "channels": [dataclasses.asdict(channel) for channel in self.channels],
            "sweep_starts_s": self.sweep_starts.tolist(),
            "samples_per_sweep": [self.n_samples(i, 0) if self.channels else 0 for i in range(self.n_sweeps)],
            "duration_s": self.total_duration,
            "protocol": self.protocol,
            "comment": self.comment,
            "tags": [dataclasses.asdict(tag) for tag in self.tags],
            "metadata": dict(self.metadata),
        }

    # ------------------------------------------------------------------ guards

    def _check(self, sweep: int, channel: int) -> None:
        if not 0 <= sweep < self.n_sweeps:
            raise RecordingError(
                f"sweep {sweep} of {self.n_sweeps} asked for in {self.name}; "
                f"sweeps are numbered 0 to {self.n_sweeps - 1}"
            )
        if not 0 <= channel < self.n_channels:
            raise RecordingError(
                f"channel {channel} of {self.n_channels} asked for in {self.name}; "
                f"channels are numbered 0 to {self.n_channels - 1}"
            )

    def _span(self, sweep: int, channel: int, start: int, stop: int | None) -> tuple[int, int]:
        n = self.n_samples(sweep, channel)
        stop = n if stop is None else stop
        if not 0 <= start <= stop <= n:
            raise RecordingError(
                f"samples {start} to {stop} asked for in sweep {sweep}, channel {channel} of {self.name}; "
                f"it has {n}"
            )
        return start, stop
