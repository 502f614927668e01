"""Responses on disk: HDF5 in torch_brain's format, values written and read a few rows at a time.

Everything but the values is written through torch_brain's own ``Data``; the values are one more
column of its ``responses``, so that torch_brain opens the file::

    responses/{start, end, image, part, repeat, day, values}   Interval
    images/{name, path, sha256, category}                      ArrayDict
    units/{id, area, position_um, quality, <column>, ...}      ArrayDict
    response_bins/{edge_s}                                     ArrayDict, where there are bins
    embeddings, domain, session, subject, brainset, metadata   as in `store`
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings import hdf5_read, store
from neurohorizon.recordings.hdf5_file import create_hdf5
from neurohorizon.recordings.hdf5_write import to_torch_brain
from neurohorizon.recordings.responses import (
    Images,
    ResponseRecording,
    Responses,
    response_problem,
)
from neurohorizon.recordings.schema import Recording, Table

if TYPE_CHECKING:
    from torch_brain.data import Data

COLUMNS = ("image", "part", "repeat", "day")
SPARE_BYTES = 2**20


def write_responses(recording: ResponseRecording, path: Path | str) -> Path:
    """Write responses so that torch_brain and this package can open them.

    Parameters
    ----------
    recording : ResponseRecording
        Values that are read when asked for are read here, a few rows at a time.
    path : path
        Where the file shall be; an existing one is replaced only once all is written.

    Raises
    ------
    DataError
        If something does not fit together or cannot be stored (text that is not ASCII, a
        name that is taken), or writing fails; nothing is left behind.
    """
    path = Path(path)
    problem = response_problem(recording)
    if problem:
        raise DataError(f"{recording.id}: not written: {problem}")
    data, shape = _to_torch_brain(recording), tuple(recording.responses.values.shape)
    num_bytes = 4 * int(np.prod(shape))
    try:
        with atomic_path(path) as temporary:
            _require_room(path, num_bytes + SPARE_BYTES)
            with create_hdf5(temporary) as file:
                data.to_hdf5(file)
                stored = file.create_dataset("responses/values", shape, np.float32)
                for rows, values in recording.responses.blocks():
                    stored[rows] = values
    except (OSError, RuntimeError) as error:
        raise store.not_written(path, error) from error
    return path


def is_response_file(path: Path | str) -> bool:
    """Tell whether a file opens as HDF5 and holds responses."""
    try:
        with h5py.File(path, "r") as file:
            return isinstance(file.get("responses/values"), h5py.Dataset)
    except OSError:
        return False


def open_responses(path: Path | str) -> ResponseRecording:
    """Open responses; their values stay on disk.

    Parameters
    ----------
    path : path
        A file of `write_responses`.

    Returns
    -------
    ResponseRecording
        Its values are a memory map; where they lie in pieces or compressed, because another
        program wrote them, rows are read by h5py when asked for.

    Raises
    ------
    DataError
        If the file is missing, damaged, without responses, or does not fit together.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("responses/values"), h5py.Dataset):
                found = hdf5_read.listing(file)
                raise DataError(f"{path}: no responses (expected responses/values, found {found})")
            recording = _read(file, path)
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {store.why_unreadable(path, error)}") from error
    problem = response_problem(recording)
    if problem:
        raise DataError(f"{path}: {problem}")
    return recording


@dataclass(frozen=True)
class StoredValues:
    """Values in an HDF5 file that cannot be mapped: opened and read at every slice.

    Parameters
    ----------
    path : path
    name : str
        Of the data set in the file.
    shape : tuple of int
    dtype : numpy dtype
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Read the responses of some presentations."""
        with h5py.File(self.path, "r") as file:
            return hdf5_read.dataset_of(file, self.name)[rows]


def _to_torch_brain(recording: ResponseRecording) -> Data:
    """Make torch_brain's ``Data`` of all but the values."""
    from torch_brain.data import ArrayDict

    responses, where = recording.responses, recording.id
    columns = {name: getattr(responses, name) for name in COLUMNS}
    carrier = Recording(
        id=recording.id,
        subject=recording.subject,
        source=recording.source,
        spike_times=np.empty(0),
        spike_unit_index=np.empty(0, dtype=np.int64),
        units=recording.units,
        domain=np.array([[responses.start[0], responses.end[-1]]]),
        tables={"responses": Table(responses.start, responses.end, columns)},
        embeddings=recording.embeddings,
        metadata=recording.metadata,
    )
    data = to_torch_brain(carrier)
    delattr(data, "spikes")
    images = ArrayDict()
    for name in ("name", "path", "sha256", "category"):
        values = np.asarray(getattr(recording.images, name), dtype=np.str_)
        strange = [value for value in values.tolist() if not value.isascii()]
        if strange:
            raise DataError(f"{where}: {name} {strange[0]!r} of an image is not ASCII; rename it")
        setattr(images, name, values)
    data.images = images
    if responses.bin_edges_s is not None:
        data.response_bins = ArrayDict(edge_s=np.asarray(responses.bin_edges_s, dtype=np.float64))
    return data


def _require_room(path: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < num_bytes:
        raise DataError(
            f"{path}: needs {num_bytes / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free; "
            "make room or choose another disk"
        )


def _read(file: h5py.File, path: Path) -> ResponseRecording:
    group, images, units = (_group(file, name) for name in ("responses", "images", "units"))
    columns = hdf5_read.datasets(group)
    known = hdf5_read.datasets(images)
    stored = columns["values"]
    plain = stored.chunks is None and stored.id.get_offset() is not None
    values = (
        hdf5_read.map_or_read(stored, path)
        if plain
        else StoredValues(path, "responses/values", stored.shape, stored.dtype)
    )
    edges_s = None
    if "response_bins" in file:
        edges_s = hdf5_read.dataset_of(_group(file, "response_bins"), "edge_s")[:]
    text = {name: hdf5_read.read_text(column[:]) for name, column in known.items()}
    return ResponseRecording(
        id=hdf5_read.read_description(file, "session") or path.stem,
        subject=hdf5_read.read_description(file, "subject") or hdf5_read.UNKNOWN,
        source=hdf5_read.read_description(file, "brainset") or hdf5_read.UNKNOWN,
        units=hdf5_read.read_units(units, path),
        responses=Responses(
            values=values,
            start=columns["start"][:],
            end=columns["end"][:],
            image=columns["image"][:],
            part=hdf5_read.read_text(columns["part"][:]),
            repeat=columns["repeat"][:],
            day=columns["day"][:],
            bin_edges_s=edges_s,
        ),
        images=Images(text["name"], text["path"], text["sha256"], text["category"]),
        metadata=hdf5_read.read_metadata(file),
        embeddings=hdf5_read.read_embeddings(file, path),
    )


def _group(file: h5py.File, name: str) -> h5py.Group:
    found = file[name]
    if not isinstance(found, h5py.Group):
        raise KeyError(f"{name} is not a group")
    return found
