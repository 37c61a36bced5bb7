"""A head that the user has taught: what it is, how it is kept, how it finds events. Never code, only numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.decode import sigmoid
from napari_biofm.events.physio_fm.input_encoding import network_unit
from napari_biofm.events.physio_fm.matching import Template, gather
from napari_biofm.events.physio_fm.resampling import choose_resampling
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.stock import detect_stock
from napari_biofm.files import atomic_write, write_text
from napari_biofm.packing import pack, unpack
from napari_biofm.types import (
    EVENT_DTYPE,
    DetectionSettings,
    Events,
    ModelError,
    Progress,
    Task,
    Trace,
    no_events,
)

# kept in the JSON
WORDS = (
    "kind", "classes", "peak", "coarser", "ridge", "threshold", "stock_sha256", "report", "beside"
)  # fmt: skip
ARRAYS = ("template", "mean", "spread", "weights")
LONGEST, MOST_COARSE = 1 << 20, 16  # samples of a template, halvings of a rate


@dataclass
class AdaptedHead:
    """A head the user has taught; plain arrays and words.

    Attributes
    ----------
    kind : kind whose resampling is used. classes : names, one logistic row each.
    template : (L,) average event of unit peak, `peak` its reference sample. coarser, ridge : its time scale and
    the weight of the noise, see `matching.Template`.
    mean, spread : (F,) of the features. weights : (classes, F + 1), bias last.
    threshold : score from which an event counts. stock_sha256 : weights it stands on. report : scores before
    and after. beside : its events are added to the stock model's; else they stand in their place.
    """

    kind: str
    classes: list[str]
    template: NDArray[np.float64]
    peak: int
    coarser: int
    ridge: float
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    threshold: float
    stock_sha256: str
    report: dict[str, Any] = field(default_factory=dict)
    beside: bool = False

    def probabilities(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, classes) probabilities of candidates with features x (n, F)."""
        z = (x[:, : len(self.mean)] - self.mean) / self.spread
        return sigmoid(np.clip(z, -8, 8) @ self.weights[:, :-1].T + self.weights[:, -1])

    @property
    def laid(self) -> Template:
        """The template and how it is laid on a trace."""
        return Template(self.template, self.peak, self.coarser, self.ridge)

    def save(self, path: Path) -> None:
        """Write safetensors and, beside it, JSON."""
        from safetensors.numpy import save_file

        from napari_biofm.models.checkpoints import sha256_of

        arrays = {k: np.ascontiguousarray(getattr(self, k), np.float32) for k in ARRAYS}
        with atomic_write(path) as temporary:
            save_file(arrays, temporary)
        card = {k: getattr(self, k) for k in WORDS}
        write_text(path.with_suffix(".json"), json.dumps(card | {"sha256": sha256_of(path)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path, stock: NetworkRunner | None = None) -> AdaptedHead:
        """Read a head.

        Raises
        ------
        ModelError : the file was changed or is damaged, or it was made for other stock weights than `stock`.
        """
        from napari_biofm.events.physio_fm.weights import read_card
        from napari_biofm.models.checkpoints import read_arrays

        card = read_card(path)
        missing = [k for k in WORDS[:-1] if k not in card]
        if missing:
            raise ModelError(
                f"{path.with_suffix('.json').name} is no taught head: {', '.join(missing)} missing."
            )
        head = cls._made(
            {k: card[k] for k in WORDS if k in card},
            {k: np.asarray(v, np.float64) for k, v in read_arrays(path).items()},
            path.name,
        )
        if stock is not None:
            head.check(stock)
        return head

    def to_plain(self) -> dict[str, Any]:
        """Return the head as JSON-able data, exactly, for the log of a session."""
        arrays = {
            name: {"shape": list(getattr(self, name).shape), "values": pack(np.ravel(getattr(self, name)))}
            for name in ARRAYS
        }
        return {**{k: getattr(self, k) for k in WORDS}, "arrays": arrays}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> AdaptedHead:
        """Make the head of `to_plain` again.

        Raises
        ------
        ModelError
            If something is missing or damaged.
        """
        try:
            arrays: dict[str, Any] = {
                name: unpack(plain["arrays"][name]["values"], np.dtype(np.float64)).reshape(
                    plain["arrays"][name]["shape"]
                )
                for name in ARRAYS
            }
            return cls._made({k: plain[k] for k in WORDS}, arrays, "this taught head")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"what was taught cannot be read from the session ({error!r}); teach it again."
            ) from error

    @classmethod
    def _made(cls, words: dict[str, Any], arrays: dict[str, Any], name: str) -> AdaptedHead:
        """Return a head of parts that were read; ModelError where they are not those of a head."""
        if set(arrays) != set(ARRAYS):
            raise ModelError(
                f"{name} is damaged: it holds {', '.join(sorted(arrays)) or 'nothing'}; teach it again."
            )
        head = cls(**words, **arrays)
        names, n = head.classes, len(head.mean) if head.mean.ndim == 1 else -1
        plain = [v for v in (head.ridge, head.threshold) if type(v) in (int, float) and 0 <= v < 1e6]
        faults = {
            "kind": not (isinstance(head.kind, str) and head.kind in KINDS),
            "classes": not (isinstance(names, list) and names and all(isinstance(c, str) for c in names)),
            "template": head.template.ndim != 1 or not 0 < len(head.template) <= LONGEST,
            "peak": type(head.peak) is not int or not 0 <= head.peak <= len(head.template),
            "coarser": type(head.coarser) is not int or not 0 <= head.coarser <= MOST_COARSE,
            "ridge or threshold": len(plain) < 2,
            "mean or spread": n < 0 or head.spread.shape != (n,) or not (head.spread > 0).all(),
            "report": not isinstance(head.report, dict),
            "beside": type(head.beside) is not bool,
            "stock_sha256": not isinstance(head.stock_sha256, str),
            "numbers": not all(np.isfinite(one).all() for one in arrays.values()),
        }
        wrong = next((part for part, bad in faults.items() if bad), None)
        if wrong is None and head.weights.shape != (len(names), n + 1):
            wrong = "weights"
        if wrong is not None:
            raise ModelError(f"{name} is damaged ({wrong}); teach it again.")
        return head

    def check(self, stock: NetworkRunner) -> None:
        """Raise ModelError where this head was taught on other weights than those of `stock`."""
        if self.stock_sha256 != stock.card.get("sha256"):
            raise ModelError(
                f"what was taught ({', '.join(self.classes)}) stands on other stock weights; teach it again on "
                "these."
            )

    def detect(self, runner: NetworkRunner, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Find the taught events, and the stock model's beside them where that is wanted."""
        yield Progress(0, 2, "taught events")
        taught = self._taught(runner, signal, settings)
        if not self.beside:
            yield Progress(2, 2, f"{len(taught)} taught events", taught)
            return taught
        yield Progress(1, 2, f"{len(taught)} taught events; now those of the stock model")
        stock = yield from detect_stock(runner, signal, replace(settings, kind=cast("Any", self.kind)))
        rate = choose_resampling(signal.sampling_rate, self.kind, self.coarser).sampling_rate
        apart = max(2, len(self.template) // 5) / rate
        if len(taught):
            gap = np.abs(stock["time_s"][:, None] - taught["time_s"][None]).min(1)
            stock = stock[gap > apart]
        both = np.concatenate([stock, taught])
        return cast("Events", both[np.argsort(both["time_s"], kind="stable")])

    def _taught(self, runner: NetworkRunner, signal: Trace, settings: DetectionSettings) -> Events:
        ((time_s, x, amplitude),) = gather(runner, signal, self.kind, [self.laid])
        if not len(time_s):
            return no_events()
        p = self.probabilities(x)
        best = p.max(1)
        least = float(settings.options.get("threshold", self.threshold))
        if settings.preset == "precise":
            least = max(least, float(self.report.get("precise_threshold", least)))
        keep = np.ones(len(best), bool) if settings.all_scores else best >= least
        table = np.zeros(int(keep.sum()), EVENT_DTYPE)
        table["sweep"], table["channel"], table["unit"] = signal.sweep, signal.channel, signal.unit[:8]
        table["time_s"], table["score"] = time_s[keep], best[keep]
        table["class"] = np.array(self.classes, "U12")[p.argmax(1)[keep]]
        table["amplitude"] = amplitude[keep] / network_unit(signal, self.kind)[1]
        table["rise_s"] = table["decay_s"] = np.nan
        return cast("Events", table)
