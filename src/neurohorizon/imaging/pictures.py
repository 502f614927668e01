"""Pictures from a folder, a zip archive, or an array of frames, a few at a time.

Every picture becomes RGB with 8 bits a channel, shape (height, width, 3), and is known by the
hash of these pixels: the same picture has the same hash whatever its file is called, however
it was packed, and whether it came as a PNG or as a frame of an HDF5 data set.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.imaging.frames import (
    Frames,
    check_frames,
    find_frames,
    frames_to_rgb,
    only_frames,
    open_hdf5,
)
from neurohorizon.ops.files import ZIP_DAMAGE
from neurohorizon.recordings.pictures import SUFFIXES, decode_picture, picture_hash

Pixels = NDArray[np.uint8]
Reader = Callable[[int, int], list[Pixels]]
"""Called with the first picture and the one after the last; returns their pixels."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Parameters
    ----------
    name : str
        Path inside its folder or archive, or "frame_000012".
    pixels : (H, W, 3) array of uint8
        RGB.
    """

    name: str
    pixels: Pixels

    @cached_property
    def hash(self) -> str:
        """Hash of the pixels, see :func:`~neurohorizon.recordings.pictures.picture_hash`."""
        return picture_hash(self.pixels)


class Pictures(ABC):
    """Pictures of one place, in a fixed order, read a few at a time.

    Parameters
    ----------
    where : str
        What to call the place in a message.
    names : sequence of str
        One a picture.
    """

    def __init__(self, where: str, names: Sequence[str]) -> None:
        self.where = where
        self.names = tuple(names)
        if not self.names:
            raise DataError(f"{where}: no pictures here; known are {', '.join(SUFFIXES)}")

    def __len__(self) -> int:
        return len(self.names)

    def batches(self, size: int) -> Iterator[list[Picture]]:
        """Yield all pictures, at most `size` at a time.

        Raises
        ------
        DataError
            At a picture that cannot be decoded: one line with its path.
        """
        assert size >= 1
        with self._opened() as read:
            for first in range(0, len(self), size):
                last = min(first + size, len(self))
                pixels = read(first, last)
                yield [Picture(*both) for both in zip(self.names[first:last], pixels, strict=True)]

    def picked(self, index: Iterable[int]) -> Iterator[Picture]:
        """Yield some of the pictures, one at a time, in the order asked for.

        Raises
        ------
        DataError
            At a picture that cannot be decoded: one line with its path.
        """
        with self._opened() as read:
            for each in index:
                yield Picture(self.names[each], read(each, each + 1)[0])

    def hashes(self, *, size: int = 32) -> list[str]:
        """Return the hash of every picture, in order; repeated pictures repeat theirs."""
        return [picture.hash for batch in self.batches(size) for picture in batch]

    @abstractmethod
    def _opened(self) -> AbstractContextManager[Reader]:
        """Open the place for as long as it is read."""


class FolderPictures(Pictures):
    """The picture files of a folder and its subfolders, in the order of their paths.

    Parameters
    ----------
    folder : path

    Raises
    ------
    DataError
        If there are none.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        found = [path.relative_to(self.folder) for path in self.folder.rglob("*")]
        paths = sorted(path.as_posix() for path in found if _is_picture(path))
        super().__init__(str(folder), [path for path in paths if (self.folder / path).is_file()])

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        yield lambda first, last: [self._read(name) for name in self.names[first:last]]

    def _read(self, name: str) -> Pixels:
        path = self.folder / name
        return decode_picture(lambda: path.open("rb"), where=str(path))


