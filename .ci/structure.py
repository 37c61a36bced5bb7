"""What must hold in the structure of the code; prints one line per check and exits with 1 where one fails.

    python .ci/structure.py            all checks
    python .ci/structure.py --list     every finding with file and line

Checks: no import cycle (imports inside functions and under TYPE_CHECKING count), no `hasattr` or `getattr` with a
default on models, no access to private names of other modules outside the compatibility files, few `Any` in public
signatures of the core, a test that reaches every module, no file of the docks that computes on pixels or samples, and
none below docks and canvas that imports Qt or napari.
Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "napari_biofm"
SOURCE = ROOT / "src" / PACKAGE
CORE = (
    "actions",
    "session",
    "images",
    "cells",
    "conditions",
    "signals",
    "events",
    "timeline",
    "models",
    "engine",
    "simulate",
    "analyses",
)
COMPATIBILITY = {  # files that may touch what is private in a library
    "canvas/napari_compat.py": ("napari", "vispy", "Qt"),
    "signals/readers/pyabf_compat.py": ("pyabf",),
    "cells/classify/sklearn_compat.py": ("scikit-learn",),
    "cli/argparse_compat.py": ("argparse",),
}
MOST_LINES = 14_000  # in widgets/; what a dock decides belongs into controllers/
MOST_ANY = 15  # in public signatures of the core; lower it when it falls
WINDOWS = ("qtpy", "napari", "superqt", "magicgui", "pyqtgraph", "vispy", "PyQt6", "PyQt5", "PySide6")
MAY_OPEN_WINDOWS = ("widgets/", "canvas/", "readers.py", "writers.py", "samples.py")
COMPUTING = (
    "scipy",
    "skimage",
    "sklearn",
    "numba",
)  # libraries that compute; docks hand such work to the core


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, name: str, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a module imports, wherever in the file."""
    out: set[str] = set()
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            out.update(alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in known:
                    out.add(full)
                elif base in known:
                    out.add(base)
    return out - {name}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other (Tarjan, SIAM J Comput 1:146, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    groups: list[list[str]] = []

    def visit(start: str) -> None:
        work: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(graph[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(graph[other]))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member == node:
                            break
                    if len(group) > 1:
                        groups.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return groups


def folder_graph(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return which top-level part imports which."""

    def part(name: str) -> str:
        pieces = name.split(".")
        return pieces[1] if len(pieces) > 1 else ""

    out: dict[str, set[str]] = {}
    for name, targets in graph.items():
        if part(name):
            out.setdefault(part(name), set()).update(part(t) for t in targets if part(t))
    for name, targets in out.items():
        targets.discard(name)
    for targets in list(out.values()):
        for target in targets:
            out.setdefault(target, set())
    return out


def sniffing(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines that ask a model what it can do by its attributes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        asked = ast.unparse(node.args[0])
        about_model = any(
            word in asked.lower() for word in ("model", "segmenter", "embedder", "predictor", "detector")
        )
        if node.func.id == "hasattr" and about_model:
            yield node.lineno, ast.unparse(node)
        if node.func.id == "getattr" and len(node.args) == 3 and about_model:
            yield node.lineno, ast.unparse(node)


def private_accesses(path: Path) -> Iterator[tuple[int, str]]:
    """Yield accesses to names with one leading underscore on anything but self, cls and what the module defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute)
    }
    own |= {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))
    }
    own |= {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
            continue
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            continue
        if node.attr in own or node.attr in ("_replace", "_asdict", "_fields", "_from_iterable", "_exit"):
            continue
        yield node.lineno, ast.unparse(node)


def imports_of(libraries: tuple[str, ...], path: Path) -> Iterator[tuple[int, str]]:
    """Yield imports of these libraries, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            if name.partition(".")[0] in libraries:
                yield node.lineno, f"imports {name}"


def any_in_signatures(path: Path) -> Iterator[tuple[int, str]]:
    """Yield public functions whose annotations are `Any` itself (not `NDArray[Any]` or `dict[str, Any]`)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def bare(annotation: ast.expr | None) -> bool:
        if annotation is None:
            return False
        if isinstance(annotation, ast.Name):
            return annotation.id == "Any"
        if isinstance(annotation, ast.BinOp):
            return bare(annotation.left) or bare(annotation.right)
        return False

    def walk(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from walk(node.body)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                for argument in arguments:
                    if bare(argument.annotation):
                        yield node.lineno, f"{node.name}({argument.arg}: Any)"
                if bare(node.returns):
                    yield node.lineno, f"{node.name}(...) -> Any"

    yield from walk(tree.body)


def texts_of(path: Path) -> set[str]:
    """Return the texts of a module that may be the name of a module beside it, as in a table of formats."""
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if text.replace(".", "").replace("_", "").isalnum() and len(text) < 60}


def untested(graph: dict[str, set[str]], known: dict[str, Path]) -> list[str]:
    """Return modules that no test reaches through imports or names a module as text."""
    reached: set[str] = set()
    text_known = set(known)
    todo: list[str] = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        todo += imported(path, "tests", known)
        todo += [name for name in text_known if name in source]
    named: dict[str, set[str]] = {}
    for name, path in known.items():
        words = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(PACKAGE)
        }
        named[name] = {w for word in words for w in known if word == w or word.startswith((f"{w}:", f"{w}."))}
        named[name] |= {
            w for text in texts_of(path) for w in (f"{name}.{text}", f"{PACKAGE}.{text}") if w in known
        }
    manifest = (SOURCE / "napari.yaml").read_text(encoding="utf-8")
    todo += [name for name in text_known if f"{name}:" in manifest]
    stub = SOURCE / "__init__.pyi"  # what the package offers lazily is reached with the package
    todo += sorted(imported(stub, PACKAGE, known))
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        parents = name.split(".")
        todo += [".".join(parents[:i]) for i in range(1, len(parents))]
        todo += graph[name] | named[name]
    return sorted(set(known) - reached)


