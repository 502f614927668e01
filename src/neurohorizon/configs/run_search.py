"""Search settings that validate best: Optuna proposes, a queue trains, validation decides.

Nothing is scored on test time: a trial's value is the bits per spike that its training reached
on the validation time of the training recordings, at the longest horizon.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurohorizon.configs.load import load_config, parse_overrides
from neurohorizon.configs.run_sweep import Event
from neurohorizon.configs.runs import plan_run
from neurohorizon.configs.sessions import Progress, open_sessions
from neurohorizon.configs.sweep_plan import split_values
from neurohorizon.errors import ConfigError, DataError, MissingExtraError, NeuroHorizonError
from neurohorizon.ops.files import atomic_path
from neurohorizon.ops.lock import locked
from neurohorizon.training.queue import (
    Outcome,
    Task,
    find_slots,
    run_here,
    terminated_as_interrupted,
)

LOCK = ".search.lock"
STORAGE = "search.jsonl"
TABLE = "search.csv"
SUMMARY = "training.json"
#: Of a range of whole numbers, if it is no longer, each is checked before anything is trained.
FEW = 64
#: Two ends; not a path that goes up.
_RANGE = re.compile(r"^[^/\\]+\.\.[^/\\]+$")


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, ends included; whole ones if both ends are.

    Parameters
    ----------
    low, high : float or int
    """

    low: float
    high: float

    @property
    def log(self) -> bool:
        """Whether it spans a factor of ten or more, which is searched by its logarithm."""
        return self.low > 0 and self.high / self.low >= 10

    @property
    def tried(self) -> Sequence[float]:
        """Values that are checked before anything is trained: the ends, or few whole numbers."""
        whole = range(int(self.low), int(self.high) + 1)
        is_whole = isinstance(self.low, int) and isinstance(self.high, int)
        return whole if is_whole and len(whole) <= FEW else (self.low, self.high)


