"""THINGS Ventral stream Spiking Dataset (TVSD): macaque V1, V4 and IT, 22,000 THINGS images.

A monkey's folder holds ``THINGS_normMUA.mat`` (one value an image and electrode, normalised),
``THINGS_MUA_trials.mat`` (every trial, millisecond by millisecond; tens of GB) and ``_logs/``
with ``things_imgs.mat`` (which image each row shows) and the recorder's channel mapping. The
pictures are the THINGS database's, which has its own terms and lies in a folder of its own.

Each monkey has 16 arrays of 64 electrodes, in this order in normMUA. Which arrays lie in which
area differs between the monkeys, and one public loader swaps V4 and IT of monkey F: the table
here is the authors', it can be overridden, and the order of latencies is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.responses import (
    ResponseRecording,
    Responses,
    presentation_clock,
)
from neurohorizon.recordings.schema import IntArray, Units
from neurohorizon.sources.source import Setting, Source
from neurohorizon.sources.tvsd.files import (
    NUM_UNITS,
    image_table,
    member,
    open_mat,
    read_image_list,
    read_mapping,
    read_repeats,
    read_rows,
    read_statistics,
)
from neurohorizon.sources.tvsd.trials import read_trials

NAME = "tvsd"
NORM, TRIALS = "THINGS_normMUA.mat", "THINGS_MUA_trials.mat"
IMAGE_LIST, MAPPING = "things_imgs.mat", "1024chns_mapping_*.mat"
CHANNELS_PER_ARRAY = 64
# First and last electrode, from 0.
REGIONS = {"F": "V1:0-511 IT:512-831 V4:832-1023", "N": "V1:0-511 V4:512-767 IT:768-1023"}
AREAS = ("V1", "V4", "IT")


@dataclass(frozen=True)
class _Monkey:
    """Where the files of one monkey lie: a folder, and what their names begin with."""

    folder: Path
    prefix: str
    letter: str

    @property
    def name(self) -> str:
        return f"monkey{self.letter}"

    def file(self, name: str) -> Path:
        return self.folder / f"{self.prefix}{name}"

    def log(self, pattern: str) -> Path:
        """Find a file of the logs, beside the data or in ``_logs``."""
        folders = (self.folder / "_logs", self.folder, self.folder.parent / "_logs")
        for folder in folders:
            for prefix in (self.prefix, ""):
                found = sorted(folder.glob(f"{prefix}{pattern}"))
                if found:
                    return found[0]
        raise DataError(
            f"{self.folder}: no {pattern} here or in _logs/; "
            f"download it from the data set's {self.name}/_logs"
        )


def find_files(path: Path) -> list[Path]:
    """Return one data file a monkey: normMUA, or the trials where there is no normMUA."""
    if path.is_file():
        return [path]
    found: dict[tuple[Path, str], Path] = {}
    for name in (NORM, TRIALS):
        for file in path.rglob(f"*{name}"):
            found.setdefault((file.parent, file.name.removesuffix(name)), file)
    return sorted(found.values())


def convert(
    path: Path,
    *,
    read: str = "",
    images: str = "",
    monkey: str = "",
    regions: str = "",
    test: str = "repeats",
    bins_ms: float = 0.0,
) -> ResponseRecording:
    """Read one monkey.

    Parameters
    ----------
    path : path
        ``THINGS_normMUA.mat``, ``THINGS_MUA_trials.mat``, or the folder with one of them.
    read : {"", "normMUA", "trials"}
        Which file to read; "": the one that `path` names.
    images : str
        Folder of THINGS pictures (with one folder a class inside); "": no hashes.
    monkey : {"", "F", "N"}
        "": as the path says.
    regions : str
        As ``"V1:0-511 IT:512-831 V4:832-1023"``, electrodes from 0; "": the monkey's own.
    test : {"repeats", "mean"}
        Single presentations of the test images, or their mean. Only for normMUA.
    bins_ms : float
        Time bins over all that was recorded, in ms; 0: one value, the mean over the area's
        window. Only for trials.

    Returns
    -------
    ResponseRecording
        Of normMUA: train images, then test images by repeat. Of trials: in the order in
        which they were shown; values are read from `path` when asked for.

    Raises
    ------
    DataError
        If a file is missing, damaged or does not fit the others.
    ConfigError
        If a setting is none of those above, or has no effect on what is read.
    """
    where, kind = _locate(path, read, monkey)
    if test not in ("repeats", "mean"):
        raise ConfigError(f"test={test}: choose repeats or mean")
    if kind == TRIALS and test != "repeats":
        raise ConfigError("test=mean has no effect on trials: they are read one by one")
    if kind == NORM and bins_ms:
        raise ConfigError(f"bins_ms={bins_ms:g} has no effect on normMUA: give read=trials")
    if bins_ms < 0:
        raise ConfigError(f"bins_ms={bins_ms:g}: expected a width in ms, or 0 for no bins")
    area = _areas(regions or REGIONS[where.letter])
    image_list = where.log(IMAGE_LIST)
    listed = read_image_list(image_list)
    counts = {part: len(listed[part]["class"]) for part in ("train", "test")}
    if kind == NORM:
        responses = _normalised(where.file(NORM), test, counts, image_list)
        label = "normMUA"
    else:
        responses = _trials(where, area, bins_ms, counts)
        label = f"trials_{bins_ms:g}ms".replace(".", "p") if bins_ms else "trials"
    statistics, missing = read_statistics(where.file(NORM))
    number = np.arange(NUM_UNITS)
    statistics["array"] = number // CHANNELS_PER_ARRAY + 1
    statistics["channel"] = number % CHANNELS_PER_ARRAY + 1
    metadata = {
        "species": "macaque",
        "laboratory": "Roelfsema",
        "preparation": "16 Utah arrays in V1, V4 and IT, multi-unit activity, fixating",
        "regions": regions or REGIONS[where.letter],
        "values": _describe(kind, test, bins_ms),
        "licence": SOURCE.licence,
        "citation": SOURCE.citation,
        "homepage": SOURCE.homepage,
    }
    if missing:
        metadata["missing_statistics"] = ", ".join(missing)
    return ResponseRecording(
        id=f"{where.name}_{label}",
        subject=where.name,
        source=NAME,
        units=Units(
            id=np.array(
                [
                    f"array{array:02d}_channel{channel:02d}"
                    for array, channel in zip(
                        statistics["array"], statistics["channel"], strict=True
                    )
                ]
            ),
            area=area,
            position_um=np.full((NUM_UNITS, 3), np.nan),
            quality=np.full(NUM_UNITS, ""),
            columns=statistics,
        ),
        responses=responses,
        images=image_table(listed, Path(images).expanduser() if images else None),
        metadata=metadata,
    )


def _locate(path: Path, read: str, monkey: str) -> tuple[_Monkey, str]:
    """Tell which monkey's files are meant, and which of them shall be read."""
    if path.is_dir():
        found = find_files(path)
        if len(found) != 1:
            raise DataError(
                f"{path}: expected one {NORM} or {TRIALS}, found {len(found)}; "
                "name the folder of one monkey"
            )
        path = found[0]
    elif not path.exists():
        raise DataError(f"{path}: no such file or folder")
    kinds = {"normMUA": NORM, "trials": TRIALS}
    named = [name for name in (NORM, TRIALS) if path.name.endswith(name)]
    if not named:
        raise DataError(f"{path}: not a data file of TVSD, expected {NORM} or {TRIALS}")
    if read and read not in kinds:
        raise ConfigError(f"read={read}: choose normMUA or trials")
    prefix = path.name.removesuffix(named[0])
    if monkey and monkey not in REGIONS:
        raise ConfigError(f"monkey={monkey}: choose F or N")
    letters = re.findall(r"monkey_?([FN])(?![a-zA-Z])", f"{path.parent.resolve()}/{prefix}")
    if not monkey and not letters:
        raise DataError(f"{path}: neither monkeyF nor monkeyN in the path; say monkey=F or N")
    return _Monkey(path.parent, prefix, monkey or letters[-1]), kinds[read] if read else named[0]


