"""Spontaneous activity of the developing mouse retina on multi-electrode arrays.

One HDF5 file a recording: ``spikes`` holds all times in seconds, grouped by unit,
``sCount[i]`` of them for unit i; ``epos`` (2, units) is in micrometres.

Which animal a recording comes from is read from the file names, laboratory by laboratory:

``Demas2003_P11_CTRL_HY2_1A``
    Letters and number are the animal: animals of one set of letters were recorded at
    different ages (MS4 at 11 days, MS5 at 15), and one animal gave several retinas and
    pieces (HY2_1A, HY2_2A). The animal ``Demas2003_HY2`` is the subject.
``Kirkby2013_05_WT_P6``
    Numbers restart with each genotype, so genotype and number are the subject.
``Xu2011_20NOV2007R1-31``
    R1, R2, R3 (or M1, M2, M3) of one date may be one retina, so the date is the subject.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.sources.source import RemoteFile, RemoteSession, Source

NAME = "retinal_waves"
URL = "https://raw.githubusercontent.com/sje30/waverepo/a1be18b93979fa2861c8e206472b57500bb7fb92"
CITATIONS = {
    "Demas2003": "Demas, Eglen & Wong (2003) J. Neurosci. 23:2851-2860",
    "Kirkby2013": "Kirkby & Feller (2013) PNAS 110:12090-12095, doi 10.1073/pnas.1222150110",
    "Xu2011": "Xu et al. (2011) Neuron 70:1115-1127, doi 10.1016/j.neuron.2011.04.028",
}
REPOSITORY_CITATION = "Eglen et al. (2014) GigaScience 3:3, doi 10.1186/2047-217X-3-3"
CONDITIONS = {"ctl": "control", "dr": "dark reared"}
# File name without the laboratory and ".h5", then its size in bytes.
FILES = {
    "Demas2003": """
        6WK_CTRL_MD3_1A 107016, 6WK_CTRL_ME1 331853, 6WK_CTRL_ME2 397585,
        6WK_CTRL_ME3_1B 1690978, 6WK_DR_HC2_1A 458341, 6WK_DR_HD1 124863,
        6WK_DR_HE1_1A 91188, 6WK_DR_HE2 1773187, 6WK_DR_HE3_1C 227459, 6WK_DR_HE5 634574,
        P11_CTRL_HP1_1A 426076, P11_CTRL_HY1_1A 50021, P11_CTRL_HY2_1A 95156,
        P11_CTRL_HY2_2A 71684, P11_CTRL_MS4_1A 143211, P13_CTRL_MII2_2A 111245,
        P13_CTRL_MT2_1A 258755, P13_CTRL_MU1_1A 107701, P15_CTRL_MEE1_1A 304693,
        P15_CTRL_MI1_2B 232848
    """,
    "Kirkby2013": """
        01_B2KO_P4 40699, 01_WT_P6 69859, 02_B2KO_P5 38568, 02_WT_P5 72692,
        03_B2KO_P7 70434, 03_WT_P5 87926, 04_B2KO_P4 39819, 04_WT_P5 223672,
        05_B2KO_P6 100756, 05_WT_P6 84677, 06_B2KO_P7 104722, 06_WT_P6 88072,
        07_B2KO_P6 109837, 07_WT_P5 81926
    """,
    "Xu2011": """
        06NOV2007R1-31 142836, 07NOV2007R1-31 256840, 08NOV2007R1-RINGER 84133,
        08NOV2007R2-RINGER 83698, 14APR2010R1-RINGER-37C 121212,
        14APR2010R2-RINGER-37C 127958, 14AUG2008R1-RINGER 155423,
        14AUG2008R2-RINGER 99489, 19NOV2007R3-31 139551, 20MAY2009R1-RINGER 100077,
        20MAY2009R2-RINGER 61569, 20MAY2009R3-RINGER 126440, 20NOV2007R1-31 153059,
        20NOV2007R2-31 142460, 20NOV2007R3-31 244645, 25APR2010R1-TG-37-RINGER 66641,
        25APR2010R2-TG-37-RINGER 70269, 25AUG2008M1-RINGER 154632,
        25AUG2008M2-RINGER 145043, 25AUG2008M3-RINGER 105332
    """,
}


def subject_of(name: str) -> str:
    """Tell the subject of a recording from its file name (without suffix).

    Raises
    ------
    DataError
        If the name follows none of the three laboratories.

    Examples
    --------
    >>> subject_of("Xu2011_20NOV2007R3-31")
    'Xu2011_2007-11-20'
    """
    laboratory, _, rest = name.partition("_")
    if laboratory == "Demas2003" and (found := re.match(r"[^_]+_[^_]+_([A-Z]+\d+)", rest)):
        return f"{laboratory}_{found[1]}"
    if laboratory == "Kirkby2013" and (found := re.match(r"(\d+)_([^_]+)_P\d+$", rest)):
        return f"{laboratory}_{found[2]}_{found[1]}"
    if laboratory == "Xu2011" and (found := re.match(r"(\d{2}[A-Z]{3}\d{4})[RM]\d", rest)):
        return f"{laboratory}_{datetime.strptime(found[1].title(), '%d%b%Y'):%Y-%m-%d}"
    raise DataError(
        f"{name}: no animal or date can be read from this name, so it cannot be held out "
        f"honestly; known are {', '.join(CITATIONS)}"
    )


def find_files(folder: Path) -> list[Path]:
    """Return the recordings below a folder (or the one file), in the order of their names."""
    if folder.is_file():
        return [folder]
    return sorted(path for name in CITATIONS for path in folder.rglob(f"{name}_*.h5"))


def convert(path: Path) -> Recording:
    """Read one file of the repository.

    Raises
    ------
    DataError
        If it is not such a file.
    """
    laboratory = path.stem.partition("_")[0]
    subject = subject_of(path.stem)
    try:
        with h5py.File(path, "r") as file:
            times = np.asarray(file["spikes"], dtype=np.float64)
            num_spikes = np.asarray(file["sCount"], dtype=np.int64)
            position = np.asarray(file["epos"], dtype=np.float64)
            names = np.asarray(file["names"]).astype(np.str_) if "names" in file else None
            meta = {
                key: np.asarray(file[f"meta/{key}"]).ravel()[0]
                for key in ("species", "age", "genotype", "cond")
                if f"meta/{key}" in file
            }
    except (OSError, KeyError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"{path}: not a readable recording of {NAME} ({error})") from error
    num_units = len(num_spikes)
    if num_spikes.sum() != len(times) or position.shape != (2, num_units) or len(times) == 0:
        raise DataError(
            f"{path}: {len(times)} spikes and positions {position.shape} do not fit "
            f"{num_units} units with {num_spikes.sum()} spikes; download the file again"
        )
    order = np.argsort(times, kind="stable")
    units = Units.numbered(num_units)
    position_um = np.full((num_units, 3), np.nan)
    position_um[:, :2] = position.T
    text = {
        key: value.decode() if isinstance(value, bytes) else str(value)
        for key, value in meta.items()
    }
    metadata = {
        "laboratory": laboratory,
        "species": text.get("species", ""),
        "age_days": text.get("age", ""),
        "genotype": text.get("genotype", ""),
        "condition": CONDITIONS.get(text.get("cond", ""), text.get("cond", "")),
        "preparation": "isolated retina, multi-electrode array",
        "licence": SOURCE.licence,
        "citation": f"{CITATIONS[laboratory]}; {REPOSITORY_CITATION}",
        "homepage": SOURCE.homepage,
    }
    return Recording(
        id=path.stem,
        subject=subject,
        source=NAME,
        spike_times=times[order],
        spike_unit_index=np.repeat(np.arange(num_units), num_spikes)[order],
        units=Units(
            id=units.id if names is None or len(set(names)) < num_units else names,
            area=np.full(num_units, "retina"),
            position_um=position_um,
            quality=units.quality,
        ),
        # The files do not say when recording began; whole seconds around the spikes.
        domain=np.array([[np.floor(times.min()), np.floor(times.max()) + 1.0]]),
        metadata={key: value for key, value in metadata.items() if value},
    )


def list_sessions(folder: Path) -> list[RemoteSession]:
    """List all sessions; they are always the same ones."""
    return [
        RemoteSession(
            id=f"{laboratory}_{name}",
            num_bytes=int(size),
            files=(RemoteFile(path, f"{URL}/hdf5/{path}", int(size)),),
            about={"laboratory": laboratory},
        )
        for laboratory, listing in FILES.items()
        for name, size in (entry.split() for entry in listing.split(","))
        for path in [f"{laboratory}/{laboratory}_{name}.h5"]
    ]


SOURCE = Source(
    name=NAME,
    title="Spontaneous retinal waves on multi-electrode arrays (mouse)",
    find_files=find_files,
    convert=convert,
    licence="GPL-2",
    citation="; ".join([REPOSITORY_CITATION, *CITATIONS.values()]),
    homepage="https://github.com/sje30/waverepo",
    num_recordings=54,
    num_units=2404,
    num_spikes=2_359_472,
    list_sessions=list_sessions,
    notes=(
        "Activity comes in waves seconds apart: a constant rate is a weak null, so compare "
        "with the whole ladder of baselines.",
        "Units of one recording can share many spikes (Kirkby2013: 38-73 % within 0.2 ms of "
        "another unit's); validation reports them.",
        "Hold out whole subjects, stratified by laboratory; a recording with fewer than "
        "2,000 test spikes is shown, not scored.",
    ),
)
