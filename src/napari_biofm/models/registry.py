"""What is known of every model before a byte of it is downloaded.

An entry says where the weights come from, what they weigh, what their licence means to a user, and
which packages and how much memory they need. Nothing here imports torch or opens a connection.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from napari_biofm.types import ModelError

Family = Literal["cellpose-sam", "cellpose-dino", "sam", "mobile-sam", "sam2", "embedded"]

MB = 1_000_000


@dataclass(frozen=True)
class ModelEntry:
    """One model, as the registry knows it.

    Attributes
    ----------
    name : the word a user types.
    family : the adapter that runs it.
    title : one line for a menu.
    urls : sources of the weights, tried in order; the first is the publisher's.
    file_name : name of the file in the folder of models.
    sha256 : published digest of the file; None where nobody published one, then it is recorded
        at the first download and checked from then on.
    size : bytes of the file (rounded where `sha256` is None).
    licence : SPDX name or the publisher's own name of the licence.
    licence_note : what that means to somebody who wants to use the model.
    memory : bytes of memory one tile needs, weights included, float32.
    requires : packages that have to be importable.
    architecture : key of the network inside its family, e.g. "vit_b".
    unavailable : why it cannot be run by this version whatever is installed; empty where it can.
    """

    name: str
    family: Family
    title: str
    urls: tuple[str, ...]
    file_name: str
    sha256: str | None
    size: int
    licence: str
    licence_note: str
    memory: int
    requires: tuple[str, ...]
    architecture: str = ""
    unavailable: str = ""

    @property
    def obstacle(self) -> str:
        """Why this model cannot run here, in a sentence; empty where it can."""
        if self.unavailable:
            return self.unavailable
        return f"Needs {', '.join(self.missing)}, which is not installed." if self.missing else ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages this model needs that are not installed here."""
        return tuple(p for p in self.requires if importlib.util.find_spec(p) is None)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as plain JSON values, for `models list --json` and provenance."""
        return {
            "name": self.name,
            "family": self.family,
            "title": self.title,
            "size": self.size,
            "sha256": self.sha256,
            "licence": self.licence,
            "licence_note": self.licence_note,
            "memory": self.memory,
            "requires": list(self.requires),
            "missing": list(self.missing),
            "obstacle": self.obstacle,
            "urls": list(self.urls),
        }


_CPSAM_NOTE = (
    "The weights are labelled BSD-3-Clause, but were trained on data that are partly CC-BY-NC: "
    "fine for academic work; ask the authors and your lawyers before commercial use."
)
_SAM_NOTE = "Apache-2.0: free to use, also commercially, when the notice is kept."
_MICRO_SAM_NOTE = "CC-BY-4.0: free to use, also commercially, when micro-sam (Archit et al.) is credited."
_DINO_NOTE = (
    "Built on DINOv3, whose own licence (Meta) applies next to Cellpose's; trained partly on CC-BY-NC data."
)
# The revision of the repository whose files have the digests below; `main` may move.
_CPSAM_REVISION = "7c61431b5fbb078f3296754bd15d9f51b320f837"
_CPSAM_HOST = "https://huggingface.co/mouseland/cellpose-sam/resolve"
_BIOIMAGE = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"


def _cellpose(name: str, title: str, sha256: str, size: int) -> ModelEntry:
    return ModelEntry(
        name=name,
        family="cellpose-sam",
        title=title,
        urls=(f"{_CPSAM_HOST}/{_CPSAM_REVISION}/{name}", f"{_CPSAM_HOST}/main/{name}"),
        file_name=name,
        sha256=sha256,
        size=size,
        licence="BSD-3-Clause (training data partly CC-BY-NC-4.0)",
        licence_note=_CPSAM_NOTE,
        memory=2_000 * MB,
        requires=("torch", "cellpose"),
        architecture="sam_vitl",
    )


def _cellpose_dino(name: str, title: str, size: int) -> ModelEntry:
    return ModelEntry(
        name=name,
        family="cellpose-dino",
        title=title,
        urls=(f"{_CPSAM_HOST}/main/{name}",),
        file_name=name,
        sha256=None,
        size=size,
        licence="DINOv3 licence",
        licence_note=_DINO_NOTE,
        memory=2_000 * MB,
        requires=("torch", "cellpose", "dinov3"),
        architecture="dino",
        unavailable=(
            "Not available: its network is in the package dinov3, which is on no package index, and this "
            "version has no adapter for it. Use cpsam_v2."
        ),
    )


def _sam(letter: str, digest: str, sha256: str, size: int, memory: int) -> ModelEntry:
    file_name = f"sam_vit_{letter}_{digest}.pth"
    return ModelEntry(
        name=f"sam_vit_{letter}",
        family="sam",
        title=f"Segment Anything, ViT-{letter.upper()}",
        urls=(
            f"https://dl.fbaipublicfiles.com/segment_anything/{file_name}",
            f"https://huggingface.co/ybelkada/segment-anything/resolve/main/checkpoints/{file_name}",
        ),
        file_name=file_name,
        sha256=sha256,
        size=size,
        licence="Apache-2.0",
        licence_note=_SAM_NOTE,
        memory=memory,
        requires=("torch", "segment_anything"),
        architecture=f"vit_{letter}",
    )


def _micro_sam(name: str, title: str, resource: str, size: int) -> ModelEntry:
    architecture = name[:5]
    return ModelEntry(
        name=name,
        family="sam",
        title=title,
        urls=(
            f"{_BIOIMAGE}/{resource}/1.2/files/{architecture}.pt",
            f"{_BIOIMAGE}/{resource}/1/files/{architecture}.pt",
        ),
        file_name=f"micro_sam_{name}.pt",
        sha256=None,
        size=size,
        licence="CC-BY-4.0",
        licence_note=_MICRO_SAM_NOTE,
        memory=(3_000 if architecture == "vit_b" else 5_000) * MB,
        requires=("torch", "segment_anything"),
        architecture=architecture,
    )


def _sam2(size: str, bytes_: int, memory: int) -> ModelEntry:
    name = f"sam2.1_hiera_{size}"
    return ModelEntry(
        name=name,
        family="sam2",
        title=f"SAM 2.1, {size.replace('_', ' ')}: carries masks through z and t",
        urls=(
            f"https://dl.fbaipublicfiles.com/segment_anything_2/092824/{name}.pt",
            f"https://huggingface.co/facebook/sam2.1-hiera-{size.replace('_', '-')}/resolve/main/{name}.pt",
        ),
        file_name=f"{name}.pt",
        sha256=None,
        size=bytes_,
        licence="Apache-2.0",
        licence_note=_SAM_NOTE,
        memory=memory,
        requires=("torch", "sam2"),
        architecture=name,
    )


REGISTRY: tuple[ModelEntry, ...] = (
    _cellpose(
        "cpsam_v2",
        "Cellpose-SAM v2: cells and nuclei of any kind",
        "0f1cc3f7ecdd8a037a57c6c48d9d8921391be4cbce3fa9f13c3e3a2e1253c667",
        1_233_586_851,
    ),
    _cellpose(
        "cpsam",
        "Cellpose-SAM, first release (Cellpose 4.0 and 4.1)",
        "e1440429eb384f95afe32bcba6510f90d518eaedc917ede549bed6804004abe2",
        1_233_587_898,
    ),
    _cellpose_dino("cpdino", "Cellpose on DINOv3 ViT-L", 1_220 * MB),
    _cellpose_dino("cpdino-vitb", "Cellpose on DINOv3 ViT-B", 350 * MB),
    _sam(
        "b",
        "01ec64",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        375_042_383,
        3_000 * MB,
    ),
    _sam(
        "l",
        "0b3195",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        1_249_524_607,
        5_000 * MB,
    ),
    _sam(
        "h",
        "4b8939",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        2_564_550_879,
        7_000 * MB,
    ),
    _micro_sam("vit_b_lm", "micro-sam ViT-B, light microscopy", "diplomatic-bug", 375 * MB),
    _micro_sam("vit_l_lm", "micro-sam ViT-L, light microscopy", "idealistic-rat", 1_250 * MB),
    _micro_sam("vit_b_em_organelles", "micro-sam ViT-B, organelles in EM", "noisy-ox", 375 * MB),
    _micro_sam("vit_l_em_organelles", "micro-sam ViT-L, organelles in EM", "humorous-crab", 1_250 * MB),
    ModelEntry(
        name="mobile_sam",
        family="mobile-sam",
        title="MobileSAM (ViT-T): small and fast clicks",
        urls=("https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",),
        file_name="mobile_sam.pt",
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        size=40_728_226,
        licence="Apache-2.0",
        licence_note=_SAM_NOTE,
        memory=1_000 * MB,
        requires=("torch", "segment_anything", "timm"),
        architecture="vit_t",
    ),
    _sam2("tiny", 156 * MB, 2_000 * MB),
    _sam2("small", 184 * MB, 2_000 * MB),
    _sam2("base_plus", 324 * MB, 3_000 * MB),
    _sam2("large", 898 * MB, 5_000 * MB),
)


def names(family: Family | None = None) -> list[str]:
    """Return the names of all models, or of one family, in the order of the menu.

    Parameters
    ----------
    family : of weights; None for all.
    """
    return [entry.name for entry in REGISTRY if family in (None, entry.family)]


def entries(family: Family | None = None) -> Iterator[ModelEntry]:
    """Yield all entries, or those of one family.

    Parameters
    ----------
    family : of weights; None for all.
    """
    return (entry for entry in REGISTRY if family in (None, entry.family))


def get(name: str) -> ModelEntry:
    """Return the entry called `name`.

    Parameters
    ----------
    name : as a user types it.

    Raises
    ------
    ModelError
        When no model is called that.
    """
    for entry in REGISTRY:
        if entry.name == name:
            return entry
    raise ModelError(f"no model is called {name!r}; the registry has {', '.join(names())}, or give a file")


def check_needs(entry: ModelEntry) -> None:
    """Raise ModelError, before anything is downloaded, when `entry` cannot run here.

    Parameters
    ----------
    entry : the model that is wanted.
    """
    if entry.unavailable:
        raise ModelError(f"{entry.name}: {entry.unavailable} Nothing was downloaded.")
    if entry.missing:
        missing = ", ".join(entry.missing)
        raise ModelError(
            f"{entry.name} needs the package(s) {missing}, which are not installed; "
            f"install them first or choose another model. Nothing was downloaded."
        )
