"""What is to be decoded: a task names a quantity of a recording and says how it is scored.

A task is declared once (:class:`TaskSpec`, by name in a recipe) and then met with the training
recordings, which tell its size and its scale (:class:`Task`); only the second is trained on, and
it travels with the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from neurohorizon.errors import ConfigError

TaskKind = Literal["continuous", "binary", "multinomial", "ordinal"]
Transform = Literal["value", "velocity", "speed", "heading"]
Loss = Literal["mse", "cross_entropy", "mallow"]
Metric = Literal["r2", "correlation", "accuracy", "balanced_accuracy"]

LOSSES: dict[TaskKind, tuple[Loss, ...]] = {
    "continuous": ("mse",),
    "binary": ("cross_entropy",),
    "multinomial": ("cross_entropy",),
    "ordinal": ("mallow", "cross_entropy"),
}
METRICS: dict[TaskKind, tuple[Metric, ...]] = {
    "continuous": ("r2", "correlation"),
    "binary": ("balanced_accuracy", "accuracy"),
    "multinomial": ("balanced_accuracy", "accuracy"),
    "ordinal": ("balanced_accuracy", "accuracy", "correlation"),
}
"""What a kind of task can be trained and scored by; the first of each is the default."""


@dataclass(frozen=True)
class TaskSpec:
    """A quantity to decode, as it is declared.

    Parameters
    ----------
    name : str
    kind : {"continuous", "binary", "multinomial", "ordinal"}
    series : str
        Series of the recording that holds it; or
    table, column : str
        Table, and the column of it, that hold one value an interval.
    at : {"start", "middle", "end"} or float
        Of a table: when in its interval the value is asked for; a number is seconds since its
        start.
    columns : tuple of int
        Of a series: which of its columns; all of them if empty.
    transform : {"value", "velocity", "speed", "heading"}
        Of a series: itself, its derivative, the norm of that, or the direction of that in
        equal sectors (a categorical task; the first sector is centred on the direction of the
        largest variance).
    smooth_s : float
        Of a series: standard deviation of a Gaussian that smooths it first, in seconds.
    slowest : float
        Of a heading: slower than this (units of the series a second) it is missing.
    rate_hz : float
        Of a series: how often it is asked for; 0 for each of its time stamps.
    num_classes : int
        Of a categorical task: classes; 0 takes those that the training recordings have.
    loss : {"mse", "cross_entropy", "mallow"} or ""
        Empty for the first that suits the kind.
    metric : {"r2", "correlation", "accuracy", "balanced_accuracy"} or ""
        What rows are compared and models are chosen by; empty likewise.
    standardise : bool
        Of a continuous task: learn deviations of the training mean in training deviations.
    weight : float
        Of the task in a model's loss.
    interval_weights : mapping of str to float
        Weight of time stamps inside the intervals of a table, by its name ("reaches": 5.0).
    evaluate : str
        Table within whose intervals time stamps are trained on and scored; empty for all.

    Raises
    ------
    ConfigError
        If settings do not go together.

    Examples
    --------
    >>> TaskSpec(name="position", series="position").loss_used
    'mse'
    """

    name: str
    kind: TaskKind = "continuous"
    series: str = ""
    table: str = ""
    column: str = ""
    at: str | float = "middle"
    columns: tuple[int, ...] = ()
    transform: Transform = "value"
    smooth_s: float = 0.0
    slowest: float = 0.0
    rate_hz: float = 0.0
    num_classes: int = 0
    loss: Loss | Literal[""] = ""
    metric: Metric | Literal[""] = ""
    standardise: bool = True
    weight: float = 1.0
    interval_weights: Mapping[str, float] = field(default_factory=dict)
    evaluate: str = ""

    def __post_init__(self) -> None:
        here = f"tasks.{self.name}"
        if bool(self.series) == bool(self.table):
            raise ConfigError(f"{here}: expected one of series and table to be named")
        if bool(self.table) != bool(self.column):
            raise ConfigError(f"{here}: a table needs the column that holds the values, and back")
        if self.loss and self.loss not in LOSSES[self.kind]:
            suiting = " or ".join(LOSSES[self.kind])
            raise ConfigError(f"{here}.loss is {self.loss}: {self.kind} tasks take {suiting}")
        if self.metric and self.metric not in METRICS[self.kind]:
            suiting = " or ".join(METRICS[self.kind])
            raise ConfigError(f"{here}.metric is {self.metric}: {self.kind} tasks take {suiting}")

    @property
    def is_categorical(self) -> bool:
        """Whether values are classes."""
        return self.kind != "continuous"

    @property
    def loss_used(self) -> Loss:
        """The loss, by default the first that suits the kind."""
        return self.loss or LOSSES[self.kind][0]

    @property
    def metric_used(self) -> Metric:
        """The metric, by default the first that suits the kind."""
        return self.metric or METRICS[self.kind][0]


@dataclass(frozen=True)
class Task:
    """A task that has met the training recordings.

    Parameters
    ----------
    spec : TaskSpec
    mean, scale : tuple of float
        Of the training values, one number a column; of a categorical task empty.
    classes : tuple of str
        What the classes are called, in their order; of a continuous task empty.
    axis_rad : float
        Of a heading: the direction that the first sector is centred on.
    """

    spec: TaskSpec
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    axis_rad: float = 0.0

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.spec.name

    @property
    def num_outputs(self) -> int:
        """Numbers that a readout gives at each time: columns, or one logit a class."""
        return len(self.classes) if self.spec.is_categorical else len(self.mean)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """Make a task again of what `to_dict`, or JSON, made of it."""
        spec = dict(values["spec"])
        spec["columns"] = tuple(spec["columns"])
        rest = {key: tuple(values[key]) for key in ("mean", "scale", "classes")}
        return cls(spec=TaskSpec(**spec), **rest, axis_rad=float(values.get("axis_rad", 0.0)))
