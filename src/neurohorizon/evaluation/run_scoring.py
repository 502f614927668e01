"""Score the baseline ladder, with a trained model and the ideal observer, into a folder.

What the folder holds already is not computed again, unless it is of another model or
protocol; an interruption costs the part that was being computed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.ladder import fit_ladder
from neurohorizon.evaluation.baselines.training import Baseline, prepare_training
from neurohorizon.evaluation.ceilings import ideal_observers
from neurohorizon.evaluation.contributions import (
    Contributions,
    TrainedWithout,
    measure_contributions,
)
from neurohorizon.evaluation.cosmoothing import (
    CoSmoothing,
    measure_cosmoothing,
)
from neurohorizon.evaluation.describe import describe_machine, describe_session, set_title
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.example import Example, choose_example, make_example, save_example
from neurohorizon.evaluation.identities import Identities, gather_identities, save_identities
from neurohorizon.evaluation.metrics import bits_per_spike
from neurohorizon.evaluation.model_row import (
    TEACHER_FORCED,
    ModelRow,
    TeacherForcedRow,
    ablation_rows,
)
from neurohorizon.evaluation.protocol import Forecaster, Protocol, SessionCase, prepare_case
from neurohorizon.evaluation.result_files import load_result, save_result
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import (
    MADE_FROM_FILE,
    SESSIONS_FILE,
    SET_NAMES,
    SetName,
    SetResults,
    contributions_path,
    cosmoothing_path,
    example_path,
    identities_path,
    is_there,
    part_path,
    reference_part,
    results_of,
)
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.ops.binning import to_ticks
from neurohorizon.ops.files import write_json
from neurohorizon.ops.records import save_records
from neurohorizon.recordings.conditions import Modality
from neurohorizon.recordings.schema import Recording
from neurohorizon.simulate.session import SimulatedSession

Progress = Callable[[str, int, int], None]
Truths = Mapping[str, Callable[[], SimulatedSession]]


@dataclass(frozen=True)
class ObserverPlan:
    """How thoroughly the ideal observer is computed.

    Parameters
    ----------
    num_windows : int or None
        Windows of each session that it is scored on, evenly spaced; None for all.
    num_particles, num_rollouts : int
    """

    num_windows: int | None = None
    num_particles: int = 1000
    num_rollouts: int = 250


def score_run(
    folder: Path | str,
    *,
    forecaster: TrainedForecaster | None,
    training: Sequence[Recording],
    held_out: Sequence[Recording],
    protocol: Protocol,
    reference_s: float | None = None,
    sets: Sequence[SetName] = SET_NAMES,
    truths: Truths | None = None,
    observer: ObserverPlan | None = None,
    baselines: Sequence[Baseline] | None = None,
    shared: Path | None = None,
    trained_without: Mapping[Modality, TrainedForecaster] | None = None,
    model_checksum: str = "",
    command_line: Sequence[str] = (),
    again: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Score the baseline ladder, a model if there is one and, if asked, the ideal observer.

    Parameters
    ----------
    folder : path
        Receives the results.
    forecaster : TrainedForecaster or None
        None scores the ladder alone.
    training, held_out : sequence of Recording
        With splits. Baselines are fitted on the training recordings.
    protocol : Protocol
        The run's own.
    reference_s : float, optional
        Another length of the reference, in seconds: model and ladder only.
    sets : sequence of {"held-out", "later"}
        Without held-out recordings there is only "later".
    truths : mapping of str to callable, optional
        By recording id, what loads the simulated session behind it.
    observer : ObserverPlan, optional
        With `truths`: also score the ideal observer, on the first of the sets.
    baselines : sequence of Baseline, optional
        Fitted ones, in place of a ladder fitted here.
    shared : path, optional
        Folder for the ladder's scores, which runs on the same recordings and windows share:
        what is there is not fitted again. Scores with the observer need the ladder itself.
    trained_without : mapping of {"behavior", "images"} to TrainedForecaster, optional
        Models that were trained like `forecaster` without a condition, which say what it is
        worth.
    model_checksum : str
        Results of a model with another one are removed.
    command_line : sequence of str
        Kept with the results.
    again : bool
        Compute what is there already, too.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    list of str
        What was computed, by the name of its folder; empty if all of it was there.

    Raises
    ------
    DataError
        If there is nothing to score.
    """
    folder, started = Path(folder), time.monotonic()
    wanted: list[SetName] = [name for name in sets if name != "held-out" or held_out]
    if not wanted:
        raise DataError("nothing to score: the run holds out no recording; score the set 'later'")
    other_s = None if reference_s == protocol.reference_s else reference_s
    work = _Work(
        model=None if forecaster is None else ModelRow(forecaster),
        training=training,
        recordings={"held-out": held_out, "later": training},
        protocol=replace(protocol, reference_s=other_s) if other_s else protocol,
        other_length=other_s is not None,
        truths=truths or {},
        baselines=baselines,
        shared=shared,
        trained_without=trained_without or {},
        progress=progress,
    )
    computed: list[str] = []

    def is_wanted(path: Path) -> bool:
        wanted_here = again or not (is_there(path) or path.is_file())
        computed.extend([path.name] * wanted_here)
        return wanted_here

    with results_of(folder, [model_checksum, asdict(protocol)]) as before:
        for name in wanted:
            path = part_path(folder, name, reference_part(other_s) if other_s else "")
            if is_wanted(path):
                save_result(work.score_rows(name), path)
            if other_s:
                continue
            if work.ablations and is_wanted(path := part_path(folder, name, "ablations")):
                save_result(work.score_ablations(name), path)
            # It is slow, and the first set is the one that claims are made on.
            path = part_path(folder, name, "observer")
            if observer is not None and name == wanted[0] and is_wanted(path):
                save_result(work.score_observer(name, observer), path)
            rows = load_result(part_path(folder, name))
            if rows.scored_cases() and is_wanted(path := example_path(folder, name)):
                save_example(work.example(name, rows), path)
            if is_wanted(path := identities_path(folder, name)):
                save_identities(work.identities(name), path)
            path = contributions_path(folder, name)
            if trained_without:
                path.unlink(missing_ok=True)
            if work.model and protocol.spec.conditions and is_wanted(path):
                save_records(work.contributions(name), path)
            path = cosmoothing_path(folder, name)
            if work.model and work.model.forecaster.model.cosmoother and is_wanted(path):
                save_records(work.cosmoothing(name), path)
        if computed:
            write_json(folder / SESSIONS_FILE, work.sessions())
            commands = [*before.get("command_lines", []), list(command_line)]
            made_from = {
                "fingerprint": before["fingerprint"],
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(before.get("seconds", 0.0) + time.monotonic() - started, 1),
                "command_lines": [words for words in commands if words],
                **describe_machine(),
            }
            write_json(folder / MADE_FROM_FILE, made_from)
    return computed