def main() -> int:
    """Run all checks; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print every finding")
    show = parser.parse_args().list
    known = modules()
    graph = {name: imported(path, name, known) for name, path in known.items()}
    failed = False

    def report(name: str, findings: list[str], most: int = 0) -> None:
        nonlocal failed
        bad = len(findings) > most
        failed |= bad
        limit = f" (at most {most})" if most else ""
        print(f"{'FAILED' if bad else 'ok':6} {name}: {len(findings)}{limit}")
        for finding in findings if show or (bad and not most) else []:
            print(f"         {finding}")

    def each(check, folders: tuple[str, ...] = ("",), skip: tuple[str, ...] = ()) -> list[str]:  # type: ignore[no-untyped-def]
        out = []
        for path in known.values():
            where = path.relative_to(SOURCE).as_posix()
            if where in skip or not any(where.startswith(folder) for folder in folders):
                continue
            out += [f"{where}:{line} {what}" for line, what in check(path)]
        return out

    report("import cycles", [" <-> ".join(group) for group in cycles(graph)])
    report("cycles of folders", [" <-> ".join(group) for group in cycles(folder_graph(graph))])
    report("models asked by hasattr or getattr", each(sniffing))
    report("private names of others", each(private_accesses, skip=tuple(COMPATIBILITY)))
    report("docks that compute", each(partial(imports_of, COMPUTING), ("widgets/", "canvas/")))
    below = tuple(
        path.relative_to(SOURCE).as_posix()
        for path in known.values()
        if not path.relative_to(SOURCE).as_posix().startswith(MAY_OPEN_WINDOWS)
    )
    report("Qt or napari below the docks", each(partial(imports_of, WINDOWS), below))
    report(
        "Any in public signatures of the core",
        each(any_in_signatures, tuple(f"{c}/" for c in CORE)),
        MOST_ANY,
    )
    report("modules that no test reaches", untested(graph, known))
    lines = sum(
        len(path.read_text(encoding="utf-8").splitlines()) for path in (SOURCE / "widgets").rglob("*.py")
    )
    failed |= lines >= MOST_LINES
    print(f"{'FAILED' if lines >= MOST_LINES else 'ok':6} lines in widgets/: {lines} (below {MOST_LINES})")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