def _areas(regions: str) -> NDArray[np.str_]:
    """Read the table of regions; every electrode must be in it once."""
    area = np.full(NUM_UNITS, "", dtype="U2")
    for word in regions.replace(",", " ").split():
        match = re.fullmatch(r"(\w+):(\d+)-(\d+)", word)
        if not match or match[1] not in AREAS or not int(match[2]) <= int(match[3]) < NUM_UNITS:
            raise ConfigError(
                f"regions: {word!r} is not one of V1, V4, IT with electrodes from 0 to 1023, "
                f"as in {REGIONS['F']!r}"
            )
        stretch = slice(int(match[2]), int(match[3]) + 1)
        if np.any(area[stretch] != ""):
            raise ConfigError(f"regions: {word!r} overlaps another region")
        area[stretch] = match[1]
    if np.any(area == ""):
        raise ConfigError(
            f"regions: electrode {int(np.argmax(area == ''))} is in no region; name all 1024"
        )
    return area


def _normalised(path: Path, test: str, counts: Mapping[str, int], image_list: Path) -> Responses:
    """Read train and test responses of normMUA."""
    with open_mat(path) as file:
        train = read_rows(member(file, "train_MUA", path), f"{path}: train_MUA")
        if test == "mean":
            tested = read_rows(member(file, "test_MUA", path), f"{path}: test_MUA")[None]
        else:
            name = "test_MUA_reps"
            tested = read_repeats(member(file, name, path), f"{path}: {name}")
    num_repeats, num_test = tested.shape[:2]
    for part, count in (("train", len(train)), ("test", num_test)):
        if count != counts[part]:
            raise DataError(
                f"{path}: {count} rows of {part} responses, but {image_list.name} lists "
                f"{counts[part]} {part} images; the files belong to different data"
            )
    repeat = np.full(num_test, -1) if test == "mean" else np.repeat(range(num_repeats), num_test)
    num_shown = len(train) + num_repeats * num_test
    start, end = presentation_clock(num_shown)
    return Responses(
        values=np.concatenate([train, tested.reshape(-1, NUM_UNITS)]),
        start=start,
        end=end,
        image=np.concatenate(
            [np.arange(len(train)), len(train) + np.tile(np.arange(num_test), num_repeats)]
        ),
        part=np.repeat(["train", "test"], [len(train), num_repeats * num_test]),
        repeat=np.concatenate([np.zeros(len(train), dtype=np.int64), repeat]),
        day=np.full(num_shown, -1),
    )


