"""What is drawn from fewer areas, fewer trials and with less noise, on simulated responses.

    python benchmarks/reconstruction_effects.py   # half an hour of a core, after reconstruction.py

Takes the generator and the judge that ``python benchmarks/reconstruction.py ventral_stream``
trains, and fits bridges of closed form (the encoding model to what pictures show, ridge to where
what is how bright) to all electrodes or those of an area, under ``runs/bench-effects/``. A world
with less noise, of the same pictures, is taken from ``data/`` if it is there::

    neurohorizon simulate ventral-stream --noise 0.5 --out data/ventral_noise_0.5
    neurohorizon data prepare tvsd data/ventral_noise_0.5 --out data/ventral_stream_noise_0.5 \\
        images=data/ventral

Writes ``reconstruction_effects.md`` and ``.json`` to ``benchmarks/results/``, and a grid of what is
drawn from each area to ``runs/bench-effects/figures/``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reconstruction import RUNS as TRAINED
from reconstruction import STUDIES
from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.load import load_bridges
from neurohorizon.configs.reconstruction_plan import OtherRun, ReconstructionPlan
from neurohorizon.configs.run_bridges import align_run
from neurohorizon.configs.run_reconstruction import Reconstructed, reconstruct_run
from neurohorizon.evaluation.pictures.results import ReconstructionResult
from neurohorizon.evaluation.pictures.summary import estimate
from neurohorizon.report.reconstruction_bars import style_reconstruction
from neurohorizon.report.reconstruction_figures import ReconstructionFigures
from neurohorizon.report.reconstruction_grids import SEEN, compute_picture_grid
from neurohorizon.training.bridge.names import RowName

RUNS = Path("runs/bench-effects")
WORLD = STUDIES["ventral_stream"]
WHAT: RowName = "encoding model"
WHERE: RowName = "ridge"
DRAWN = "ventral_stream, from responses"
MOVED = f"retrieved, moved to what is drawn, best of {WORLD.best_of}"
ROWS = {
    DRAWN: "Drawn by the direct decoder",
    MOVED: f"Retrieved, moved to what is drawn, best of {WORLD.best_of}",
    "retrieved picture": "Retrieved picture",
}
METRICS = ("PixCorr", "judge two-way", "shape", "hue")


@dataclass(frozen=True)
class Effect:
    """What is drawn from.

    Parameters
    ----------
    name : str
    recordings : str
        In ``data/``.
    areas : tuple of str
        All if empty.
    num_trials : int, optional
        Of each test picture; all by default.
    """

    name: str
    recordings: str = "ventral_stream"
    areas: tuple[str, ...] = ()
    num_trials: int | None = None


EFFECTS = (
    Effect("all electrodes, 30 trials"),
    Effect("10 trials", num_trials=10),
    Effect("3 trials", num_trials=3),
    Effect("1 trial", num_trials=1),
    Effect("V1", areas=("V1",)),
    Effect("V4", areas=("V4",)),
    Effect("IT", areas=("IT",)),
    Effect("noise 0.5 (all: 1.25)", recordings="ventral_stream_noise_0.5"),
)


def main() -> None:
    """Draw under each condition, and write the table."""
    found = {}
    for effect in EFFECTS:
        if not (Path("data") / effect.recordings).is_dir():
            print(f"left out, data/{effect.recordings} is not there: {effect.name}")
            continue
        found[effect.name] = draw(effect)
        print(effect.name, "done", flush=True)
    write(found)
    draw_grid(found)


def draw(effect: Effect) -> Reconstructed:
    """Fit the bridges of a condition, draw, and score."""
    folder = RUNS / "-".join([effect.recordings, *effect.areas])
    with StageProgress() as progress:
        for place, row, bank in zip(("what", "where"), (WHAT, WHERE), WORLD.banks, strict=True):
            words = [f"data.recordings=data/{effect.recordings}", f"data.bank=banks/{bank}.npz"]
            words += [f"model.rows=[{row}]", f"data.units.areas=[{','.join(effect.areas)}]"]
            loaded = load_bridges("ventral-stream", words, folder=folder / place)
            align_run(loaded, resume=True, command_line=sys.argv, progress=progress)
        plan = ReconstructionPlan(
            TRAINED / "ventral_stream.safetensors",
            [Path("data") / WORLD.pictures],
            row=WHAT,
            other_runs=[OtherRun(folder / "where", WHERE)],
            num_trials=effect.num_trials,
            judge=TRAINED / "judge.safetensors",
            num_seeds=WORLD.num_seeds,
            best_of=WORLD.best_of,
            checkpoint=WORLD.encoder,
        )
        return reconstruct_run(folder / "what", plan, progress=progress)


def write(found: dict[str, Reconstructed]) -> None:
    """Write a table of each row, one line a condition."""
    lines = [
        f"Drawn from what {WHAT} (what is shown) and {WHERE} (where what is how bright) predict, "
        "by regression or by retrieval, whichever explains more of held-out training pictures; "
        "100 test pictures, percent but for PixCorr, with 95 % intervals over pictures.",
        "",
    ]
    content: dict[str, Any] = {}
    for row, heading in ROWS.items():
        lines += [f"## {heading}", ""]
        lines += ["| | electrodes | " + " | ".join(METRICS) + " |"]
        lines += ["|---|---:|" + "---:|" * len(METRICS)]
        for name, done in found.items():
            (case,) = done.result.cases
            cells = [told(done.result, row, metric) for metric in METRICS]
            lines.append(f"| {name} | {case.num_units} | " + " | ".join(cells) + " |")
            for metric in METRICS:
                value = estimate(done.result, row, metric)
                assert value is not None
                content.setdefault(name, {}).setdefault(row, {})[metric] = [
                    value.value,
                    value.low,
                    value.high,
                ]
        lines.append("")
    write_results(
        "reconstruction_effects",
        "What is drawn from fewer areas, fewer trials and with less noise, simulated responses",
        lines[:-1],
        content,
    )


def draw_grid(found: dict[str, Reconstructed]) -> None:
    """Draw what all electrodes and those of each area speak for, for the same pictures."""
    every = found[EFFECTS[0].name]
    (case,) = every.result.cases
    metric = every.result.metric("judge two-way")
    data = compute_picture_grid(
        every.result.scores[DRAWN, case.recording, metric.name][0],
        metric,
        case.hashes,
        row=DRAWN,
        recording="areas",
        num_each=3,
    )
    lines = {SEEN: every.seen[case.recording]}
    for name in ("all", "V1", "V4", "IT"):
        done = every if name == "all" else found[name]
        (of_case,) = done.result.cases
        assert of_case.hashes.tolist() == case.hashes.tolist()
        lines[f"drawn: {name}"] = done.drawn[case.recording, DRAWN]
    for name in ("all", "V1", "V4", "IT"):
        done = every if name == "all" else found[name]
        lines[f"moved: {name}"] = done.drawn[case.recording, MOVED]
    styles = style_reconstruction(every.result)
    grid = ReconstructionFigures(RUNS / "figures", styles).grid(data, lines)
    print(f"wrote {grid.svg}")


def told(result: ReconstructionResult, row: str, metric: str) -> str:
    """Return a score with its interval, in percent where it is a share."""
    found = estimate(result, row, metric)
    assert found is not None
    values = np.array([found.value, found.low, found.high])
    if result.metric(metric).share:
        return "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * values))
    return "{:.3f} [{:.3f}, {:.3f}]".format(*values)


if __name__ == "__main__":
    main()
