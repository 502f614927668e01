"""Macaque V4 answers to photographs, with the photographs (Cowley et al.), six sessions.

Row i of a session's responses belongs to image i, as the number in its file name says.
Responses are spike counts in a 100 ms bin, averaged over repeats; of session 210325 single
trials are here too, NaN where an image had fewer repeats than the others.

What the files say and a reader would not expect: in session 190925 images 901 to 1200 are the
pictures of images 1 to 300 again, and the responses to both agree. No picture, decoded, is in
two of these sessions. So a picture's part, train or test, follows from its content hash: it is
the same wherever the picture turns up, whatever its row.
"""

from __future__ import annotations

import re
import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.files import ZIP_DAMAGE
from neurohorizon.recordings.pictures import decode_picture, picture_hash
from neurohorizon.recordings.responses import (
    Images,
    ResponseRecording,
    Responses,
    presentation_clock,
)
from neurohorizon.recordings.schema import FloatArray, Units
from neurohorizon.sources.naming import to_ascii
from neurohorizon.sources.source import RemoteFile, RemoteSession, Setting, Source

NAME = "macaque_v4"
URL = (
    "https://raw.githubusercontent.com/cowleygroup/V4_compact_models/"
    "f4552ad9d34a466ebc66658f72a08a8e5038f1cf/data_V4_responses"
)
# Here and in the authors' repository: means over repeats, single trials.
MEAN_FOLDERS = ("responses", "responses_repeat_averaged")
TRIAL_FOLDERS = ("responses_single_trial", "responses_raw")
SUFFIXES = (".jpg", ".jpeg", ".png")
LEAST_REPEATS = 2


class Session(NamedTuple):
    """What the authors' table tells of a session: animal, its use in the paper, repeats."""

    subject: str
    role: str
    num_repeats: int


SESSIONS = {
    "190923": Session("WE", "test", 14),
    "190925": Session("WE", "train", 14),
    "190927": Session("WE", "train", 11),
    "201025": Session("PE", "test", 12),
    "210224": Session("PE", "validation", 9),
    "210325": Session("PE", "test", 8),
}
# Path here -> path there, bytes, SHA-256.
FILES = {
    "images/images_190923.zip": (
        "images",
        4_024_034,
        "e99a4df1c7476bdc4d565ff4408bc421976ecc3a22c41af6bfd0cfbddb508c0c",
    ),
    "images/images_190925.zip": (
        "images",
        3_967_665,
        "765b4d4372302d4ed72c3382d41ece5ca55d7dcc3d84da7402091253529b87d1",
    ),
    "images/images_190927.zip": (
        "images",
        4_080_631,
        "d2469cc2caa629d4ed38e8d4964fb1de8c0b29e9937c25ce1c5838bc4e382653",
    ),
    "images/images_201025.zip": (
        "images",
        4_131_376,
        "3abb63679107665eab7220bdeaf7863832a1df943bf3d7792501f5082a55b2e8",
    ),
    "images/images_210224.zip": (
        "images",
        2_782_116,
        "e2690810bee34c2e2821e5dd504c7970f3441579bc57659f27d2c11678b52c6b",
    ),
    "images/images_210325.zip": (
        "images",
        1_841_475,
        "992774eca3508a2ad01accb1a31f5f3e3d90248c49f4eec314f2a915a263e454",
    ),
    "responses/responses_190923.npy": (
        "responses_repeat_averaged",
        316_928,
        "741672d36541ce39930c8a3b5bd1cfd33c187aa47b1549c9c5569bc21aa97a28",
    ),
    "responses/responses_190925.npy": (
        "responses_repeat_averaged",
        345_728,
        "2f94d7bcef0f68fecdb7472f509737fafac92477cf6b11a4966162b1b1072529",
    ),
    "responses/responses_190927.npy": (
        "responses_repeat_averaged",
        297_728,
        "4c3c75ec72bc4bd3f0e22987a7b2e7e962af249d6577e8a6d727ea9075bde034",
    ),
    "responses/responses_201025.npy": (
        "responses_repeat_averaged",
        854_528,
        "f729f3dc0d29aa38bd380c0da9e39aba916f9e2580949929b65d1714e7217a8a",
    ),
    "responses/responses_210224.npy": (
        "responses_repeat_averaged",
        428_928,
        "4dbb7367707a5ca47ab4cea863bbf4e9765b8409cb30216693721bddfad7abfe",
    ),
    "responses/responses_210325.npy": (
        "responses_repeat_averaged",
        256_128,
        "555e67037182611969ab90da291dcc39601de4411f651a64ad60e90572cf59d3",
    ),
    "responses_single_trial/responses_210325.npy": (
        "responses_raw",
        2_560_128,
        "4008dbbf31a47d9b1b8d8da609f4a7a3433c7071f0e45c611c220b217dd75b76",
    ),
}


