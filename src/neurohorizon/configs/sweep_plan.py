"""From a recipe or an experiment and ``key=a,b`` to the members of a sweep, all checked.

A value is split at its commas, but not inside brackets, braces or quotes: ``model.width=16,32``
is two values, ``data.units=[5,9]`` one list, ``data.units=[5,9],[20,40]`` two lists. A key with
one value is a setting of all members; a key with several is varied. ``run.seed=0,1,2`` says
which seeds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurohorizon.configs.experiment import (
    SHORTEST_REFERENCE_S,
    Experiment,
    as_text,
    as_words,
    load_experiment,
)
from neurohorizon.configs.load import LoadedConfig, load_config, parse_overrides
from neurohorizon.configs.runs import check_folder, plan_run
from neurohorizon.configs.sweep_groups import group_recordings, train_on_each
from neurohorizon.errors import ConfigError, NeuroHorizonError

SWEEPS = Path("sweeps")
MEMBERS = "members"
Settings = dict[str, str]
"""Texts of values by dotted key."""


@dataclass(frozen=True)
class MemberRun:
    """One training of a sweep: a member with one seed.

    Parameters
    ----------
    member : str
    seed : int
    loaded : LoadedConfig
        Its folder is that of the run.
    overrides : tuple of str
        What differs from the recipe: ``key=value``.
    """

    member: str
    seed: int
    loaded: LoadedConfig
    overrides: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Run folder."""
        return self.loaded.config.run.folder

    @property
    def name(self) -> str:
        """What it is called on the terminal."""
        return f"{self.member}, seed {self.seed}"


