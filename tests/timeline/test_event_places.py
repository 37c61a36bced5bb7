"""Events of cells on the frames of a movie, in windows; rows of a raster; cells inside a path."""

import numpy as np
import pandas as pd
from anndata import AnnData

from napari_biofm.timeline import CellEvents, Clock, event_places
from napari_biofm.timeline.cell_positions import cells_inside
from napari_biofm.timeline.event_places import EventPlaces
from napari_biofm.timeline.maps import (
    BY_CLASS,
    BY_DEPTH,
    BY_LABEL,
    BY_RATE,
    classes_of_cells,
    numbers_of_cells,
    raster,
    row_order,
)
from napari_biofm.timeline.movie_file import strip_of_cells

CENTRES = {2: (30.0, 5.0), 5: (10.0, 8.0), 9: (20.0, 1.0)}


def events(seconds, labels):
    n = len(seconds)
    return CellEvents(
        np.array(seconds, float), np.array(labels), np.full(n, "AP"), np.ones(n, np.float32),
        np.arange(n) % 2, np.arange(n), ("patch", "traces"),
    )  # fmt: skip


def test_an_event_shows_from_its_frame_until_it_has_faded():
    clock = Clock.from_rate(20, 10.0, 1.0)
    places = EventPlaces.of(events([0.2, 1.5, 1.5, 2.0], [5, 5, 77, 2]), CENTRES, clock, 0.2, 20)
    assert places.events.labels.tolist() == [5, 2], "outside the movie, or on no cell: not shown"
    points = places.points(places.window(0))
    assert points.data.tolist() == [[5, 10, 8], [6, 10, 8], [7, 10, 8], [10, 30, 5], [11, 30, 5], [12, 30, 5]]
    assert (np.diff(points.colours[:3, 3]) < 0).all()
    assert points.features["recording"].tolist() == ["traces"] * 6 and points.features["row"][0] == 1


def test_of_many_events_those_around_a_frame_are_shown(monkeypatch):
    monkeypatch.setattr(event_places, "MOST_POINTS", 100)
    clock = Clock.from_rate(1000, 10.0)
    places = EventPlaces.of(events(np.arange(1000) / 10, np.full(1000, 2)), CENTRES, clock, 0.0, 1000)
    first, last = places.window(500)
    assert first <= 500 < last and last - first < 20
    assert set(places.points((first, last)).data[:, 0]) == set(range(first, last))


def test_events_are_found_by_their_row_and_by_their_place():
    all_of_them = events([1.0, 2.0, 2.1], [5, 5, 2])
    assert all_of_them.find("traces", 1) == 1 and all_of_them.find("patch", 1) is None
    assert all_of_them.find("other", 0) is None
    assert all_of_them.nearest(5, 2.08, 0.1) == 1 and all_of_them.nearest(9, 2.0, 1.0) is None
    assert all_of_them.of_recordings({"traces"}).rows.tolist() == [1]


def test_rows_are_ordered_by_label_rate_depth_or_class():
    found = events([1.0, 1.1, 1.2], [9, 9, 5])
    table = AnnData(
        obs=pd.DataFrame(
            {"label": [2, 5, 9], "predicted": ["b", "a", ""], "class_by_hand": ["", "c", ""], "area": 3.5},
            index=["2", "5", "9"],
        )
    )
    classes = classes_of_cells(table)
    assert classes == {2: "b", 5: "c"}
    rows = {
        o: row_order(o, CENTRES, found, (0, 2), classes).tolist()
        for o in (BY_LABEL, BY_RATE, BY_DEPTH, BY_CLASS)
    }
    assert rows == {BY_LABEL: [2, 5, 9], BY_RATE: [9, 5, 2], BY_DEPTH: [5, 9, 2], BY_CLASS: [2, 5, 9]}
    assert numbers_of_cells(table) == ["area"] and numbers_of_cells(None) == []


def test_a_raster_is_lit_where_events_are_and_its_rate_is_smoothed():
    made = raster(events([1.0, 1.1, 1.2], [9, 9, 5]), np.array([5, 9]), 0.0, 2.0, 40)
    assert (made.pixels[..., 3] > 0).sum() == 3 and made.pixels.dtype == np.uint8
    middle, smooth = made.smooth_rate
    assert middle.shape == smooth.shape == (40,) and 0 < smooth.max() < made.rate.max()


def test_cells_inside_a_path_and_a_strip_without_traces():
    square = np.array([[5, 0], [5, 10], [25, 10], [25, 0]], float)
    assert sorted(cells_inside(CENTRES, square)) == [5, 9] and cells_inside(CENTRES, square[:2]) == []
    clock = Clock.from_rate(20, 10.0)
    strip = strip_of_cells([], events([1.0], [5]), clock, [5], 64, 30)
    assert strip.at(1.0).shape == (30, 64, 3)
