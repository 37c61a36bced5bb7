"""Properties of molecules from few and many labels, scaffold split, 5 seeds: fingerprints, descriptors, MiniMol.

    python benchmarks/molecules.py [--quick] [--json] [--data DIR]

Solubility (ESOL, RMSE of log mol/L) and blood-brain barrier (BBBP, ROC AUC), with all labels and with 50. The head of each
vector, forest or support vectors, is chosen per seed on a third of the training scaffolds. The published numbers of MoleculeNet (Wu
et al., Chem Sci 9:513, 2018) stand beside them: ESOL there is split at random, which is easier; BBBP by scaffold.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_biofm.conditions.compounds import Compounds, read_compounds, scaffold_split, vectors
from napari_biofm.types import ConditionsError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "molecules"
TASKS = {
    "esol": ("delaney-processed.csv", "measured log solubility in mols per litre"),
    "bbbp": ("BBBP.csv", "BBBP"),
}
PUBLISHED = {
    "esol": "MoleculeNet, random split: RF 1.07, GC 0.97, MPNN 0.58",
    "bbbp": "MoleculeNet, scaffold: RF 0.71, GC 0.69",
}
FEW = 50


def heads(task: str, seed: int) -> list[Any]:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    forest: dict[str, Any] = {"n_estimators": 100, "max_features": 0.1, "n_jobs": 1, "random_state": seed}
    if task == "esol":
        return [ExtraTreesRegressor(**forest), make_pipeline(StandardScaler(), SVR(C=10))]
    return [ExtraTreesClassifier(**forest), make_pipeline(StandardScaler(), SVC(C=3))]


def score(task: str, head: Any, X: NDArray[Any], y: NDArray[Any]) -> float:
    from sklearn.metrics import roc_auc_score

    if task == "esol":
        return float(np.sqrt(np.mean((head.predict(X) - y) ** 2)))
    said = head.predict_proba(X)[:, 1] if hasattr(head, "predict_proba") else head.decision_function(X)
    return float(roc_auc_score(y, said))


def part(compounds: Compounds, rows: NDArray[np.int64]) -> Compounds:
    fields = (
        compounds.smiles,
        compounds.canonical,
        compounds.scaffolds,
        compounds.reasons,
        compounds.molecules,
    )
    return Compounds(*(tuple(f[i] for i in rows) for f in fields))


def run(task: str, compounds: Compounds, X: NDArray[Any], y: NDArray[Any], seed: int, n: int | None) -> float:
    learned, scored = scaffold_split(compounds, 0.1, seed)
    rng = np.random.default_rng(seed)
    if n is not None:
        learned = rng.permutation(learned)[:n]
    inner, outer = scaffold_split(part(compounds, learned), 1 / 3, seed)
    better = min if task == "esol" else max
    tried = []
    for i, head in enumerate(heads(task, seed)):
        rows, held = learned[inner], learned[outer]
        usable = len(held) and (task == "esol" or min(len(set(y[rows])), len(set(y[held]))) > 1)
        tried.append((score(task, head.fit(X[rows], y[rows]), X[held], y[held]) if usable else 0.0, i))
    best = better(tried)[1]
    return score(task, heads(task, seed)[best].fit(X[learned], y[learned]), X[scored], y[scored])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    out: dict[str, Any] = {}
    for task, (name, column) in TASKS.items():
        table = pd.read_csv(args.data / name)
        compounds = read_compounds(list(table["smiles"].astype(str)))
        y = table[column].to_numpy(float if task == "esol" else int)
        unreadable = compounds.unreadable()
        print(f"{task}: {len(y)} compounds, {len(unreadable)} do not parse; {PUBLISHED[task]}")
        measure = "rmse" if task == "esol" else "auc"
        means = []
        for kind in ("morgan", "descriptors", "minimol"):
            try:
                X = vectors(compounds, kind)
            except ConditionsError as error:
                print(f"  {kind}: {error}")
                continue
            for n in (None, FEW):
                found = [run(task, compounds, X, y, seed, n) for seed in range(1 if args.quick else 5)]
                key = f"{task}_{measure}_scaffold_{kind}" + (f"_{n}_labels" if n else "")
                out[key] = round(float(np.mean(found)), 4)
                out[f"{key}_sd"] = round(float(np.std(found)), 4)
                print(f"  {kind:12} {n or 'all':>4} labels: {np.mean(found):.3f} (sd {np.std(found):.3f})")
                if n is None:
                    means.append(out[key])
        out[f"{task}_{measure}_scaffold"] = min(means) if task == "esol" else max(means)
        out[f"{task}_not_parsed"] = len(unreadable)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