@dataclass(frozen=True)
class Member:
    """What is trained with every seed.

    Parameters
    ----------
    name : str
    settings : dict of str to str
        Over the recipe's and those of all members.
    also : tuple of str
        Names that came to the same configuration.
    num_parameters : int
        Of the untrained model; 0 until it is known.
    runs : tuple of MemberRun
    """

    name: str
    settings: Settings
    also: tuple[str, ...] = ()
    num_parameters: int = 0
    runs: tuple[MemberRun, ...] = ()


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, checked.

    Parameters
    ----------
    name : str
        Of the experiment or the recipe.
    recipe : str
    folder : Path
    settings : dict of str to str
        Of all members.
    factors : dict of str to list of str
        Keys that are varied, with their values.
    members : list of Member
        Differences are to the first.
    reference_lengths_s : tuple of float
        Scored beside the recipe's own.
    each : str, optional
        What every member trains on one of: recording, subject, or a key of their metadata.
    groups : dict of str to list of str
        Recordings of each of those.
    """

    name: str
    recipe: str
    folder: Path
    settings: Settings
    factors: dict[str, list[str]]
    members: list[Member]
    reference_lengths_s: tuple[float, ...] = ()
    each: str | None = None
    groups: dict[str, list[str]] = field(default_factory=dict)

    @property
    def runs(self) -> list[MemberRun]:
        """All trainings: every member with its first seed, then with the next."""
        by_seed = itertools.zip_longest(*(member.runs for member in self.members))
        return [run for runs in by_seed for run in runs if run is not None]


def plan_sweep(
    recipe: str,
    words: Sequence[str] = (),
    *,
    num_seeds: int | None = None,
    one_at_a_time: bool = False,
    base: str | None = None,
    each: str | None = None,
    reference_lengths_s: Sequence[float] | None = None,
    folder: Path | None = None,
) -> SweepPlan:
    """Expand a sweep and check every member, so that nothing invalid is ever queued.

    Parameters
    ----------
    recipe : str
        Name of a recipe or of an experiment, or path of a ``.yaml`` file of either.
    words : sequence of str
        ``key=value`` for all members, ``key=a,b`` to vary.
    num_seeds : int, optional
        Seeds 0, 1, ...
    one_at_a_time : bool
        Vary one key at a time from the recipe, instead of crossing all.
    base, each, reference_lengths_s : str, str, sequence of float, optional
        In place of the experiment's recipe, and of what else it says.
    folder : Path, optional
        ``sweeps/NAME`` by default.

    Raises
    ------
    NeuroHorizonError
        One line that names the member, where a member is wrong.
    """
    found = load_experiment(recipe)
    name, experiment = found or (Path(recipe).stem, Experiment(recipe=recipe, grid=True))
    if base is not None:
        if found is None:
            raise ConfigError(f"--base {base}: {recipe} is no experiment, but a recipe itself")
        name, experiment = (
            f"{name}-{Path(base).stem}",
            experiment.model_copy(update={"recipe": base}),
        )
    for seconds in reference_lengths_s or ():
        if seconds < SHORTEST_REFERENCE_S:
            raise ConfigError(
                f"--reference-s {seconds:g}: a reference of less than {SHORTEST_REFERENCE_S:g} s "
                "says too little of a unit"
            )
    settings, factors = _read_words(words)
    seeds = _choose_seeds(experiment, settings, factors, num_seeds)
    settings = _as_settings(experiment.settings) | settings
    vary: dict[str, list[str] | Settings] = {
        key: [as_text(each) for each in value] if isinstance(value, list) else _as_settings(value)
        for key, value in experiment.vary.items()
    }
    vary |= factors
    each, groups = each or experiment.each, {}
    if each is not None:
        groups = group_recordings(each, experiment.recipe, _words(settings))
        vary |= train_on_each(groups)
    folder = SWEEPS / name if folder is None else folder
    grid = experiment.grid and not one_at_a_time
    first = Path(experiment.recipe).stem
    members = list(_cross(first, vary) if grid else _one_at_a_time(first, vary))
    if each is not None and not grid:
        members = members[1:]  # trained on all, nothing is held out
    plan = SweepPlan(
        name=name,
        recipe=experiment.recipe,
        folder=folder,
        settings=settings,
        factors={key: value for key, value in vary.items() if isinstance(value, list)},
        members=[],
        reference_lengths_s=tuple(
            experiment.reference_lengths_s if reference_lengths_s is None else reference_lengths_s
        ),
        each=each,
        groups=groups,
    )
    return replace(plan, members=_checked(plan, members, seeds))


def split_values(text: str) -> list[str]:
    """Split a value at its commas, but not inside brackets, braces or quotes.

    Raises
    ------
    ConfigError
        If a value between commas is missing, or a bracket or quote is not closed.

    Examples
    --------
    >>> split_values("[5,9],[20,40]"), split_values("1e-3,3e-3")
    (['[5,9]', '[20,40]'], ['1e-3', '3e-3'])
    """
    values, depth, quote, current = [], 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        if letter == "," and depth == 0 and not quote:
            values.append(current)
            current = ""
        else:
            current += letter
    values.append(current)
    if depth or quote:
        raise ConfigError(f"'{text}': a bracket or quote is not closed")
    if len(values) > 1 and not all(value.strip() for value in values):
        raise ConfigError(
            f"'{text}': a value is missing between commas; a list is written [a,b], and text "
            "with a comma in quotes"
        )
    return [value.strip() for value in values] if len(values) > 1 else values


def _read_words(words: Sequence[str]) -> tuple[Settings, dict[str, list[str]]]:
    """Return what is set for all members, and what is varied."""
    settings: Settings = {}
    factors: dict[str, list[str]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        values = split_values(text) if equals else [text]
        for value in values:
            parse_overrides([f"{key}={value}" if equals else word])
        if key in settings or key in factors:
            raise ConfigError(f"'{key}' is given twice: give it once, as {key}=a,b")
        if key in ("run", "run.folder"):
            raise ConfigError(f"'{word}': each member has a folder of its own below --out")
        if len(values) == 1:
            settings[key] = values[0]
        else:
            factors[key] = values
    return settings, factors


def _choose_seeds(
    experiment: Experiment,
    settings: Settings,
    factors: dict[str, list[str]],
    num_seeds: int | None,
) -> list[str]:
    """Take the seeds out of the words, or from --seeds, or from the experiment."""
    given = factors.pop("run.seed", None) or [
        value for value in [settings.pop("run.seed", None)] if value is not None
    ]
    if given and num_seeds is not None:
        raise ConfigError("run.seed and --seeds say the same: give one of them")
    if num_seeds is not None and num_seeds < 1:
        raise ConfigError(f"--seeds is {num_seeds}: expected at least 1")
    if given:
        return list(dict.fromkeys(given))
    seeds = experiment.seeds if num_seeds is None else num_seeds
    return [str(seed) for seed in (range(seeds) if isinstance(seeds, int) else seeds)]


def _as_settings(settings: Mapping[str, Any]) -> Settings:
    pairs = (word.partition("=") for word in as_words(settings))
    return {key: value for key, _, value in pairs}


def _one_at_a_time(base: str, vary: Mapping[str, list[str] | Settings]) -> Iterator[Member]:
    yield Member(base, {})
    for key, value in vary.items():
        if isinstance(value, list):
            for each in value:
                yield Member(_label({key: each}, vary), {key: each})
        else:
            yield Member(key, value)


def _cross(base: str, vary: Mapping[str, list[str] | Settings]) -> Iterator[Member]:
    named = [Member(key, value) for key, value in vary.items() if isinstance(value, dict)]
    factors = {key: value for key, value in vary.items() if isinstance(value, list)}
    for one in named or [Member("", {})]:
        for values in itertools.product(*factors.values()):
            chosen = dict(zip(factors, values, strict=True))
            parts = [part for part in (one.name, _label(chosen, vary)) if part]
            yield Member(", ".join(parts) or base, one.settings | chosen)


def _label(chosen: Settings, vary: Mapping[str, Any]) -> str:
    """Name a member by the last parts of its keys, as long as they tell them apart."""
    short = [key.rpartition(".")[2] for key in vary]
    parts = []
    for key, value in chosen.items():
        last = key.rpartition(".")[2]
        parts.append(f"{last if short.count(last) == 1 else key}={value}")
    return ", ".join(parts)


def _checked(plan: SweepPlan, members: Sequence[Member], seeds: Sequence[str]) -> list[Member]:
    """Load and check every member with every seed; those that come to the same become one."""
    kept: dict[str, Member] = {}
    for member in members:
        runs = tuple(_load(plan, member, seed) for seed in seeds)
        same = runs[0].loaded.config.model_dump_json(exclude={"run"})
        if same in kept:
            kept[same] = replace(kept[same], also=(*kept[same].also, member.name))
            continue
        kept[same] = replace(member, runs=runs)
    folders: dict[Path, str] = {}
    for member in kept.values():
        here = member.runs[0].folder.parent
        if here in folders:
            raise ConfigError(
                f"'{folders[here]}' and '{member.name}' would share the folder {here}: rename one"
            )
        folders[here] = member.name
    checked = []
    for member in kept.values():
        try:
            first = plan_run(member.runs[0].loaded)
            for run in member.runs[1:]:
                check_folder(run.loaded, resume=True)
        except NeuroHorizonError as error:
            raise NeuroHorizonError(f"member '{member.name}': {error}") from error
        checked.append(replace(member, num_parameters=first.num_parameters))
    return checked


def _load(plan: SweepPlan, member: Member, seed: str) -> MemberRun:
    overrides = tuple(_words(plan.settings | member.settings | {"run.seed": seed}))
    slug = re.sub(r"[^A-Za-z0-9._=-]+", "-", member.name).strip("-.") or "member"
    try:
        loaded = load_config(
            plan.recipe, overrides, folder=plan.folder / MEMBERS / slug / f"seed{seed}"
        )
        if loaded.config.training.devices not in ("auto", 1):
            raise ConfigError(
                "training.devices: a member of a sweep has one device; train it by itself, or "
                "leave the key out"
            )
    except ConfigError as error:
        raise ConfigError(f"member '{member.name}': {error}") from error
    return MemberRun(member.name, loaded.config.run.seed, loaded, overrides)


def _words(settings: Settings) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]