@dataclass(frozen=True)
class SearchPlan:
    """A search, checked at its ends.

    Parameters
    ----------
    recipe : str
    folder : Path
    settings : tuple of str
        Words of all trials.
    space : dict of str to Range or list of str
        What is searched, by key.
    seed : int
        Of the proposals.
    """

    recipe: str
    folder: Path
    settings: tuple[str, ...]
    space: dict[str, Range | list[str]]
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """One training.

    Parameters
    ----------
    number : int
    settings : dict of str to str
    value : float or None
        Bits per spike on validation time; None if it failed.
    """

    number: int
    settings: dict[str, str]
    value: float | None


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Parameters
    ----------
    trials : list of Trial
        Finished and failed ones, in order.
    failed : dict of str to str
        Of the trials of this call, the line that says why.
    """

    trials: list[Trial]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Trial:
        """The trial of the highest value.

        Raises
        ------
        DataError
            If all failed.
        """
        finished = [trial for trial in self.trials if trial.value is not None]
        if not finished:
            raise DataError("no trial of the search was finished: see what the first one said")
        return max(finished, key=lambda trial: trial.value or -math.inf)


def plan_search(
    recipe: str, words: Sequence[str], *, folder: Path | None = None, seed: int = 0
) -> SearchPlan:
    """Read ranges and choices, and check the recipe with the ends of each.

    Parameters
    ----------
    recipe : str
        Name or path of a recipe.
    words : sequence of str
        ``key=value`` for all trials, ``key=low..high`` and ``key=a,b,c`` to search.
    folder : Path, optional
        ``searches/NAME`` by default.
    seed : int

    Raises
    ------
    NeuroHorizonError
        One line, if a setting at an end of the space is wrong.
    """
    settings, space, given = [], {}, set[str]()
    for word in words:
        key, equals, text = word.partition("=")
        values = split_values(text) if equals else [text]
        if key in given:
            raise ConfigError(f"{key} is given twice: {word}")
        given.add(key)
        if _RANGE.match(text):
            space[key] = _read_range(key, text)
        elif len(values) > 1:
            space[key] = values
        else:
            settings.append(word)
    if not space:
        raise ConfigError(
            "nothing to search: give a range, such as training.learning_rate=1e-4..1e-2, or "
            "choices, such as model.width=32,64"
        )
    folder = Path("searches") / Path(recipe).stem if folder is None else folder
    plan = SearchPlan(recipe, folder, tuple(settings), space, seed)
    for number, corner in enumerate(_corners(space)):
        chosen = dict(zip(space, corner, strict=True))
        told = ", ".join(f"{key}={value}" for key, value in chosen.items())
        try:
            loaded = load_config(recipe, _words(plan, chosen), folder=plan.folder / "check")
            if number == 0:
                plan_run(loaded)
        except NeuroHorizonError as error:
            raise ConfigError(f"with {told}: {error}") from error
    return plan


def run_search(
    plan: SearchPlan,
    *,
    num_trials: int,
    num_jobs: int | None = None,
    progress: Progress | None = None,
    on_event: Event | None = None,
) -> SearchOutcome:
    """Train until so many trials have ended; those that are there already count.

    Parameters
    ----------
    plan : SearchPlan
    num_trials : int
    num_jobs : int, optional
        Trainings at a time; by default one a free GPU, or one on the CPU.
    progress, on_event : callable, optional
        As :func:`~neurohorizon.configs.run_sweep.run_sweep` calls them.

    Returns
    -------
    SearchOutcome

    Raises
    ------
    NeuroHorizonError
        If Optuna is not installed, the folder holds another search, or somebody else searches
        in it.

    Notes
    -----
    Proposals come from a tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS 24),
    a batch of `num_jobs` at a time. What was at work when a search was killed is gone on with.
    """
    if num_trials < 1:
        raise ConfigError(f"--trials is {num_trials}: expected at least 1")
    optuna = _optuna()
    config = load_config(plan.recipe, _words(plan, {}), folder=plan.folder / "check").config
    slots = find_slots(num_jobs=num_jobs, use_gpus=config.training.accelerator != "cpu")
    failed: dict[str, str] = {}
    with (
        locked(plan.folder, LOCK, busy="searching") as lock,
        terminated_as_interrupted(),
        _quiet(optuna),
    ):
        open_sessions(config, progress=progress)  # simulates once what all trials read
        study = _open_study(optuna, plan)
        while True:
            states = optuna.trial.TrialState
            trials = study.get_trials(deepcopy=False)
            ended = [trial for trial in trials if trial.state.is_finished()]
            if progress is not None:
                progress("searching", min(len(ended), num_trials), num_trials)
            if len(ended) >= num_trials:
                break
            # First what was at work when the search was killed.
            batch = {t.number: t.params for t in trials if t.state == states.RUNNING}
            while len(batch) < min(len(slots), num_trials - len(ended)):
                trial = study.ask(_distributions(optuna, plan.space))
                batch[trial.number] = trial.params
            tasks = {_name(number): number for number in batch}
            commands = [_task(plan, number, params) for number, params in batch.items()]
            # A search that was killed leaves its processes, and they the lock, until they end.
            found = run_here(commands, slots[: len(commands)], keep_open=[lock.fileno()])
            with closing(found) as events:  # type: ignore[type-var]
                for event in events:
                    if on_event is not None:
                        on_event(event, num_trials - len(ended))
                    if isinstance(event, Outcome):
                        number = tasks[event.name]
                        if event.failure:
                            failed[event.name] = event.failure
                            study.tell(number, state=states.FAIL)
                        else:
                            study.tell(number, _value(plan, number))
            _write_table(plan, _trials(plan, study, optuna))
        return SearchOutcome(_trials(plan, study, optuna), failed)


def train_command(plan: SearchPlan, settings: Mapping[str, str]) -> list[str]:
    """Return the words that train the recipe with what a search found."""
    chosen = [f"{key}={value}" for key, value in settings.items()]
    return ["neurohorizon", "train", plan.recipe, *plan.settings, *chosen]


def _read_range(key: str, text: str) -> Range:
    low, _, high = text.partition("..")
    try:
        ends = [json.loads(end) for end in (low, high)]
    except ValueError:
        ends = []
    if len(ends) != 2 or not all(type(end) in (int, float) for end in ends) or ends[0] >= ends[1]:
        raise ConfigError(f"'{key}={text}': expected two numbers, the smaller first: 1e-4..1e-2")
    return Range(*ends)


def _corners(space: Mapping[str, Range | list[str]]) -> Iterator[list[str]]:
    """Yield settings in which each range is at one end, and every choice is made once.

    Of whole numbers each is a choice, unless there are many.
    """
    choices = {
        key: [_text(value) for value in each.tried] if isinstance(each, Range) else each
        for key, each in space.items()
    }
    for index in range(max(len(each) for each in choices.values())):
        yield [each[min(index, len(each) - 1)] for each in choices.values()]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _words(plan: SearchPlan, chosen: Mapping[str, Any]) -> list[str]:
    words = [*plan.settings, *(f"{key}={_text(value)}" for key, value in chosen.items())]
    parse_overrides(words)
    return words


def _name(number: int) -> str:
    return f"trial{number:04d}"


def _task(plan: SearchPlan, number: int, params: Mapping[str, Any]) -> Task:
    folder = plan.folder / "trials" / _name(number)
    words = ["train", plan.recipe, *_words(plan, params), "--out", str(folder), "--resume"]
    return Task(
        name=_name(number),
        commands=((sys.executable, "-m", "neurohorizon", *words),),
        log=Path(f"{folder}.log").absolute(),
        folder=Path.cwd(),
    )


def _value(plan: SearchPlan, number: int) -> float:
    path = plan.folder / "trials" / _name(number) / SUMMARY
    return float(json.loads(path.read_text(encoding="utf-8"))["best_valid"])


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", extra="sweep", purpose="search settings") from error
    return optuna


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Leave talking to our own lines."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _open_study(optuna: Any, plan: SearchPlan) -> Any:
    """Open the study in the folder's journal (lines of JSON), or begin it."""
    backend = optuna.storages.journal.JournalFileBackend(str(plan.folder / STORAGE))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name="search",
        direction="maximize",
        load_if_exists=True,
    )
    described = json.dumps(
        {
            "recipe": plan.recipe,
            "settings": plan.settings,
            "space": {
                key: [each.low, each.high] if isinstance(each, Range) else each
                for key, each in plan.space.items()
            },
        },
        default=list,
    )
    found = study.user_attrs.get("plan", described)
    if found != described:
        raise ConfigError(
            f"{plan.folder}: holds another search (other settings or ranges): choose another "
            "folder with --out, or delete that one"
        )
    study.set_user_attr("plan", described)
    # Each call draws anew, else a search that goes on would propose again what it had.
    study.sampler = optuna.samplers.TPESampler(seed=plan.seed + len(study.trials))
    return study


def _distributions(optuna: Any, space: Mapping[str, Range | list[str]]) -> dict[str, Any]:
    kinds = optuna.distributions
    found: dict[str, Any] = {}
    for key, each in space.items():
        if isinstance(each, list):
            found[key] = kinds.CategoricalDistribution(each)
        elif isinstance(each.low, int) and isinstance(each.high, int):
            found[key] = kinds.IntDistribution(each.low, each.high, log=each.log)
        else:
            found[key] = kinds.FloatDistribution(each.low, each.high, log=each.log)
    return found


def _trials(plan: SearchPlan, study: Any, optuna: Any) -> list[Trial]:
    complete = optuna.trial.TrialState.COMPLETE
    return [
        Trial(
            number=trial.number,
            settings={key: _text(trial.params[key]) for key in plan.space},
            value=trial.value if trial.state == complete else None,
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]


def _write_table(plan: SearchPlan, trials: Sequence[Trial]) -> None:
    with atomic_path(plan.folder / TABLE) as path, path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "valid_bits_per_spike", *plan.space])
        for trial in trials:
            value = "" if trial.value is None else f"{trial.value:.6f}"
            writer.writerow([trial.number, value, *trial.settings.values()])
