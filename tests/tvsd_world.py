"""Files in the layout of TVSD: MATLAB v7.3, with known values, 1,024 electrodes and few images.

They follow the data set's own README (gin.g-node.org/paolo_papale/TVSD) and what its public
readers ask for: the members of ``THINGS_normMUA.mat`` and ``THINGS_MUA_trials.mat`` and their
shapes under h5py, ``ALLMAT`` with ids from 1 (0: not in that part) and the day last, the
``_logs`` with ``things_imgs.mat`` (structs of references to UTF-16 text, paths with
backslashes) and the channel mapping (MATLAB v5), and MATLAB's user block of 512 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

NUM_UNITS = 1024
AREAS = {
    "F": np.repeat(["V1", "IT", "V4"], [512, 320, 192]),
    "N": np.repeat(["V1", "V4", "IT"], [512, 256, 256]),
}
LATENCY_MS = {"V1": 45.0, "V4": 65.0, "IT": 95.0}
CLASSES = ("aardvark", "abacus", "accordion")


@dataclass(frozen=True)
class World:
    """How many of everything, and whose."""

    monkey: str = "F"
    num_train: int = 60
    num_test: int = 5
    num_repeats: int = 4
    seed: int = 0

    @property
    def area(self) -> np.ndarray:
        return AREAS[self.monkey]

    def train(self) -> np.ndarray:
        """Return responses to train images, (images, electrodes)."""
        return np.random.default_rng(self.seed).normal(size=(self.num_train, NUM_UNITS))

    def repeats(self) -> np.ndarray:
        """Return responses to test images, (repeats, images, electrodes)."""
        rng = np.random.default_rng(self.seed + 1)
        return rng.normal(size=(self.num_repeats, self.num_test, NUM_UNITS))

    def mapping(self) -> np.ndarray:
        """Return the recorder's channel of each electrode, from 1."""
        return np.random.default_rng(self.seed + 2).permutation(NUM_UNITS) + 1

    def paths(self, part: str) -> list[str]:
        """Return the pictures' paths below THINGS, with backslashes."""
        number = self.num_train if part == "train" else self.num_test
        start = 0 if part == "train" else self.num_train
        return [
            "{0}\\{0}_{1:02d}s.jpg".format(CLASSES[i % len(CLASSES)], i)
            for i in range(start, start + number)
        ]

    def trial_table(self) -> np.ndarray:
        """Return ALLMAT as (trials, columns): every train image once, test images by repeat."""
        shown = [(i + 1, 0) for i in range(self.num_train)]
        shown += [(0, j + 1) for _ in range(self.num_repeats) for j in range(self.num_test)]
        order = np.random.default_rng(self.seed + 3).permutation(len(shown))
        rows = np.zeros((len(shown), 6))
        rows[:, 0] = np.arange(len(shown)) + 1
        rows[:, 1:3] = np.array(shown)[order]
        rows[:, 4] = np.arange(len(shown)) % 4 + 1
        rows[:, 5] = np.arange(len(shown)) // 20 + 1
        return rows