def _trials(
    where: _Monkey, area: NDArray[np.str_], bins_ms: float, counts: Mapping[str, int]
) -> Responses:
    """Open single trials."""
    values, table, edges_s = read_trials(
        where.file(TRIALS),
        mapping=read_mapping(where.log(MAPPING)),
        area=area,
        bins_ms=bins_ms,
        num_images=dict(counts),
    )
    image = np.where(table.train >= 0, table.train, counts["train"] + table.test)
    start, end = presentation_clock(len(image))
    return Responses(
        values=values,
        start=start,
        end=end,
        image=image,
        part=np.where(table.train >= 0, "train", "test"),
        repeat=_times_shown_before(image),
        day=table.day,
        bin_edges_s=edges_s,
    )


def _times_shown_before(image: IntArray) -> IntArray:
    """Return how often each image was shown before, presentation by presentation."""
    order = np.argsort(image, kind="stable")
    ranked = image[order]
    first = np.searchsorted(ranked, ranked)
    before = np.empty(len(image), dtype=np.int64)
    before[order] = np.arange(len(image)) - first
    return before


def _describe(kind: str, test: str, bins_ms: float) -> str:
    if kind == NORM:
        words = "single presentations" if test == "repeats" else "mean over repeats"
        return f"z-scored by electrode and day with test trials; test images: {words}"
    window = f"in bins of {bins_ms:g} ms" if bins_ms else "over the window of its area"
    return f"raw multi-unit activity of single trials, mean {window}; not normalised over days"


SOURCE = Source(
    name=NAME,
    title="Macaque V1, V4 and IT, 1,024 electrodes, 22,348 THINGS images (TVSD)",
    find_files=find_files,
    convert=convert,
    convert_settings={
        "read": Setting("", "normMUA or trials; empty: normMUA where it is there"),
        "images": Setting("", "folder of THINGS pictures, for content hashes; empty: none"),
        "monkey": Setting("", "F or N; empty: as the path says"),
        "regions": Setting("", f"table of areas, as {REGIONS['F']!r}; empty: the monkey's own"),
        "test": Setting("repeats", "repeats or mean: single test presentations, or their mean"),
        "bins_ms": Setting(0.0, "trials: width of time bins in ms; 0: mean over the area's window"),
    },
    licence="CC-BY-4.0",
    citation=(
        "Papale, Wang, Self and Roelfsema (2025). An extensive dataset of spiking activity to "
        "reveal the syntax of the ventral stream. Neuron, doi 10.1016/j.neuron.2024.12.003"
    ),
    homepage="https://gin.g-node.org/paolo_papale/TVSD",
    num_recordings=2,
    num_units=2 * NUM_UNITS,
    notes=(
        "Train images were shown once, test images 30 times: a mean test response has less "
        "noise than what a model was trained on.",
        "normMUA was z-scored with test trials, and `reliability` and `oracle` are computed from "
        "them: say so where electrodes are chosen by them.",
        "With 100 test images the standard error of top-1 retrieval is about 5 points.",
        "The categories of all test images occur in training.",
    ),
)
