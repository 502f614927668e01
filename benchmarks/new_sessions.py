"""What other sessions are worth to a decoder of a new one: 1, 4 and 8 of them, three ways there.

    python benchmarks/new_sessions.py            # some two hours

trains POYO on simulated reaches (recipe ``reaching``), with a vocabulary of units and with units
known by a reference, under ``runs/bench-new-sessions`` (what is finished is skipped), takes each to
sessions that no choice has seen, and writes ``benchmarks/results/new_sessions.md`` and ``.json``:
velocity decoded in the test blocks of those sessions, by minutes of them that were learned from,
beside simple decoders and a model that learns from these minutes alone.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs import decode_build
from neurohorizon.configs.load import load_trained
from neurohorizon.configs.records import load_decode_run, open_run_sessions
from neurohorizon.configs.run_decoding import load_decoder_of
from neurohorizon.configs.runs import train_run
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import difference, pooled
from neurohorizon.evaluation.result_files import plain
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.training.decoding.adapt import default_stages
from neurohorizon.training.decoding.adapt_steps import Stage
from neurohorizon.training.decoding.few_shot import Way, measure_decoding_few_shot, row_of

RUNS = Path("runs/bench-new-sessions")
RECIPE = "reaching"
NUM_SESSIONS = (1, 4, 8)
MINUTES = (1.0, 4.0)
SIMPLE = ("Wiener", "Kalman smoother", "GRU")
MAX_STEPS = 200
OVERRIDES = (
    "data.num_held_out=3",
    "data.first_held_out=2000",
    "training.max_epochs=20",
    "training.tokens_per_batch=16000",
)
SCRATCH = "these minutes alone"
ABOUT = """\
Velocity of simulated reaches, R² on the test blocks of {num} held-out sessions (`neurohorizon
train {recipe} {told}`, with `data.num_sessions` and `model.units` as said), by minutes of the
session that were learned from. *units*: rows of its units by gradient, trunk frozen; *full*:
then all weights; *none*: no gradient, the minutes are the reference of
`model.units=identity`. Brackets: 95 % intervals over blocks of 30 s; then the paired
difference to the strongest simple decoder on the same minutes, * where its interval is above
0."""


def main() -> None:
    """Train, take to new sessions, score, and write the tables."""
    runs = {}
    with StageProgress() as progress:
        for number in NUM_SESSIONS:
            for units in ("vocabulary", "identity"):
                folder = RUNS / f"{number}-{units}"
                overrides = [*OVERRIDES, f"data.num_sessions={number}", f"model.units={units}"]
                loaded = load_trained(RECIPE, overrides, folder=folder)
                train_run(loaded, resume=True, command_line=sys.argv, progress=progress)
                runs[number, units] = folder
        ways = _ways(runs)
        largest = load_decode_run(runs[NUM_SESSIONS[-1], "vocabulary"])
        held_out = [each.recording for each in open_run_sessions(largest).held_out]
        curve = measure_decoding_few_shot(
            ways,
            held_out,
            minutes=MINUTES,
            baselines=SIMPLE,
            stride_s=0.5,
            tokens_per_batch=8000,
            progress=progress,
        )
    adaptations = [{"row": row, **asdict(each)} for (row, _), each in curve.adaptations.items()]
    _write(curve.result, [way.name for way in ways], adaptations)


def _ways(runs: dict[tuple[int, str], Path]) -> list[Way]:
    """Return the ways: each mode by number of sessions, and a model that was trained on none."""
    ways = []
    for number in NUM_SESSIONS:
        named = f"{number} session{'s' if number > 1 else ''}"
        learned = load_decoder_of(runs[number, "vocabulary"])
        stages = default_stages("units", max_steps=MAX_STEPS)
        ways.append(Way(f"{named}, units", learned, "units", stages))
        if number == NUM_SESSIONS[-1]:
            stages = default_stages("full", max_steps=MAX_STEPS)
            ways.append(Way(f"{named}, full", learned, "full", stages))
        ways.append(Way(f"{named}, none", load_decoder_of(runs[number, "identity"]), "none"))
    record = load_decode_run(runs[NUM_SESSIONS[-1], "vocabulary"])
    untrained = decode_build.decoder(record.config, learned.model.tasks, num_features=1)
    rate = record.config.training.learning_rate
    stages = (Stage("all", 2 * MAX_STEPS, rate, rate),)
    ways.append(Way(SCRATCH, TrainedDecoder(untrained), "full", stages))
    return ways


def _write(result: DecodingResult, ways: list[str], adaptations: list[dict[str, object]]) -> None:
    num = len(result.recordings("velocity"))
    told = " ".join(OVERRIDES)
    lines = [
        ABOUT.format(num=num, recipe=RECIPE, told=told),
        "",
        "| | " + " | ".join(f"{minutes:g} min" for minutes in MINUTES) + " |",
        "|---|" + "---:|" * len(MINUTES),
    ]
    rows = []
    for name in [*ways, *SIMPLE]:
        cells = []
        for minutes in MINUTES:
            score = pooled(result, row_of(name, minutes), "velocity")
            strongest = max(
                (row_of(each, minutes) for each in SIMPLE),
                key=lambda row: pooled(result, row, "velocity").value[0],
            )
            row = {"row": name, "minutes": minutes, "score": plain(asdict(score))}
            cell = f"{score.value[0]:.3f} [{score.low[0]:.3f}, {score.high[0]:.3f}]"
            if name in ways:
                step = difference(result, row_of(name, minutes), strongest, "velocity")
                row |= {"step": plain(asdict(step))}
                cell += f"; {step.interval.value[0]:+.3f}{'*' if step.better else ''}"
            rows.append(row)
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    content = {"rows": rows, "adaptations": adaptations}
    write_results("new_sessions", "Decoding sessions that training never saw", lines, content)


if __name__ == "__main__":
    main()
