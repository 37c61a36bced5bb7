"""Trees of samples from distances: neighbour joining, UPGMA, Newick, and how far two trees differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.types import ConditionsError

METHODS = ("nj", "upgma")
MOST = 300  # leaves; a longer chain of branches is no picture


@dataclass(frozen=True)
class Node:
    """A branch point or leaf. `length` is of the branch above it; a leaf has a `name` and no children."""

    name: str = ""
    length: float = 0.0
    children: tuple[Node, ...] = ()

    def leaves(self) -> list[str]:
        """Return the names of all leaves below."""
        return [self.name] if not self.children else [n for child in self.children for n in child.leaves()]

    def newick(self) -> str:
        """Return the tree in the Newick format; names with other signs than letters and digits are quoted."""
        return f"{_text(self, top=True)};"


def _text(node: Node, *, top: bool = False) -> str:
    plain = re.fullmatch(r"[A-Za-z0-9.\-|]+", node.name)
    name = node.name if plain or not node.name else "'" + node.name.replace("'", "''") + "'"
    inside = f"({','.join(_text(child) for child in node.children)})" if node.children else ""
    return f"{inside}{name}" + ("" if top else f":{node.length:.10g}")


def tree(distances: ArrayLike, names: Sequence[str], method: str = "nj") -> Node:
    """Build a tree from distances.

    Parameters
    ----------
    distances : (n, n) symmetric, 0 on the diagonal.
    names : (n,) of the samples, each once.
    method : `nj`, neighbour joining (Saitou and Nei, Mol Biol Evol 4:406, 1987), which has no root, or `upgma` (average
        linkage), which has one and asks for equal rates.

    Raises
    ------
    ConditionsError
        If distances are no distances, a name stands twice, or there are fewer than 2 or more than 300 samples.
    """
    d = np.array(distances, np.float64)
    n = len(names)
    if method not in METHODS:
        raise ConditionsError(f"{method!r} makes no trees; use {' or '.join(METHODS)}.")
    if d.shape != (n, n) or not 2 <= n <= MOST:
        raise ConditionsError(f"A tree needs distances (n, n) of 2 to {MOST} samples; these are {d.shape}.")
    if not np.isfinite(d).all() or (d < 0).any() or not np.allclose(d, d.T) or np.diag(d).any():
        raise ConditionsError("Distances must be finite, not negative, symmetric, and 0 to itself.")
    if len(set(names)) < n:
        raise ConditionsError("Two samples have the same name; a tree needs each once.")
    return _joined(d, names) if method == "nj" else _averaged(d, names)


def _joined(d: NDArray[np.float64], names: Sequence[str]) -> Node:
    nodes = [Node(name) for name in names]
    while len(nodes) > 3:
        n = len(nodes)
        total = d.sum(1)
        q = (n - 2) * d - total[:, None] - total[None]
        np.fill_diagonal(q, np.inf)
        i, j = sorted(int(k) for k in np.unravel_index(int(q.argmin()), q.shape))
        half = d[i, j] / 2
        lean = (total[i] - total[j]) / (2 * (n - 2))
        pair = Node(children=(_with(nodes[i], half + lean), _with(nodes[j], half - lean)))
        row = (d[i] + d[j] - d[i, j]) / 2
        keep = [k for k in range(n) if k not in (i, j)]
        d = np.block([[d[np.ix_(keep, keep)], row[keep][:, None]], [row[keep][None], np.zeros((1, 1))]])
        nodes = [nodes[k] for k in keep] + [pair]
    if len(nodes) == 2:
        return Node(children=(_with(nodes[0], d[0, 1] / 2), _with(nodes[1], d[0, 1] / 2)))
    ends = (
        (d[0, 1] + d[0, 2] - d[1, 2]) / 2,
        (d[0, 1] + d[1, 2] - d[0, 2]) / 2,
        (d[0, 2] + d[1, 2] - d[0, 1]) / 2,
    )
    return Node(children=tuple(_with(node, end) for node, end in zip(nodes, ends, strict=True)))


def _averaged(d: NDArray[np.float64], names: Sequence[str]) -> Node:
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    nodes, heights = [Node(name) for name in names], [0.0] * len(names)
    for a, b, distance, _ in linkage(squareform(d, checks=False), "average"):
        height = float(distance) / 2
        ends = (_with(nodes[int(k)], height - heights[int(k)]) for k in (a, b))
        nodes.append(Node(children=tuple(ends)))
        heights.append(height)
    return nodes[-1]


def _with(node: Node, length: float) -> Node:
    return Node(node.name, max(float(length), 0.0), node.children)


def robinson_foulds(a: Node, b: Node) -> tuple[int, int]:
    """Return how many splits stand in one tree only, and the most there can be (Robinson and Foulds, Math Biosci 53:131, 1981).

    Parameters
    ----------
    a, b : trees of the same leaves; roots do not count.

    Raises
    ------
    ConditionsError
        If the leaves differ.
    """
    if set(a.leaves()) != set(b.leaves()):
        raise ConditionsError("The two trees have different leaves.")
    ours, theirs = _splits(a), _splits(b)
    return len(ours ^ theirs), max(2 * (len(a.leaves()) - 3), 0)


def _splits(root: Node) -> set[frozenset[str]]:
    every = frozenset(root.leaves())
    first = min(every)
    found: set[frozenset[str]] = set()

    def visit(node: Node) -> frozenset[str]:
        below = frozenset([node.name]) if not node.children else frozenset().union(*map(visit, node.children))
        if 1 < len(below) < len(every) - 1:
            found.add(below if first not in below else every - below)
        return below

    visit(root)
    return found
