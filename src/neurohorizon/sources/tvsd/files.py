"""MATLAB v7.3 files of TVSD, read with h5py: arrays in either axis order, text, mappings.

MATLAB counts axes the other way round than HDF5. The public files read as (images, 1024)
with h5py; one that was saved again from Python in MATLAB's order reads as (1024, images).
The axis of 1024 electrodes tells which it is; where two axes are 1024 long nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.pictures import decode_picture, picture_hash
from neurohorizon.recordings.responses import Images
from neurohorizon.recordings.schema import IntArray
from neurohorizon.sources.naming import to_ascii

NUM_UNITS = 1024
READ_BYTES = 32 * 2**20
TEXT_FIELDS = ("class", "things_path")
# Member of normMUA -> statistic, and how its rows (days, pairs of repeats) become one.
STATISTICS = {
    "SNR": "snr",
    "SNR_max": "snr_max",
    "reliab": "reliability",
    "oracle": "oracle",
    "lats": "latency_s",
}


@contextmanager
def open_mat(path: Path) -> Iterator[h5py.File]:
    """Open a MATLAB v7.3 file; whatever goes wrong while it is read is one line about it.

    Raises
    ------
    DataError
        If it is missing, not MATLAB v7.3, or damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open("rb") as stream:
        head = stream.read(128)
    if head.startswith((b"/annex/", b"../.git/annex", b".git/annex")):
        raise DataError(f"{path}: a git-annex pointer, not the data; run `gin get-content` on it")
    if head.startswith(b"MATLAB 5.0"):
        raise DataError(
            f"{path}: MATLAB v5, expected v7.3; save it with -v7.3 or download it again"
        )
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"{path}: not a readable MATLAB v7.3 file ({line}); download it again"
        ) from error