class ZipPictures(Pictures):
    """The picture files in a zip archive, in the order of their paths.

    Parameters
    ----------
    path : path

    Raises
    ------
    DataError
        If it is no zip archive, or holds no pictures.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self._archive() as archive:
            members = {name for name in archive.namelist() if _is_picture(PurePosixPath(name))}
        super().__init__(str(path), sorted(members))

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        with self._archive() as archive:
            yield lambda first, last: [self._read(archive, name) for name in self.names[first:last]]

    def _read(self, archive: zipfile.ZipFile, name: str) -> Pixels:
        return decode_picture(
            lambda: cast(IO[bytes], archive.open(name)), where=f"{self.path}/{name}"
        )

    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except ZIP_DAMAGE as error:
            raise DataError(
                f"{self.path}: not a readable zip archive ({error}); copy it again"
            ) from error


class JoinedPictures(Pictures):
    """The pictures of several places, one after the other.

    Parameters
    ----------
    where : str
        What to call them all in a message.
    parts : sequence of Pictures
        A picture is called by its part's name (an archive's without ``.zip``) and its own.
    """

    def __init__(self, where: str, parts: Sequence[Pictures]) -> None:
        self.parts = tuple(parts)
        names = [f"{Path(part.where).stem}/{name}" for part in self.parts for name in part.names]
        super().__init__(where, names)

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        with ExitStack() as stack:
            readers = [stack.enter_context(part._opened()) for part in self.parts]
            places = [
                (read, index)
                for read, part in zip(readers, self.parts, strict=True)
                for index in range(len(part))
            ]
            yield lambda first, last: [
                read(index, index + 1)[0] for read, index in places[first:last]
            ]


class FramePictures(Pictures):
    """The frames of an array or an HDF5 data set, such as a movie's template.

    Parameters
    ----------
    frames : array-like of shape (F, H, W) or (F, H, W, 3)
        Grey or RGB. Read slice by slice, so an open HDF5 data set or a memory map will do.
    value_range : (float, float), optional
        Values of black and of white. Needed unless the values are uint8 or bool.
    where : str
        What to call it in a message.

    Raises
    ------
    DataError
        If the shape is none of frames, or no range is given for values that need one.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        value_range: tuple[float, float] | None = None,
        where: str = "the array of frames",
    ) -> None:
        check_frames(frames, value_range, where)
        self.frames: Frames | None = frames
        self.value_range = value_range
        super().__init__(where, [f"frame_{index:06d}" for index in range(frames.shape[0])])

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        assert self.frames is not None
        yield self._reader(self.frames)

    def _reader(self, frames: Frames) -> Reader:
        def read(first: int, last: int) -> list[Pixels]:
            try:
                values = np.asarray(frames[first:last])
            except OSError as error:
                raise DataError(
                    f"{self.where}: frames {first} to {last - 1} cannot be read ({error}); "
                    "copy the file again"
                ) from error
            return frames_to_rgb(values, self.value_range, where=self.where, first=first)

        return read


class FileFrames(FramePictures):
    """The frames in a ``.npy`` file or in a data set of an HDF5 file.

    Parameters
    ----------
    path : path
    dataset : str, optional
        Path of the data set inside an HDF5 file. Default: the only one there that can be
        frames of 8 bits.
    value_range : (float, float), optional
        As for :class:`FramePictures`.

    Notes
    -----
    In Allen NWB files the frames of a movie lie in ``stimulus/templates/<movie>/data``. The
    file is open only while it is read.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        dataset: str | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.path = Path(path)
        self.dataset = dataset
        where = str(path)
        if self.path.suffix != ".npy":
            self.dataset = dataset or only_frames(self.path)
            where = f"{path}/{self.dataset}"
        elif dataset is not None:
            raise DataError(f"{path}: a .npy file holds no data set {dataset!r}; name none")
        with self._file() as frames:
            super().__init__(frames, value_range=value_range, where=where)
        self.frames = None  # closed by now

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        with self._file() as frames:
            yield self._reader(frames)

    @contextmanager
    def _file(self) -> Iterator[Frames]:
        if self.dataset is None:
            try:
                frames = np.load(self.path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{self.path}: not a readable .npy file ({error})") from error
            yield frames
            return
        with open_hdf5(self.path) as file:
            found = file.get(self.dataset)
            if not isinstance(found, h5py.Dataset):
                raise DataError(
                    f"{self.path}: no data set {self.dataset!r}; with frames there are: "
                    f"{', '.join(find_frames(file)) or 'none'}"
                )
            yield found


def open_pictures(
    path: Path | str,
    *,
    dataset: str | None = None,
    value_range: tuple[float, float] | None = None,
) -> Pictures:
    """Open a folder of pictures, a zip archive of them, or a file of frames.

    Parameters
    ----------
    path : path
        A folder or a zip archive of PNG, JPEG, TIFF, BMP or WebP files, or a folder with such
        archives in it; a ``.npy`` or an HDF5 file (NWB too) with frames of shape (F, H, W) or
        (F, H, W, 3).
    dataset : str, optional
        Data set inside an HDF5 file.
    value_range : (float, float), optional
        Values of black and of white; for frames that are neither uint8 nor bool.

    Returns
    -------
    Pictures

    Raises
    ------
    DataError
        If there is nothing at `path`, or no pictures in it.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file() and (path.suffix == ".npy" or h5py.is_hdf5(path)):
        return FileFrames(path, dataset=dataset, value_range=value_range)
    if dataset is not None or value_range is not None:
        raise DataError(
            f"{path}: a data set or a range of values belongs to a file of frames (HDF5, .npy)"
        )
    if path.is_dir():
        archives = [ZipPictures(each) for each in sorted(path.rglob("*.zip"))]
        if not archives:
            return FolderPictures(path)
        with suppress(DataError):  # beside archives there need not be files
            return JoinedPictures(str(path), [*archives, FolderPictures(path)])
        return JoinedPictures(str(path), archives)
    if zipfile.is_zipfile(path):
        return ZipPictures(path)
    raise DataError(
        f"{path}: expected a folder or zip archive of pictures, or frames in HDF5 or .npy"
    )


def _is_picture(path: PurePosixPath | Path) -> bool:
    """Tell a picture by its suffix; what systems leave beside them is hidden or so named."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