@dataclass
class _Work:
    """What several parts of an evaluation share, made when it is first needed."""

    model: ModelRow | None
    training: Sequence[Recording]
    recordings: Mapping[SetName, Sequence[Recording]]
    protocol: Protocol
    other_length: bool
    truths: Truths
    baselines: Sequence[Baseline] | None
    shared: Path | None
    trained_without: Mapping[Modality, TrainedForecaster]
    progress: Progress | None

    def __post_init__(self) -> None:
        self.ablations = ablation_rows(self.model.forecaster) if self.model else []
        self._cases: dict[SetName, list[SessionCase]] = {}

    @cached_property
    def ladder(self) -> list[Baseline]:
        if self.baselines is not None:
            return list(self.baselines)
        sessions = prepare_training(self.training, self.protocol, progress=self.progress)
        return fit_ladder(sessions, progress=self.progress)

    @cached_property
    def of_model(self) -> list[Forecaster]:
        if self.model is None:
            return []
        forecaster = self.model.forecaster
        forced = [TeacherForcedRow(forecaster)] if forecaster.model.decoder.feeds_back else []
        return [self.model, *forced]

    @cached_property
    def rows(self) -> list[Forecaster]:
        return [*self.of_model[:1], *self.ladder, *self.of_model[1:]]

    def cases(self, name: SetName) -> list[SessionCase]:
        if name not in self._cases:
            cases, recordings = [], self.recordings[name]
            for index, recording in enumerate(recordings):
                self._report(f"{name}: references", index, len(recordings))
                held_out = name == "held-out"
                cases.append(prepare_case(recording, self.protocol, held_out=held_out))
            self._report(f"{name}: references", len(recordings), len(recordings))
            longest_s = max((case.reference.duration_s for case in cases), default=0.0)
            if self.other_length and (self.protocol.reference_s or 0.0) > 1.001 * longest_s:
                raise DataError(
                    f"a reference of {self.protocol.reference_s:g} s: no recording that is scored "
                    f"has more than {longest_s:.4g} s that may be read"
                )
            self._cases[name] = cases
        return self._cases[name]

    def title(self, name: SetName) -> str:
        return set_title(name, self.recordings[name])

    def score_rows(self, name: SetName) -> EvaluationResult:
        if self.shared is None or not self.of_model:
            return self._score(name, self.rows, self.cases(name), "all rows")
        mine = self._score(name, self.of_model, self.cases(name), "the model")
        try:
            both = mine.join(load_result(self._shared_path(name)))
        except DataError:
            # Not there, or scored on what has been changed since.
            ladder = self._score(name, self.ladder, self.cases(name), "baselines")
            save_result(ladder, self._shared_path(name))
            both = mine.join(ladder)
        last = [row for row in both.rows if row.name == TEACHER_FORCED]
        return replace(both, rows=[row for row in both.rows if row not in last] + last)

    def _shared_path(self, name: SetName) -> Path:
        """Name the ladder's scores by what they depend on."""
        assert self.shared is not None
        fitted_on = [
            (each.id, each.num_units, len(each.spike_times), _stretches(each))
            for each in self.training
        ]
        scored = [
            (case.recording.id, to_ticks(case.reference.intervals).tolist())
            for case in self.cases(name)
        ]
        told = [asdict(self.protocol.comparable), asdict(self.protocol.spec.conditions)]
        content = json.dumps([told, fitted_on, scored], sort_keys=True)
        return self.shared / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def score_ablations(self, name: SetName) -> EvaluationResult:
        return self._score(name, self.ablations, self.cases(name), "ablations")

    def score_observer(self, name: SetName, plan: ObserverPlan) -> EvaluationResult:
        """Score all rows and the observer on its windows, which may be a part of all."""
        cases = self.cases(name)
        if plan.num_windows is not None:
            every = [max(1, -(-len(case.origins_s) // plan.num_windows)) for case in cases]
            cases = [case.thin(step) for case, step in zip(cases, every, strict=True)]
        missing = [case.recording.id for case in cases if case.recording.id not in self.truths]
        if missing:
            raise DataError(
                f"{missing[0]}: the ideal observer knows simulated sessions only: "
                "evaluate with --no-observer"
            )
        sessions = {case.recording.id: self.truths[case.recording.id]() for case in cases}
        observers = ideal_observers(
            sessions,
            cases,
            num_particles=plan.num_particles,
            num_rollouts=plan.num_rollouts,
            progress=partial(self._report, f"{name}: ideal observer"),
        )
        return evaluate([*self.rows, *observers], cases, title=self.title(name))

    def example(self, name: SetName, rows: EvaluationResult) -> Example:
        looked_at = SetResults(name, rows)
        recording = choose_example(rows, looked_at.lead)
        case = next(case for case in self.cases(name) if case.recording.id == recording)
        # Baselines whose scores are shared may not be fitted here: then the model stands alone.
        at_hand = self.of_model if self.shared and "ladder" not in vars(self) else self.rows
        by_name = {row.name: row for row in at_hand}
        if self.model is not None:  # expected counts are shown: nothing need be drawn
            by_name[self.model.name] = ModelRow(self.model.forecaster, draws=False)
        shown = (looked_at.lead, looked_at.rivals[0])
        scores = rows.scores[looked_at.lead, recording]
        gain, spikes = (
            scores.at_horizons(values).sum(axis=0)[:, 0] for values in (scores.gain, scores.spikes)
        )
        return make_example(
            case,
            [by_name[row] for row in dict.fromkeys(shown) if row in by_name],
            bits_per_spike=bits_per_spike(gain, 0.0, spikes),
            truth=self.truths[recording]() if recording in self.truths else None,
        )

    def identities(self, name: SetName) -> Identities:
        def report(done: int, total: int) -> None:
            self._report(f"{name}: identities", done, total)

        forecaster = self.model.forecaster if self.model else None
        return gather_identities(self.cases(name), forecaster, progress=report)

    def contributions(self, name: SetName) -> list[Contributions]:
        def report(done: int, total: int) -> None:
            self._report(f"{name}: conditions", done, total)

        assert self.model is not None, "baselines alone read no conditions"
        retrained = []
        for modality, forecaster in self.trained_without.items():
            own = replace(self.protocol, spec=forecaster.spec)
            cases = [
                prepare_case(case.recording, own, held_out=name == "held-out")
                for case in self.cases(name)
            ]
            retrained.append(TrainedWithout(modality, ModelRow(forecaster, draws=False), cases))
        return measure_contributions(
            self.model, self.cases(name), retrained=retrained, progress=report
        )

    def cosmoothing(self, name: SetName) -> list[CoSmoothing]:
        def report(done: int, total: int) -> None:
            self._report(f"{name}: hidden units", done, total)

        assert self.model is not None, "baselines alone have no head for hidden units"
        return measure_cosmoothing(self.model.forecaster, self.cases(name), progress=report)

    def sessions(self) -> list[dict[str, Any]]:
        return [
            describe_session(recording, held_out=name == "held-out")
            for name, recordings in self.recordings.items()
            for recording in recordings
        ]

    def _score(
        self,
        name: SetName,
        forecasters: Sequence[Forecaster],
        cases: Sequence[SessionCase],
        what: str,
    ) -> EvaluationResult:
        def report(_: str, done: int, total: int) -> None:
            self._report(f"{name}: {what}", done, total)

        return evaluate(forecasters, cases, title=self.title(name), progress=report)

    def _report(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


def _stretches(recording: Recording) -> list[Any]:
    """Return what baselines may be fitted on, in microseconds, and whether blocks alternate."""
    split = recording.require_split()
    return [to_ticks(split.train).tolist(), to_ticks(split.valid).tolist(), split.interleaved]
