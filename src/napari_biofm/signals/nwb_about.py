"""What an NWB file says of the experiment and the animal: what people gave, checked, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_biofm.signals.nwb_icephys import NO_DATE
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

METADATA = "nwb_about"  # in the metadata of a recording: what its file says
FIELDS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "session_description": ("Session", "What was done, in a sentence."),
    "experimenter": ("Experimenter", "Who recorded; several with semicolons, such as Doe, Jane; Roe, Richard."),
    "lab": ("Lab", "Where it was recorded."),
    "institution": ("Institution", "University or institute of the lab."),
    "subject_id": ("Subject", "Name of the animal or donor in your records."),
    "species": ("Species", "Latin name, such as Mus musculus."),
    "sex": ("Sex", "M, F, O (other) or U (unknown)."),
    "age": ("Age", "ISO 8601 duration: P90D (days), P12W (weeks), P2Y6M (years, months); a range as P1D/P3D."),
    "genotype": ("Genotype", "Of the animal, such as Thy1-GCaMP6f."),
})  # fmt: skip
SUBJECT = ("subject_id", "species", "sex", "age", "genotype")
SEXES = ("M", "F", "O", "U")
_AGE = re.compile(
    r"P(?=\d|T\d)(\d+(\.\d+)?Y)?(\d+(\.\d+)?M)?(\d+(\.\d+)?W)?(\d+(\.\d+)?D)?(T(?=\d)(\d+(\.\d+)?H)?(\d+(\.\d+)?M)?(\d+(\.\d+)?S)?)?"
)
_SPECIES = re.compile(r"[A-Z][a-z]+( [a-z][a-z-]+){1,2}|https?://\S+")
_LATIN = MappingProxyType({
    "mouse": "Mus musculus", "mice": "Mus musculus", "rat": "Rattus norvegicus", "human": "Homo sapiens",
    "zebrafish": "Danio rerio", "fly": "Drosophila melanogaster", "drosophila": "Drosophila melanogaster",
    "guinea pig": "Cavia porcellus", "rabbit": "Oryctolagus cuniculus", "worm": "Caenorhabditis elegans",
    "c. elegans": "Caenorhabditis elegans", "macaque": "Macaca mulatta", "rhesus": "Macaca mulatta",
    "chicken": "Gallus gallus", "pig": "Sus scrofa", "ferret": "Mustela putorius furo", "xenopus": "Xenopus laevis",
    "marmoset": "Callithrix jacchus", "gerbil": "Meriones unguiculatus", "hamster": "Mesocricetus auratus",
})  # fmt: skip


@dataclass(frozen=True)
class NwbAbout:
    """The experiment and the animal; "" where nobody said.

    Attributes
    ----------
    session_description, experimenter, lab, institution : of the experiment; several people with semicolons.
    subject_id, species, sex, age, genotype : of the animal; `species` in Latin, `sex` M, F, O or U, `age` in ISO 8601.
    """

    session_description: str = ""
    experimenter: str = ""
    lab: str = ""
    institution: str = ""
    subject_id: str = ""
    species: str = ""
    sex: str = ""
    age: str = ""
    genotype: str = ""

    @property
    def given(self) -> dict[str, str]:
        """What was said, by field."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}


def nwb_about(values: Mapping[str, str]) -> NwbAbout:
    """Return checked fields; blanks around them are taken off.

    Parameters
    ----------
    values : of `FIELDS`, by name.

    Raises
    ------
    RecordingError
        If a field is unknown, or age, sex or species is not written as NWB wants it.
    """
    for name in values:
        if name not in FIELDS:
            raise RecordingError(f"NWB: no field {name!r}; there are: {', '.join(FIELDS)}")
    about = NwbAbout(**{name: str(value).strip() for name, value in values.items()})
    if about.age and not all(_AGE.fullmatch(part) for part in about.age.split("/", 1)):
        raise RecordingError(f"age {about.age!r}: {_age_hint(about.age)}")
    if about.sex and about.sex.upper() not in SEXES:
        hint = {"male": "M", "female": "F"}.get(about.sex.lower())
        raise RecordingError(f"sex {about.sex!r}: write " + (hint or "M, F, O (other) or U (unknown)"))
    if about.species and not _SPECIES.fullmatch(about.species):
        latin = _LATIN.get(about.species.lower())
        known = (
            f"write {latin}" if latin else "write the Latin name, genus with a capital, such as Mus musculus"
        )
        raise RecordingError(f"species {about.species!r}: {known}")
    return dataclasses.replace(about, sex=about.sex.upper())


def _age_hint(text: str) -> str:
    found = re.fullmatch(
        r"[pP]?\s*(\d+(?:\.\d+)?)\s*-?\s*(d|w|m|y)?[a-z]*(?:\s+old)?", text.strip(), re.IGNORECASE
    )
    if found is None or (found[2] is None and text[:1] not in "pP"):
        return "write a duration, such as P90D (days), P12W (weeks) or P2Y6M (years, months)"
    return f"write P{found[1]}{(found[2] or 'D').upper()}"


def arguments_of_file(about: NwbAbout) -> dict[str, Any]:
    """Return what `pynwb.NWBFile` takes: what was given, the description apart.

    Parameters
    ----------
    about : the fields.
    """
    import pynwb

    given = about.given
    made: dict[str, Any] = {name: given[name] for name in ("lab", "institution") if name in given}
    if about.experimenter:
        made["experimenter"] = [one.strip() for one in about.experimenter.split(";") if one.strip()]
    animal = {name: given[name] for name in SUBJECT if name in given}
    if animal:
        made["subject"] = pynwb.file.Subject(**animal)
    return made


def about_in_file(path: Path) -> NwbAbout:
    """Return what an NWB file says, as it stands there.

    Parameters
    ----------
    path : of the file.
    """
    import h5py

    def text(group: Any, name: str) -> str:
        held = group.get(name)
        value = held[()] if isinstance(held, h5py.Dataset) else ""
        many = value.ravel().tolist() if hasattr(value, "ravel") else [value]
        return "; ".join(
            one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in many
        )

    with h5py.File(path, "r") as file:
        general = file.get("general", {})
        said = {name: text(general, name) for name in ("experimenter", "lab", "institution")}
        said["session_description"] = text(file, "session_description").replace(NO_DATE, "").strip()
        animal = general.get("subject", {})
        animal = animal if isinstance(animal, h5py.Group) else {}
        said |= {name: text(animal, name) for name in SUBJECT}
    return NwbAbout(**said)


def about_of(*recordings: Recording) -> NwbAbout:
    """Return what the NWB file of a recording says, the first that says anything; nothing for other files.

    Parameters
    ----------
    *recordings : any.
    """
    for said in (recording.metadata.get(METADATA) for recording in recordings):
        if said:
            return NwbAbout(**{name: str(said[name]) for name in FIELDS if name in said})
    return NwbAbout()
