"""What a TIFF says of its pixels: which series is the image, its axes, colours that are no channels, names."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.places import leads_outside, outside_words
from napari_biofm.types import ImageError, LazyArray

if TYPE_CHECKING:
    from tifffile import TiffFile

TIFF_ENDINGS = (".tif", ".tiff", ".lsm", ".stk")
_OTHER_FILE = re.compile(r"""\bFileName\s*=\s*["']([^"']*)["']""")  # of a plane, in OME-XML
ALPHA = (1, 2)  # associated and unassociated, in the tag ExtraSamples
DISPLAY_ONLY = 0.95  # rank correlation of index and lightness from which a palette is a table for display


@dataclass(frozen=True)
class TiffFacts:
    """What is read of a TIFF before its pixels.

    Attributes
    ----------
    series : number of the largest series.
    axes : of what `read` gives, letters of TZCYXS; None where the file names none that are known.
    colours : (n, 3) uint8 colours of the palette where the stored values are numbers of colours, else None.
    samples : positions along the axis of samples that are no alpha; None for all of them.
    stored_axes : of the series as it is stored.
    channels : names of the channels, where the file has them.
    notes : what a user should know, in words.
    """

    series: int
    axes: str | None
    colours: NDArray[np.uint8] | None
    samples: tuple[int, ...] | None
    stored_axes: str
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def view(self, stored: LazyArray) -> LazyArray:
        """Return stored values as the image they stand for: colours for numbers of colours, no alpha.

        Parameters
        ----------
        stored : the series with the axes of the file.
        """
        if self.colours is not None:
            return Coloured(stored, self.colours)
        if self.samples is not None:
            return Samples(stored, self.stored_axes.index("S"), self.samples)
        return stored


class Coloured:
    """Numbers of colours, shown as colours when sliced; one axis more, the last.

    Parameters
    ----------
    stored : (...) whole numbers.
    colours : (n, 3) uint8.
    """

    def __init__(self, stored: LazyArray, colours: NDArray[np.uint8]) -> None:
        self._stored, self._colours = stored, colours
        self.shape = (*stored.shape, 3)
        self.ndim, self.dtype = len(self.shape), colours.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        colour = index[-1] if len(index) == self.ndim else slice(None)
        numbers = np.asarray(self._stored[index[: self.ndim - 1]])
        return np.asarray(self._colours[np.minimum(numbers, len(self._colours) - 1)][..., colour])


class Samples:
    """Some samples of an image, cut out when sliced.

    Parameters
    ----------
    stored : with an axis of samples.
    axis : which that is.
    chosen : positions along it.
    """

    def __init__(self, stored: LazyArray, axis: int, chosen: Sequence[int]) -> None:
        self._stored, self._axis, self._chosen = stored, axis, np.asarray(chosen)
        self.shape = tuple(len(chosen) if k == axis else n for k, n in enumerate(stored.shape))
        self.ndim, self.dtype = stored.ndim, stored.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        whole = [*index, *[slice(None)] * (self.ndim - len(index))]
        wanted, whole[self._axis] = whole[self._axis], slice(None)
        part = np.asarray(self._stored[tuple(whole)])
        position = sum(isinstance(i, slice) for i in whole[: self._axis])
        return np.asarray(np.take(part, self._chosen[wanted], axis=position))


@contextmanager
def opened_tiff(path: Path) -> Iterator[TiffFile]:
    """Open a TIFF with its chain of pages walked to the end once.

    tifffile finds out then whether a page of a damaged file leads back to a former one; reading its pages one after the
    other would never end.

    Parameters
    ----------
    path : the file.

    Raises
    ------
    ImageError
        If its OME metadata name a file outside its folder, which tifffile would open.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        len(file.pages)
        if file.is_ome:
            for name in map(html.unescape, _OTHER_FILE.findall(file.ome_metadata or "")):
                if leads_outside(path, name):
                    raise ImageError(f"{path.name}: {outside_words(path, 'a plane', name)}.")
        yield file


def _check_parts(page: Any, name: str) -> None:
    """Raise `ImageError` if a page lists fewer parts than its size needs, or plain ones that hold less than it claims."""
    needed = int(np.prod(page.chunked, dtype=np.int64)) if page.size else 0
    listed = len(page.dataoffsets)
    if listed < needed:
        raise ImageError(
            f"{name} claims {' x '.join(str(n) for n in page.shape)} pixels and lists {listed} of the {needed} parts "
            "they would be stored in; it is damaged. Save it again from its source."
        )
    plain = int(page.compression) == 1 and all(page.databytecounts)
    held, claimed = sum(page.databytecounts), page.size * page.bitspersample // 8
    if plain and held < 0.99 * claimed:
        raise ImageError(
            f"{name} claims {claimed} bytes of pixels and holds {held}; it is damaged. Save it again from its source."
        )


