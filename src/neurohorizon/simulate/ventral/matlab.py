"""Files as MATLAB writes them (v7.3): HDF5 with a header, and text behind references.

HDF5 lists MATLAB's axes the other way round: an array that MATLAB calls (1024, images) is
(images, 1024) here. Arrays are given, and written, as HDF5 shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.files import atomic_path

_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + bytes([0, 2, 73, 77])
_CLASSES = {np.dtype("f4"): b"single", np.dtype("f8"): b"double"}


@contextmanager
def matlab_file(path: Path) -> Iterator[h5py.File]:
    """Open a new file, which is there once all of it is written."""
    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w", userblock_size=512) as file:
            yield file
        with temporary.open("r+b") as stream:
            stream.write(_HEADER)


def write_arrays(file: h5py.File, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of float32 or float64."""
    for name, values in arrays.items():
        file.create_dataset(name, data=values).attrs["MATLAB_class"] = _CLASSES[values.dtype]


def write_texts(file: h5py.File, group: str, fields: Mapping[str, Sequence[str]]) -> None:
    """Write a struct of lists of text, as references to UTF-16."""
    store = file.require_group("#refs#")
    for name, texts in fields.items():
        rows = np.empty((len(texts), 1), dtype=h5py.ref_dtype)
        for number, text in enumerate(texts):
            units = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")[:, None]
            stored = store.create_dataset(f"{group}_{name}_{number}", data=units)
            stored.attrs["MATLAB_class"] = b"char"
            rows[number, 0] = stored.ref
        listed = file.create_dataset(f"{group}/{name}", data=rows, dtype=h5py.ref_dtype)
        listed.attrs["MATLAB_class"] = b"cell"
    file[group].attrs["MATLAB_class"] = b"struct"
