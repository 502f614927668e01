"""What can be configured of a bridge: responses, pictures' space, rows of the ladder, scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurohorizon.configs.schema import RunConfig
from neurohorizon.configs.section import (
    Count,
    Section,
    Seed,
    Share,
    Switch,
    Text,
    idle,
)
from neurohorizon.errors import ConfigError
from neurohorizon.training.bridge.names import PRETRAINED, RowName

DEFAULT_ROWS: tuple[RowName, ...] = (
    "ridge",
    "whitened ridge",
    "encoding model",
    "linear InfoNCE",
    "MLP InfoNCE",
)


class StoredPictures(Section):
    """Test on the pictures that the source tests on."""

    name: Literal["stored"] = "stored"


class RandomPictures(Section):
    """Test on pictures at random, the same ones wherever they are shown."""

    name: Literal["pictures"] = "pictures"
    test_share: Share = 0.2
    """Share of the pictures."""
    seed: Seed = 0
    """Another seed draws others."""


class DisjointCategories(Section):
    """Test on categories of which no picture was trained on."""

    name: Literal["categories"] = "categories"
    test_share: Share = 0.2
    """Share of the categories."""
    seed: Seed = 0
    """Another seed draws others."""


PictureSplit = Annotated[
    StoredPictures | RandomPictures | DisjointCategories, Field(discriminator="name")
]


class UnitsConfig(Section):
    """Which units are read."""

    areas: tuple[Text, ...] = ()
    """Their areas; empty for all."""
    least: dict[str, float] = Field(default_factory=dict)
    """Least value of columns of the units, such as {snr: 1.0}."""


class ResponsesConfig(Section):
    """Recordings of responses to pictures, and the embeddings of the pictures."""

    recordings: Path | Annotated[tuple[Path, ...], Field(min_length=1)]
    """Folder of recordings (*.h5), or one file; or a list of them."""
    source: Text | None = None
    """Use only recordings of this source; absent, all that the folder holds."""
    leave_out: tuple[Text, ...] = ()
    """Ids of recordings that are not used at all."""
    bank: Path
    """Bank of the pictures' embeddings (`neurohorizon data embed`)."""
    grey_bank: Path | None = None
    """Bank of the same pictures without colour, of the same encoder."""
    looks_bank: Path | None = None
    """Bank that tells which pictures look alike (encoder layout); `bank` if that is of layout."""
    alike: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.9
    """Pictures whose looks correlate so much are on one side of every split."""
    split: PictureSplit = StoredPictures()
    """Which pictures are for the test."""
    units: UnitsConfig = UnitsConfig()
    """Which units are read."""
    single_trials: Switch = False
    """Learn from single trials, not from their means."""

    @property
    def places(self) -> tuple[Path, ...]:
        """Folders and files of recordings, in the order given."""
        return self.recordings if isinstance(self.recordings, tuple) else (self.recordings,)


class PerceiverConfig(Section):
    """Sizes of the row Perceiver; what the pretrained rows start from has its own."""

    width: Count = 128
    """Of tokens; a multiple of 4."""
    num_layers: Count = 2
    """Of self-attention."""
    num_latents: Count = 2
    """Region tokens of each area."""
    num_queries: Count = 8
    """Of the readout."""
    recompute: Switch = False
    """Keep no activations and compute them again: less memory, a third more time."""


class BridgeModel(Section):
    """Which rows of the ladder are fitted."""

    name: Literal["bridge"] = "bridge"
    rows: Annotated[tuple[RowName, ...], Field(min_length=1)] = DEFAULT_ROWS
    """Rows, from simple to deep."""
    grey_rows: tuple[RowName, ...] = ()
    """Rows that are fitted to pictures without colour as well."""
    pretrained: Path | None = None
    """Run of `neurohorizon bridge pretrain` from which the pretrained rows start."""
    perceiver: PerceiverConfig = PerceiverConfig()
    """Sizes of the row Perceiver."""


class BridgeTraining(Section):
    """How rows are tuned and fitted."""

    budget: Count = 8
    """Settings that are tried of each row."""
    num_folds: Count = 3
    """Folds of the training pictures on which they are tried; 1 holds out one share."""
    held_out_share: Share = 0.1
    """That share, with one fold."""
    num_seeds: Count = 5
    """Seeds of each row that is trained; closed forms have one."""
    max_steps: Count = 1000
    """Steps of a row that is trained, at most."""
    label_share: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    """Share of the training pictures whose embeddings are used; a larger one holds a smaller."""
    label_seed: Seed = 0
    """Another seed draws others."""
    device: Text = "cpu"
    """Where networks are trained: cpu, cuda, cuda:1."""


class BridgeEvaluation(Section):
    """How bridges are scored."""

    trials: tuple[Count, ...] = (1, 2, 4, 8, 16)
    """Numbers of trials of the test responses, besides all, where single trials are there."""


class BridgeConfig(Section):
    """Everything that bridges depend on."""

    run: RunConfig = RunConfig()
    data: ResponsesConfig
    model: BridgeModel = BridgeModel()
    training: BridgeTraining = BridgeTraining()
    evaluation: BridgeEvaluation = BridgeEvaluation()

    @model_validator(mode="after")
    def _check(self) -> BridgeConfig:
        for name in ("rows", "grey_rows"):
            rows = getattr(self.model, name)
            if len(set(rows)) < len(rows):
                raise ConfigError(f"model.{name} names a row twice: {', '.join(rows)}")
        if self.model.grey_rows and self.data.grey_bank is None:
            raise ConfigError(
                "model.grey_rows without data.grey_bank: embed the pictures without colour "
                "(`neurohorizon data embed ... --grey`) and name the bank"
            )
        if self.data.grey_bank is not None and not self.model.grey_rows:
            raise idle("data.grey_bank", "without model.grey_rows")
        starts = [
            row for row in (*self.model.rows, *self.model.grey_rows) if row.startswith(PRETRAINED)
        ]
        if starts and self.model.pretrained is None:
            raise ConfigError(
                f"model.rows has {starts[0]!r} and there is no model.pretrained: name a run of "
                "`neurohorizon bridge pretrain`"
            )
        if self.model.pretrained is not None and not starts:
            raise idle("model.pretrained", "without a pretrained row in model.rows")
        perceiver = self.model.perceiver
        if perceiver.width % 4:
            raise ConfigError(
                f"model.perceiver.width is {perceiver.width}: expected a multiple of 4, which "
                "heads share"
            )
        every = {*self.model.rows, *self.model.grey_rows}
        if perceiver != PerceiverConfig() and "Perceiver" not in every:
            raise idle("model.perceiver", "without the row Perceiver")
        if self.training.label_share == 1 and self.training.label_seed:
            raise idle("training.label_seed", "with all pictures' embeddings")
        if self.training.num_folds > 1 and self.training.held_out_share != 0.1:
            raise idle("training.held_out_share", f"with {self.training.num_folds} folds")
        return self

    @property
    def folds(self) -> tuple[int, float]:
        """How many folds of the training pictures there are, and what one alone holds out."""
        return self.training.num_folds, self.training.held_out_share