def member(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return an array of the file.

    Raises
    ------
    DataError
        If it is not there, or not numbers.
    """
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        names = sorted(str(key) for key in file)
        there = ", ".join(key for key in names if not key.startswith("#")) or "nothing"
        raise DataError(f"{path}: no {name} (found {there}); is this the right file?")
    if found.dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} is {found.dtype}, expected numbers")
    return found


def unit_axis(shape: tuple[int, ...], where: str) -> int:
    """Return the axis of the 1024 electrodes, the first or the last one.

    Raises
    ------
    DataError
        If no axis is 1024 long, or more than one, so that the order is ambiguous.
    """
    axes = [axis for axis, length in enumerate(shape) if length == NUM_UNITS]
    if len(axes) > 1:
        raise DataError(
            f"{where}: shape {shape} has {len(axes)} axes of {NUM_UNITS}, so which one counts "
            "electrodes is ambiguous; leave out one row and read it again"
        )
    if not axes or axes[0] not in (0, len(shape) - 1):
        raise DataError(
            f"{where}: shape {shape}, expected {NUM_UNITS} electrodes on the first or last axis"
        )
    return axes[0]


def read_rows(dataset: h5py.Dataset, where: str) -> NDArray[np.float32]:
    """Return an array as (rows, electrodes), read a slice at a time."""
    if dataset.ndim != 2:
        raise DataError(f"{where}: shape {dataset.shape}, expected two axes")
    axis = unit_axis(dataset.shape, where)
    values = np.empty((dataset.shape[1 - axis], NUM_UNITS), dtype=np.float32)
    target = values if axis == 1 else values.T
    step = max(1, READ_BYTES // (dataset.shape[1] * dataset.dtype.itemsize))
    if dataset.chunks:
        step = max(1, step // dataset.chunks[0]) * dataset.chunks[0]
    for first in range(0, dataset.shape[0], step):
        target[first : first + step] = dataset[first : first + step]
    return values


def read_repeats(dataset: h5py.Dataset, where: str) -> NDArray[np.float32]:
    """Return an array of single trials as (repeats, images, electrodes)."""
    if dataset.ndim != 3:
        raise DataError(f"{where}: shape {dataset.shape}, expected three axes")
    values = dataset[:].astype(np.float32)
    return values if unit_axis(dataset.shape, where) == 2 else values.transpose(2, 1, 0)


def read_statistic(dataset: h5py.Dataset, where: str) -> NDArray[np.float64]:
    """Return numbers about electrodes as (rows, electrodes); a vector has one row."""
    values = np.asarray(dataset[:], dtype=np.float64)
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2:
        raise DataError(f"{where}: shape {dataset.shape}, expected two axes")
    return values if unit_axis(values.shape, where) == 1 else values.T


def read_image_list(path: Path) -> Mapping[str, Mapping[str, list[str]]]:
    """Read ``things_imgs.mat``: which picture each row shows.

    Returns
    -------
    mapping of str to mapping of str to list of str
        "train" and "test" -> "class" and "things_path", with "/" in paths.

    Raises
    ------
    DataError
        If it is damaged, or a list is missing or of another length than its sister.
    """
    with open_mat(path) as file:
        lists = {}
        for part in ("train", "test"):
            group = file.get(f"{part}_imgs")
            if not isinstance(group, h5py.Group):
                raise DataError(f"{path}: no {part}_imgs; is this things_imgs.mat?")
            lists[part] = {}
            for name in TEXT_FIELDS:
                if name not in group:
                    raise DataError(f"{path}: no {part}_imgs/{name} (found {', '.join(group)})")
                lists[part][name] = _read_texts(file, group[name], f"{path}: {part}_imgs/{name}")
            counts = {name: len(texts) for name, texts in lists[part].items()}
            if len(set(counts.values())) > 1:
                raise DataError(f"{path}: lists of {part}_imgs differ in length: {counts}")
        return lists


def _read_texts(file: h5py.File, dataset: Any, where: str) -> list[str]:
    """Follow references to arrays of UTF-16 code units."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype != h5py.ref_dtype:
        raise DataError(f"{where}: expected references to text")
    texts = []
    for reference in dataset[()].ravel():
        target = file[reference] if reference else None
        if not isinstance(target, h5py.Dataset):
            raise DataError(f"{where}: entry {len(texts)} refers to nothing; download it again")
        if target.attrs.get("MATLAB_empty", 0):
            texts.append("")
            continue
        code_units = np.asarray(target[()])
        if code_units.dtype.kind != "u":
            raise DataError(f"{where}: entry {len(texts)} is {code_units.dtype}, expected text")
        text = code_units.ravel().astype("<u2").tobytes().decode("utf-16-le")
        texts.append(to_ascii(text.replace("\\", "/").strip("/")))
    return texts


def image_table(listed: Mapping[str, Mapping[str, list[str]]], folder: Path | None) -> Images:
    """Return the table of images, train before test, hashed where the pictures are at hand.

    Raises
    ------
    DataError
        If a folder is given and does not exist, or holds none of them.
    """
    paths = [text for part in ("train", "test") for text in listed[part]["things_path"]]
    categories = [to_ascii(text) for part in ("train", "test") for text in listed[part]["class"]]
    hashes = [""] * len(paths)
    if folder is not None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of pictures")
        for number, path in enumerate(paths):
            file = _find_picture(folder, path)
            if file is not None:
                pixels = decode_picture(partial(file.open, "rb"), where=str(file))
                hashes[number] = picture_hash(pixels)
                paths[number] = file.relative_to(folder).as_posix()
        if not any(hashes):
            raise DataError(
                f"{folder}: none of the {len(paths)} images is here (the first is {paths[0]}); "
                "expected THINGS with one folder a class"
            )
    return Images(
        name=np.array([path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in paths]),
        path=np.array(paths),
        sha256=np.array(hashes),
        category=np.array(categories),
    )


def _find_picture(folder: Path, path: str) -> Path | None:
    """Find a picture by class and file name, inside ``object_images`` where that is kept."""
    tail = "/".join(path.split("/")[-2:])
    for parent in ("", "object_images", "images", "THINGS/object_images"):
        for name in (path, tail):
            file = folder / parent / name
            if file.is_file():
                return file
    return None


def read_mapping(path: Path) -> IntArray:
    """Read which recorded channel each electrode is, from 0, shape (1024,).

    Raises
    ------
    DataError
        If it is not a permutation of 1 to 1024.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        stored = loadmat(path).get("mapping")
    except NotImplementedError:  # v7.3
        with open_mat(path) as file:
            stored = member(file, "mapping", path)[()]
    except (MatReadError, OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a readable MATLAB file; download it again") from error
    mapping = np.asarray(0 if stored is None else stored).ravel().astype(np.int64)
    if not np.array_equal(np.sort(mapping), np.arange(1, NUM_UNITS + 1)):
        raise DataError(f"{path}: no `mapping` with each channel from 1 to {NUM_UNITS} once")
    return mapping - 1


def read_statistics(path: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Read numbers about electrodes from normMUA, and name those that are not there.

    Raises
    ------
    DataError
        If one of them has another shape.
    """
    if not path.is_file():
        return {}, list(STATISTICS)
    found: dict[str, NDArray[Any]] = {}
    with open_mat(path) as file:
        for name, statistic in STATISTICS.items():
            if name in file:
                rows = read_statistic(member(file, name, path), f"{path}: {name}")
                reduce = np.median if statistic == "latency_s" else np.mean
                # All rows of an electrode can be NaN; numpy's own nan-functions warn then.
                found[statistic] = np.array(
                    [
                        reduce(x) if len(x := column[~np.isnan(column)]) else np.nan
                        for column in rows.T
                    ]
                )
    if "latency_s" in found:
        found["latency_s"] = found["latency_s"] / 1e3
    return found, [name for name, statistic in STATISTICS.items() if statistic not in found]