def find_files(path: Path) -> list[Path]:
    """Return the ``responses_SESSION.npy`` with means over repeats, in order."""
    if path.is_file():
        return [path]
    return sorted(
        file for file in path.rglob("responses_*.npy") if file.parent.name in MEAN_FOLDERS
    )


def convert(path: Path, *, test_share: float = 0.2, trials: bool = True) -> ResponseRecording:
    """Read one session.

    Parameters
    ----------
    path : path
        Its ``responses_SESSION.npy``; ``images/images_SESSION.zip`` lies beside its folder.
    test_share : float
        Share of pictures in the part "test", chosen by content hash.
    trials : bool
        Read single trials where there are some, not the means over repeats.

    Returns
    -------
    ResponseRecording
        Of means: one row an image, in the order of their numbers. Of single trials: the first
        presentation of every image, then the second, ... .

    Raises
    ------
    DataError
        If a file is missing or damaged, or responses and images differ in number.
    """
    if not 0 <= test_share <= 1:
        raise ConfigError(f"test_share={test_share:g}: expected a share from 0 to 1")
    match = re.fullmatch(r"responses_(\w+)\.npy", path.name)
    if not match:
        raise DataError(f"{path}: expected a file responses_SESSION.npy")
    name, root = match[1], path.parent.parent
    images = _read_images(root / "images" / f"images_{name}.zip")
    mean = _read_array(path, num_axes=2)
    num_units, num_images = mean.shape
    if num_images != len(images):
        raise DataError(
            f"{path}: responses to {num_images} images, but images_{name}.zip holds "
            f"{len(images)}; the files belong to different sessions"
        )
    found = [file for folder in TRIAL_FOLDERS if (file := root / folder / path.name).is_file()]
    session, statistics = SESSIONS.get(name), {}
    single = bool(found) and trials
    if single:
        counts = _read_array(found[0], num_axes=3)
        if counts.shape[:2] != mean.shape:
            raise DataError(f"{found[0]}: shape {counts.shape}, but the means have {mean.shape}")
        shown = np.isfinite(counts).any(axis=0)
        repeat, image = np.nonzero(shown.T)
        values = counts[:, image, repeat].T
        statistics = _reliability(counts)
    else:
        values, image = mean.T, np.arange(num_images)
        repeat = np.full(num_images, -1)
    start, end = presentation_clock(len(image))
    metadata = {
        "species": "macaque",
        "laboratory": "Smith",
        "preparation": "Utah array in V4, fixating",
        "values": f"spikes in 100 ms, {'single trials' if single else 'mean over repeats'}",
        "licence": SOURCE.licence,
        "citation": SOURCE.citation,
        "homepage": SOURCE.homepage,
    }
    if session is not None:
        metadata["role_in_the_paper"] = session.role
        metadata["repeats_by_the_paper"] = str(session.num_repeats)
    return ResponseRecording(
        id=name,
        subject="unknown" if session is None else session.subject,
        source=NAME,
        units=Units(
            id=Units.numbered(num_units).id,
            area=np.full(num_units, "V4"),
            position_um=np.full((num_units, 3), np.nan),
            quality=np.full(num_units, ""),
            columns=statistics,
        ),
        responses=Responses(
            values=np.ascontiguousarray(values, dtype=np.float32),
            start=start,
            end=end,
            image=image,
            part=_parts(images.sha256, test_share)[image],
            repeat=repeat,
            day=np.full(len(image), -1),
        ),
        images=images,
        metadata=metadata,
    )


def _read_array(path: Path, *, num_axes: int) -> FloatArray:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a readable array (.npy); download it again") from error
    if values.ndim != num_axes or values.dtype.kind not in "fiu" or 0 in values.shape:
        words = ("units", "images", "repeats")[:num_axes]
        raise DataError(
            f"{path}: {values.dtype} of shape {values.shape}, expected numbers ({', '.join(words)})"
        )
    return values.astype(np.float64)


