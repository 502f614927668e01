"""The section ``data``: which recordings, how they are split, which are held out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from neurohorizon.configs.section import (
    Count,
    CountOrNone,
    Positive,
    Section,
    Seed,
    Share,
    ShareOrNone,
    Switch,
    Text,
)
from neurohorizon.evaluation.protocol import LEFT_OUT_QUALITIES


class StoredSplit(Section):
    """Use the train, valid and test domains that the files hold."""

    name: Literal["stored"] = "stored"


class TimeSplit(Section):
    """Split every recording into earlier, later and last time."""

    name: Literal["time"] = "time"
    fractions: tuple[ShareOrNone, ShareOrNone, ShareOrNone] = (0.6, 0.1, 0.3)
    """Shares of train, valid and test."""


class InterleavedSplit(Section):
    """Split every recording into blocks that take turns."""

    name: Literal["interleaved"] = "interleaved"
    fractions: tuple[ShareOrNone, ShareOrNone, ShareOrNone] = (0.6, 0.1, 0.3)
    """Shares of train, valid and test."""
    block_s: Positive = 20.0
    """Length of a block with its guard, in seconds."""
    seed: Seed = 0
    """Seed of the order of the blocks."""
    within: Text | None = None
    """Table within whose intervals the blocks lie; null for all that was recorded."""


class HoldOutNone(Section):
    """Train on all recordings; only their test time is scored."""

    by: Literal["none"] = "none"


class HoldOutIds(Section):
    """Hold out the recordings that are named."""

    by: Literal["id"] = "id"
    ids: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Ids of the recordings to hold out."""


class HoldOutFraction(Section):
    """Hold out a share of the recordings, drawn as whole groups."""

    fraction: Share = 0.3
    """Share of the recordings to hold out."""
    seed: Seed = 0
    """Another seed holds out others."""
    stratify_by: Text | None = None
    """Metadata key (such as laboratory): its values are represented on both sides."""


class HoldOutRecordings(HoldOutFraction):
    """Hold out recordings, whatever animal they come from."""

    by: Literal["recording"] = "recording"


class HoldOutSubjects(HoldOutFraction):
    """Hold out whole subjects: no animal is on both sides."""

    by: Literal["subject"] = "subject"


HoldOut = Annotated[
    HoldOutNone | HoldOutIds | HoldOutRecordings | HoldOutSubjects, Field(discriminator="by")
]
SplitConfig = Annotated[StoredSplit | TimeSplit | InterleavedSplit, Field(discriminator="name")]


class FilesData(Section):
    """Recordings in files."""

    name: Literal["files"] = "files"
    recordings: Path | Annotated[tuple[Path, ...], Field(min_length=1)]
    """Folder of recordings (*.h5), or one file; or a list of them."""
    source: Text | None = None
    """Use only recordings of this source; absent, all that the folder holds."""
    leave_out: tuple[Text, ...] = ()
    """Ids of recordings that are not used at all."""
    left_out_qualities: tuple[Text, ...] = LEFT_OUT_QUALITIES
    """Units with these quality words are left out: not read, not trained on, not scored."""
    split: SplitConfig = StoredSplit()
    """Which time of each recording is for training, validation and test."""
    hold_out: HoldOut = HoldOutNone()
    """Which recordings training never sees."""
    num_training: Count | None = None
    """Train on so many of the others; a larger number contains a smaller one's. Absent, on all."""

    @property
    def places(self) -> tuple[Path, ...]:
        """Folders and files of recordings, in the order given."""
        return self.recordings if isinstance(self.recordings, tuple) else (self.recordings,)


class SimulatedData(Section):
    """Recordings of a simulated world, made on first use and kept."""

    name: Literal["simulated"] = "simulated"
    num_sessions: Annotated[int, Field(strict=True, ge=1, le=1000)] = 8
    """Training sessions."""
    num_held_out: CountOrNone = 4
    """Sessions that training never sees; the same ones for any number of training sessions."""
    first_held_out: Annotated[int, Field(strict=True, ge=1000)] = 1000
    """Number of the first of them: another one draws sessions that no one has looked at."""
    units: tuple[Count, Count] = (40, 100)
    """Smallest and largest number of units of a session."""
    minutes: Positive = 10.0
    """Length of a session, in minutes."""
    seed: Seed = 0
    """Seed of the world's sessions."""
    drift: Switch = True
    """Gains and a slow latent drift."""
    bursts: Switch = True
    """Some units burst."""
    trials: Switch = True
    """Activity is organised in trials."""
    behavior: Switch = True
    """Velocity is recorded."""
    driven: Switch = False
    """Running drives some units and pictures others; both are recorded."""
    folder: Path = Path("data/simulated")
    """Where simulated sessions are kept, in a folder of their own per world."""
    # Simulated units are all of one quality. Recordings that are given to a run of a simulated
    # world later lose what files lose by default.
    left_out_qualities: ClassVar[tuple[str, ...]] = LEFT_OUT_QUALITIES


DataConfig = Annotated[FilesData | SimulatedData, Field(discriminator="name")]
