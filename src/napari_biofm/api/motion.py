"""Motion correction of movies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_biofm.images.motion.settings import Mode, Motion
from napari_biofm.types import LazyArray, ProgressListener, run_task


@dataclass(frozen=True, eq=False)
class MotionCorrection:
    """A movie whose motion was measured.

    Attributes
    ----------
    frames : (T, Y, X) float32 array-like, corrected when sliced; NaN where nothing was seen.
    motion : shifts, template, border, and the numbers before and after.
    frame_rate : Hz, None where nobody says it.
    warnings : what the user should know.
    line_phase : pixels by which odd lines lay beside even ones, and were moved back.
    """

    frames: LazyArray
    motion: Motion
    frame_rate: float | None
    warnings: tuple[str, ...] = ()
    line_phase: int = 0


def correct_motion(
    movie: LazyArray | str | Path,
    out: str | Path | None = None,
    *,
    mode: Mode = "rigid",
    most: float = 30.0,
    block: int = 96,
    frame_rate: float | None = None,
    channel: int | None = None,
    plane: int | None = None,
    register_on: int | None = None,
    lines: bool = False,
    resume: bool = False,
    progress: ProgressListener | None = None,
) -> MotionCorrection:
    """Measure how each frame of a movie had moved, and take it back.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices, or the path of one; never read whole.
    out : TIFF to write the corrected movie to, and shifts and template beside it; None writes nothing.
    mode : "rigid" moves whole frames, "piecewise" blocks of them.
    most : largest shift along an axis, pixels.
    block : side of a block, pixels.
    frame_rate : Hz, kept in the file; it goes before what the movie's file says.
    channel, plane : of a file that holds several, counted from 0.
    register_on : channel in which the motion is measured, where that is another one, e.g. a red one that does not
        flicker.
    lines : whether odd lines that lie beside even ones (scanners that go to and fro) are moved back first.
    resume : whether a run that was cut off goes on where it stood; what was measured so far lies beside `out`.
    progress : called with each step.

    Returns
    -------
    MotionCorrection
        The corrected frames, read when sliced, and the motion.

    Raises
    ------
    ImageError
        If the movie cannot be read, has no such channel or plane, or holds no numbers.
    """
    from napari_biofm.images.io.movie_facts import MovieFacts
    from napari_biofm.images.io.movies import Movie, open_movie
    from napari_biofm.images.motion.apply import CorrectedMovie, write_corrected
    from napari_biofm.images.motion.estimate import estimate_motion
    from napari_biofm.images.motion.line_phase import InPhase, line_phase
    from napari_biofm.images.motion.settings import MotionSettings
    from napari_biofm.timeline.metadata import chosen_rate

    settings = MotionSettings(mode=mode, most=most, block=block)
    if isinstance(movie, str | Path):
        source = open_movie(Path(movie), channel, plane)
        seen = source if register_on is None else open_movie(Path(movie), register_on, plane)
    else:
        source = seen = Movie(movie, MovieFacts())
    rate, said = chosen_rate(frame_rate, None, source.frame_rate)
    phase = line_phase(seen.frames) if lines else 0
    frames, looked_at = (InPhase(one.frames, phase) if phase else one.frames for one in (source, seen))
    kept, path = None, None
    if out is not None:
        path = Path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.with_name(f"{path.name.split('.')[0]}_motion.partial.npz")
    motion = run_task(estimate_motion(looked_at, settings, kept if resume else None), progress)
    if path is not None:
        run_task(write_corrected(frames, motion, path, rate), progress)
        motion.save(path.with_name(f"{path.name.split('.')[0]}_motion.npz"))
    phased = f"Odd lines lay {phase} pixels beside even ones and were moved back." if phase else ""
    told = tuple(one for one in (source.message, said, phased) if one)
    return MotionCorrection(CorrectedMovie(frames, motion), motion, rate, told, phase)
