"""A simulated monkey in the layout of TVSD, with its pictures and the truth beside.

A folder of a simulated ventral stream holds ::

    ventral_stream.json                      how it was simulated
    object_images/red_plain_disc/*.png       pictures, one folder a category
    monkeyF/THINGS_normMUA.mat               responses, as the data set's readers expect them
    monkeyF/THINGS_MUA_trials.mat            time courses of single trials, if asked for
    monkeyF/_logs/                           which picture each row shows; channel mapping
    truth.npz                                what no recording tells

so whatever reads TVSD reads this, and only who asks for the truth gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.files import atomic_path
from neurohorizon.simulate.claim import claim
from neurohorizon.simulate.ventral.cortex import cortex_of
from neurohorizon.simulate.ventral.drawing import Drawn, draw_all
from neurohorizon.simulate.ventral.electrodes import NUM_ELECTRODES, Electrodes
from neurohorizon.simulate.ventral.matlab import matlab_file, write_arrays, write_texts
from neurohorizon.simulate.ventral.objects import list_categories
from neurohorizon.simulate.ventral.plan import VentralPlan
from neurohorizon.simulate.ventral.recording import Recorded, normalise, record
from neurohorizon.simulate.ventral.statistics import latencies, reliability, signal_to_noise
from neurohorizon.simulate.ventral.trials import (
    AFTER_MS,
    BEFORE_MS,
    STEP_MS,
    STEPS_MS,
    require_step,
    sample_times_ms,
    write_activity,
)
from neurohorizon.simulate.ventral.truth import TRUTH_FILE, tell

PLAN_FILE, PICTURES = "ventral_stream.json", "object_images"
NORM, TRIALS = "THINGS_normMUA.mat", "THINGS_MUA_trials.mat"
LOGS = ("_logs/things_imgs.mat", "_logs/1024chns_mapping_20220105.mat")

Progress = Callable[[str, int, int], None]


def write_ventral_stream(
    plan: VentralPlan,
    folder: Path | str,
    *,
    trials: bool = False,
    step_ms: float = STEP_MS,
    progress: Progress | None = None,
) -> Path:
    """Simulate a monkey that looks at drawn pictures, and write what was recorded.

    Parameters
    ----------
    plan : VentralPlan
    folder : path
        Where all is there already, nothing is done; what an interrupted call left behind is
        kept and completed.
    trials : bool
        Write time courses of single trials, too: about 0.25 MB a trial.
    step_ms : float
        Width of their samples: 1, 5, 12.5 or 25.
    progress : callable, optional
        Called with (what is done, steps done, steps in all).

    Returns
    -------
    Path
        The responses, ``THINGS_normMUA.mat``.

    Raises
    ------
    ConfigError
        If the folder holds something else, or the samples do not fit.
    DataError
        If a file that is there is damaged.
    """
    folder = Path(folder)
    require_step(step_ms)
    if trials and plan.num_trials == NUM_ELECTRODES:
        raise ConfigError(
            f"{NUM_ELECTRODES} trials, as many as electrodes: readers could not tell which axis is "
            "which; choose another number of pictures or repeats"
        )
    claim(folder / PLAN_FILE, plan.describe(), foreign="monkey[FN]")
    monkey = folder / f"monkey{plan.monkey}"
    if trials and (monkey / TRIALS).exists():
        _require_same_samples(monkey / TRIALS, step_ms)
    wanted = [folder / TRUTH_FILE, *(monkey / name for name in LOGS), monkey / NORM]
    wanted += [monkey / TRIALS] * trials
    categories = list_categories(plan.seed)[: plan.num_categories]
    wanted += [folder / PICTURES / category.name for category in categories]
    if all(path.exists() for path in wanted):
        return monkey / NORM
    _simulate(plan, folder, monkey, [p for p in wanted if not p.exists()], step_ms, progress)
    return monkey / NORM


def _simulate(
    plan: VentralPlan,
    folder: Path,
    monkey: Path,
    missing: Sequence[Path],
    step_ms: float,
    progress: Progress | None,
) -> None:
    """Draw, record, and write the files that are missing; responses last."""

    def report(stage: str, done: int, total: int) -> None:
        if progress is not None:
            progress(stage, done, total)

    drawn = draw_all(plan, folder / PICTURES, progress=partial(report, "pictures"))
    electrodes = cortex_of(plan.monkey, plan.seed).electrodes
    answers = drawn.answers.astype(np.float16)  # recording scales them in place
    recorded = record(
        drawn.answers[: plan.num_train],
        drawn.answers[plan.num_train :],
        electrodes,
        num_repeats=plan.num_repeats,
        noise=plan.noise,
        seed=plan.seed,
    )
    if folder / TRUTH_FILE in missing:
        columns = tell(plan, drawn, answers, recorded)
        with atomic_path(folder / TRUTH_FILE) as temporary:
            np.savez(temporary, **columns)
    del answers
    channel = np.random.default_rng([plan.seed, 50]).permutation(NUM_ELECTRODES)
    if monkey / LOGS[0] in missing:
        _write_image_list(monkey / LOGS[0], plan, drawn)
    if monkey / LOGS[1] in missing:
        with matlab_file(monkey / LOGS[1]) as file:
            write_arrays(file, {"mapping": channel[:, None] + 1.0})
    if monkey / TRIALS in missing:
        with matlab_file(monkey / TRIALS) as file:
            write_activity(
                file,
                recorded,
                electrodes,
                channel=channel,
                step_ms=step_ms,
                noise=plan.noise,
                seed=plan.seed,
                progress=partial(report, "trials"),
            )
    if monkey / NORM in missing:
        _write_responses(monkey / NORM, plan, electrodes, recorded)
    report("responses", 1, 1)


def _write_image_list(path: Path, plan: VentralPlan, drawn: Drawn) -> None:
    words = [list_categories(plan.seed)[scene.category].name for scene in drawn.scenes]
    paths = [name.replace("/", "\\") for name in drawn.names]
    with matlab_file(path) as file:
        for group, rows in (
            ("train_imgs", slice(0, plan.num_train)),
            ("test_imgs", slice(plan.num_train, None)),
        ):
            local = [f"{PICTURES}\\{each}" for each in paths[rows]]
            lists = {"class": words[rows], "local_path": local, "things_path": paths[rows]}
            write_texts(file, group, lists)


def _write_responses(
    path: Path, plan: VentralPlan, electrodes: Electrodes, recorded: Recorded
) -> None:
    train, repeats = normalise(recorded)
    snr = signal_to_noise(recorded, plan.noise)
    pairs, oracle = reliability(repeats)
    lats = latencies(electrodes, num_days=recorded.num_days, seed=plan.seed)
    with matlab_file(path) as file:
        write_arrays(
            file,
            {
                "train_MUA": train,
                "test_MUA": repeats.mean(axis=0),
                "test_MUA_reps": repeats,
                "SNR": snr,
                "SNR_max": snr.max(axis=0)[:, None],
                "lats": lats,
                "reliab": pairs,
                "oracle": oracle.T,
                "tb": np.arange(-BEFORE_MS, AFTER_MS, 1.0)[:, None],
            },
        )


def _require_same_samples(path: Path, step_ms: float) -> None:
    try:
        with h5py.File(path, "r") as file:
            found: Any = file["tb"]
            num_samples = found.shape[0]
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: damaged ({error}); remove it and simulate it again") from error
    if num_samples != len(sample_times_ms(step_ms)):
        there = next((s for s in STEPS_MS if len(sample_times_ms(s)) == num_samples), 0)
        raise ConfigError(
            f"{path}: holds samples of {there:g} ms, not {step_ms:g}: remove it, or choose another "
            "folder"
        )
