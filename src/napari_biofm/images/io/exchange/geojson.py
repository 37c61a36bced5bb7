"""Masks and classes from and to GeoJSON of QuPath."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.images.io.exchange.painted import MALFORMED, ReadCells, painted
from napari_biofm.images.io.exchange.polygons import Loop, outlines
from napari_biofm.types import ImageError, Labels


def geojson_of(labels: Labels, classes: Mapping[int, str]) -> dict[str, Any]:
    """Return masks (Y, X) and class by label as a collection of features."""
    features = []
    for label, outer, holes in outlines(labels):
        polygons = [[_ring(loop), *(_ring(h) for h in holes if _inside(h, loop))] for loop in outer]
        geometry = (
            {"type": "Polygon", "coordinates": polygons[0]}
            if len(polygons) == 1
            else {"type": "MultiPolygon", "coordinates": polygons}
        )
        properties: dict[str, Any] = {
            "objectType": "annotation",
            "name": str(label),
            "measurements": {"label": label},
        }
        if label in classes:
            properties["classification"] = {"name": classes[label]}
        uid = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{labels.shape}:{label}"))
        features.append({"type": "Feature", "id": uid, "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def _ring(loop: Loop) -> list[list[float]]:
    points = loop[:, ::-1].tolist()
    return [*points, points[0]]


def _inside(hole: Loop, outer: Loop) -> bool:
    return bool((hole.min(0) >= outer.min(0)).all() and (hole.max(0) <= outer.max(0)).all())


def read_geojson(path: Path, shape: tuple[int, int] | None) -> ReadCells:
    """Read polygons and their classes as masks, (Y, X) of `shape`; ImageError where they cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        features = found.get("features", [found]) if isinstance(found, dict) else found
        parts: list[tuple[int, list[Loop]]] = []
        classes: dict[int, str] = {}
        left_out = 0
        for number, feature in enumerate(features, 1):
            geometry, about = feature["geometry"], feature.get("properties") or {}
            polygons = {
                "Polygon": [geometry.get("coordinates")],
                "MultiPolygon": geometry.get("coordinates"),
            }.get(geometry["type"])
            if polygons is None:
                left_out += 1
                continue
            loops = [np.asarray(ring, float)[:, 1::-1] for polygon in polygons for ring in polygon]
            if not all(np.isfinite(loop).all() for loop in loops):
                raise ValueError(f"feature {number} has coordinates that are no numbers")
            label = _label_of(about, number, {p[0] for p in parts}, len(features))
            parts.append((label, loops))
            named = (about.get("classification") or {}).get("name")
            if named:
                classes[label] = str(named)
    except MALFORMED as error:
        raise ImageError(f"{path.name} is no GeoJSON of outlines ({error}).") from error
    labels, notes = painted(parts, shape, path.name)
    if left_out:
        notes = (*notes, f"{left_out} features that are no polygons were left out")
    return ReadCells(labels, classes, notes)


def _label_of(about: Mapping[str, Any], number: int, taken: set[int], n: int) -> int:
    measured = about.get("measurements")
    told = measured.get("label") if isinstance(measured, dict) else None
    told = about.get("name") if told is None else told
    text = str(told).removesuffix(".0")
    label = int(text) if text.isdigit() and 0 < int(text) < 2**62 else number
    while label in taken:
        label += n
    return label