def _read_images(path: Path) -> Images:
    """Hash the pictures of an archive in the order of the numbers in their names."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the pictures lie beside the folder of responses")
    try:
        with zipfile.ZipFile(path) as archive:
            numbered: dict[int, str] = {}
            for member in archive.namelist():
                stem, _, suffix = member.rpartition("/")[2].rpartition(".")
                number = re.search(r"\d+$", stem)
                hidden = member.startswith("__MACOSX") or stem.startswith(".")
                if hidden or f".{suffix.lower()}" not in SUFFIXES or not number:
                    continue
                other = numbered.setdefault(int(number[0]), member)
                if other != member:
                    raise DataError(f"{path}: {other} and {member} have the same number")
            members = [numbered[number] for number in sorted(numbered)]
            hashes = []
            for member in members:
                pixels = decode_picture(partial(archive.open, member), where=f"{path}/{member}")
                hashes.append(picture_hash(pixels))
    except ZIP_DAMAGE as error:
        raise DataError(f"{path}: a damaged archive ({error}); download it again") from error
    if not members:
        raise DataError(f"{path}: no pictures with a number in their names")
    names = [to_ascii(member.rpartition("/")[2].rpartition(".")[0]) for member in members]
    return Images(
        name=np.array(names),
        path=np.array([to_ascii(f"{path.name}/{member}") for member in members]),
        sha256=np.array(hashes),
        category=np.full(len(members), ""),
    )


def _parts(hashes: NDArray[np.str_], test_share: float) -> NDArray[np.str_]:
    """Return the part of each picture: its hash is as good as a random number, and stays."""
    chance = np.array([int(each[:8], 16) for each in hashes.tolist()]) / 2**32
    return np.where(chance < test_share, "test", "train")


def _reliability(counts: FloatArray) -> dict[str, NDArray[np.float64]]:
    """Return how much of each unit's single-trial counts the image explains.

    Notes
    -----
    ``snr`` is the variance over images of the expected count over the mean variance over
    repeats, made unbiased: from the variance over images of the mean count,
    ``mean(variance over repeats / repeats)`` is taken away.
    ``reliability`` is the mean correlation over images between two repeats, of those repeats
    that every image has.
    """
    enough = (np.isfinite(counts).sum(axis=2) >= LEAST_REPEATS).all(axis=0)
    counts = counts[:, enough]
    if counts.shape[1] < 2:
        return {}
    num_repeats = np.isfinite(counts).sum(axis=2)
    noise = np.nanvar(counts, axis=2, ddof=1)
    signal = np.nanmean(counts, axis=2).var(axis=1, ddof=1) - (noise / num_repeats).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = signal / noise.mean(axis=1)
        complete = counts[:, :, np.isfinite(counts).all(axis=(0, 1))]
        upper = np.triu_indices(complete.shape[2], k=1)
        reliability = [
            np.corrcoef(unit.T)[upper].mean() if len(upper[0]) else np.nan for unit in complete
        ]
    return {"snr": snr, "reliability": np.array(reliability)}


def list_sessions(folder: Path) -> list[RemoteSession]:
    """List all sessions; they are always the same ones."""
    listed = []
    for name, session in SESSIONS.items():
        files = tuple(
            RemoteFile(path, f"{URL}/{there}/{path.rpartition('/')[2]}", num_bytes, sha256)
            for path, (there, num_bytes, sha256) in FILES.items()
            if name in path
        )
        listed.append(
            RemoteSession(
                id=name,
                num_bytes=sum(file.num_bytes or 0 for file in files),
                files=files,
                about={"subject": session.subject},
            )
        )
    return listed


SOURCE = Source(
    name=NAME,
    title="Macaque V4 responses to photographs, with the photographs",
    find_files=find_files,
    convert=convert,
    list_sessions=list_sessions,
    convert_settings={
        "test_share": Setting(0.2, "share of pictures in the test part, by content hash"),
        "trials": Setting(True, "single trials where there are some (210325), not means"),
    },
    licence="GPL-3",
    citation=(
        "Cowley, Stan, Pillow and Smith (2026). Compact deep neural network models of the visual "
        "cortex. Nature, doi 10.1038/s41586-026-10150-1"
    ),
    homepage="https://github.com/cowleygroup/V4_compact_models",
    num_recordings=6,
    num_units=306,
    notes=(
        "Responses are spike counts in one 100 ms bin, not a time series; only session 210325 "
        "has single trials, so only it has a noise ceiling.",
        "In session 190925, images 901 to 1200 are images 1 to 300 again: split by content "
        "hash, never by row.",
        "Sessions 190923, 190925 and 190927 are of one animal, the others of a second one.",
    ),
)