def tiff_facts(path: Path) -> TiffFacts:
    """Read what a TIFF says of its image.

    Parameters
    ----------
    path : the file.

    Raises
    ------
    ImageError
        If it holds no image.
    """
    with opened_tiff(path) as file:
        if len(file.series) == 0:
            raise ImageError(f"{path.name} holds no image; it may be truncated.")
        series, notes = _largest(file)
        chosen = file.series[series]
        page, stored = chosen.keyframe, str(chosen.axes)
        _check_parts(page, path.name)
        colours = _palette(page)
        samples = _without_alpha(page, chosen, stored)
        axes: str | None = stored + "S" if colours is not None else stored
        if samples is not None and len(samples) < chosen.shape[stored.index("S")]:
            notes.append("the alpha channel is left out")
        names = _names(file, series, chosen)
    known = axes is not None and not set(axes) - set("TZCYXS") and "Y" in axes and "X" in axes
    return TiffFacts(series, axes if known else None, colours, samples, stored, names, tuple(notes))


def _largest(file: Any) -> tuple[int, list[str]]:
    """Return the series with most pixels, the first of equals; and a note where there was a choice."""
    sizes = [int(np.prod(s.shape, dtype=np.int64)) for s in file.series]
    chosen = int(np.argmax(sizes))
    if len(sizes) == 1:
        return chosen, []
    shape = " x ".join(str(n) for n in file.series[chosen].shape)
    return chosen, [f"holds {len(sizes)} images; the largest, number {chosen} ({shape}), is taken"]


def _palette(page: Any) -> NDArray[np.uint8] | None:
    """Return the colours of a palette, unless it only says how intensities are displayed.

    A table whose lightness rises or falls with the number is one for display (ImageJ's look-up tables): the stored
    numbers are the intensities then.
    """
    table = page.colormap
    if table is None or page.photometric != 3:
        return None
    wide = np.asarray(table).T.astype(np.int64)
    colours = (wide >> 8 if wide.max() > 255 else wide).astype(np.uint8)
    lightness = colours @ np.array([0.299, 0.587, 0.114])
    ranks = np.argsort(np.argsort(lightness, kind="stable"), kind="stable")
    falling = np.argsort(np.argsort(-lightness, kind="stable"), kind="stable")
    numbers = np.arange(len(colours))
    order = max(np.corrcoef(numbers, ranks)[0, 1], np.corrcoef(numbers, falling)[0, 1])
    return None if np.ptp(lightness) == 0 or order >= DISPLAY_ONLY else colours


def _without_alpha(page: Any, series: Any, axes: str) -> tuple[int, ...] | None:
    extra = [int(e) for e in page.extrasamples or ()]
    if not set(extra) & set(ALPHA) or "S" not in axes:
        return None
    n = int(series.shape[axes.index("S")])
    alpha = {n - len(extra) + k for k, kind in enumerate(extra) if kind in ALPHA}
    return tuple(k for k in range(n) if k not in alpha)


def _names(file: Any, series: int, chosen: Any) -> tuple[str, ...]:
    """Return the names of channels as OME, ImageJ or LSM metadata give them; () where they are not complete."""
    axes = str(chosen.axes)
    n = int(chosen.shape[axes.index("C")]) if "C" in axes else 1
    names: list[str] = []
    if file.is_ome and file.ome_metadata:
        names = ome_channels(file.ome_metadata, series)
    elif file.is_imagej:
        labels = list((file.imagej_metadata or {}).get("Labels") or ())
        planes = [a for a in axes if a in "TZC"]
        if labels and planes and planes[-1] == "C":
            names = [str(label) for label in labels[:n]]
    elif file.is_lsm:
        colours = (file.lsm_metadata or {}).get("ChannelColors") or {}
        names = [str(name) for name in colours.get("ColorNames") or ()]
    return tuple(names) if len(names) == n and any(names) else ()


def ome_channels(xml: str, image: int) -> list[str]:
    """Return the names of the channels of an image of OME-XML, "" for those without one.

    Parameters
    ----------
    xml : the text; it is searched, not parsed, so that nothing in it is expanded.
    image : number of the image.
    """
    images = re.findall(r"<(?:\w+:)?Image\b.*?</(?:\w+:)?Image>", xml, re.DOTALL)
    if image >= len(images):
        return []
    tags = re.findall(r"<(?:\w+:)?Channel\b[^>]*>", images[image])
    found = [re.search(r'\bName="([^"]*)"', tag) for tag in tags]
    return [html.unescape(match.group(1)) if match else "" for match in found]