@contextmanager
def matlab_file(path: Path) -> Iterator[h5py.File]:
    """Open a new file with the user block that MATLAB v7.3 writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        yield file
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + bytes([0, 2, 73, 77])
    with path.open("r+b") as stream:
        stream.write(header)


def write_norm(
    folder: Path,
    world: World,
    *,
    reverse: bool = False,
    leave_out: Sequence[str] = (),
    prefix: str = "",
    **changed: np.ndarray,
) -> Path:
    """Write THINGS_normMUA.mat; `reverse` writes every axis the other way round."""
    repeats = world.repeats()
    latency = np.array([LATENCY_MS[area] for area in world.area])
    number = np.arange(NUM_UNITS)
    members = {
        "train_MUA": world.train(),
        "test_MUA": repeats.mean(axis=0),
        "test_MUA_reps": repeats,
        "SNR": np.stack([number + day for day in range(4)]) / 1000,
        "SNR_max": (number[:, None] + 3) / 1000,
        "lats": np.stack([latency - 5, latency, latency, np.full(NUM_UNITS, np.nan)]),
        "oracle": number[:, None] / 2000,
        "reliab": np.stack([number / 1000, number / 3000]),
        "tb": np.arange(-100.0, 200.0)[:, None],
    }
    path = folder / f"{prefix}THINGS_normMUA.mat"
    with matlab_file(path) as file:
        for name, values in {**members, **changed}.items():
            if name not in leave_out:
                file[name] = values.T if reverse else values
    return path


def write_logs(folder: Path, world: World, **num_listed: int) -> Path:
    """Write _logs/ with things_imgs.mat and the channel mapping."""
    path = folder / "_logs" / "things_imgs.mat"
    with matlab_file(path) as file:
        texts = file.create_group("#refs#")
        for part in ("train", "test"):
            paths = world.paths(part)[: num_listed.get(part)]
            classes = [each.split("\\")[0] for each in paths]
            local = ["\\\\server\\share\\" + each for each in paths]
            for name, words in {
                "class": classes,
                "local_path": local,
                "things_path": paths,
            }.items():
                rows = np.empty((len(words), 1), dtype=h5py.ref_dtype)
                for number, word in enumerate(words):
                    units = np.frombuffer(word.encode("utf-16-le"), dtype="<u2")[:, None]
                    text = texts.create_dataset(f"{part}_{name}_{number}", data=units)
                    text.attrs["MATLAB_class"] = np.bytes_("char")
                    rows[number, 0] = text.ref
                file.create_dataset(f"{part}_imgs/{name}", data=rows, dtype=h5py.ref_dtype)
    savemat(path.parent / "1024chns_mapping_20220105.mat", {"mapping": world.mapping()[None]})
    return path


def activity(world: World, time_ms: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (trials, activity) as (time, trials, electrodes), electrodes in mapped order.

    Trial k, electrode e, time t: the trial's number where t lies in the window of the
    electrode's area, and -1000 elsewhere, plus e / 1024.
    """
    windows = {"V1": (25, 125), "V4": (50, 150), "IT": (75, 175)}
    inside = np.stack(
        [(time_ms >= windows[area][0]) & (time_ms < windows[area][1]) for area in world.area],
        axis=1,
    )
    num_trials = len(world.trial_table())
    for first in range(0, num_trials, 20):
        trials = np.arange(first, min(first + 20, num_trials))
        values = np.where(inside[:, None], trials[:, None], -1000) + np.arange(NUM_UNITS) / 1024
        yield slice(first, first + len(trials)), values.astype(np.float32)


def write_trials(
    folder: Path,
    world: World,
    *,
    time_ms: np.ndarray | None = None,
    reverse: bool = False,
    chunks: tuple[int, int, int] | None = (30, 16, 512),
    compression: str | None = None,
    table: np.ndarray | None = None,
) -> Path:
    """Write THINGS_MUA_trials.mat, electrodes in the recorder's order."""
    time_ms = np.arange(-100.0, 200.0, 5.0) if time_ms is None else time_ms
    table = world.trial_table() if table is None else table
    path = folder / "THINGS_MUA_trials.mat"
    channel = world.mapping() - 1
    with matlab_file(path) as file:
        shape = (len(time_ms), len(world.trial_table()), NUM_UNITS)
        order = slice(None, None, -1 if reverse else 1)
        raw = file.create_dataset(
            "ALLMUA",
            shape=shape[order],
            dtype="f4",
            chunks=chunks[order] if chunks else None,
            compression=compression,
        )
        for trials, mapped in activity(world, time_ms):
            block = np.empty_like(mapped)
            block[:, :, channel] = mapped
            if reverse:
                raw[:, trials] = block.transpose(2, 1, 0)
            else:
                raw[:, trials] = block
        file["ALLMAT"] = table if reverse else table.T
        file["tb"] = time_ms[:, None]
    return path


def write_pictures(folder: Path, world: World, *, same: tuple[str, str] | None = None) -> Path:
    """Write small PNG pictures under the listed names; `same` makes two of them equal."""
    for part in ("train", "test"):
        for number, path in enumerate(world.paths(part)):
            file = folder / path.replace("\\", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([number, part == "test"])
            pixels = rng.integers(0, 256, size=(6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, format="PNG")
    if same:
        source, copy = (folder / each.replace("\\", "/") for each in same)
        copy.write_bytes(source.read_bytes())
    return folder


def write_monkey(folder: Path, world: World | None = None) -> Path:
    """Write a whole monkey without pictures and without trials; return its normMUA."""
    world = world or World()
    write_logs(folder, world)
    return write_norm(folder, world)
