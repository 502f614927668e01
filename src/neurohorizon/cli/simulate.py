"""``neurohorizon simulate``: recordings of worlds whose truth is known."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError
from neurohorizon.simulate.calcium import CalciumWorld
from neurohorizon.simulate.recordings import PopulationPlan, write_population
from neurohorizon.simulate.ventral.plan import NOISE, VentralPlan
from neurohorizon.simulate.ventral.trials import STEP_MS
from neurohorizon.simulate.ventral.write import write_ventral_stream

Off = Annotated[bool, Parameter(negative=())]


def population(
    *,
    out: Path,
    num_sessions: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 12,
    units: tuple[int, int] = (40, 100),
    minutes: float = 10.0,
    seed: int = 0,
    no_drift: Off = False,
    no_bursts: Off = False,
    no_trials: Off = False,
    no_behavior: Off = False,
    driven: Off = False,
    carrier_share: float = 1.0,
    calcium: Off = False,
) -> None:
    """Simulate sessions of a neural population, with the truth beside each.

    Each session is a recording like any other (.h5); its latents, gains and loadings lie
    beside it (.truth.npz). Sessions that are there already are skipped.

    Parameters
    ----------
    out
        Folder for the sessions; a folder holds one population.
    num_sessions
        Number of sessions. Session i does not depend on it.
    units
        Smallest and largest number of units of a session.
    minutes
        Length of a session.
    seed
        Same seed, same sessions.
    no_drift
        Hold all gains and the slow latent still.
    no_bursts
        No unit bursts.
    no_trials
        Spontaneous activity only.
    no_behavior
        Leave out the velocity.
    driven
        Let running drive some units and pictures others, both of which are recorded.
    carrier_share
        Share of the units that movement drives; the others tell nothing of it.
    calcium
        Record calcium traces of the units in place of their spikes.
    """
    plan = PopulationPlan(
        units_range=units,
        duration_s=60.0 * minutes,
        seed=seed,
        drift=not no_drift,
        bursts=not no_bursts,
        trials=not no_trials,
        behavior=not no_behavior,
        driven=driven,
        carrier_share=carrier_share,
        calcium=CalciumWorld() if calcium else None,
    )
    with StageProgress() as progress:
        paths = write_population(
            plan,
            out,
            indices=range(num_sessions),
            progress=partial(progress, "simulating"),
        )
    print(f"{out}: {len(paths)} sessions with their truth")


def ventral_stream(
    *,
    out: Path,
    monkey: str = "F",
    num_categories: int = 1854,
    images_per_category: int = 12,
    test_images: int = 100,
    repeats: int = 30,
    noise: float = NOISE,
    size_px: int = 64,
    seed: int = 0,
    trials: Off = False,
    step_ms: float | None = None,
) -> None:
    """Simulate a monkey that looks at drawn pictures, in the layout of TVSD.

    Pictures, responses of V1, V4 and IT, and the truth behind them (truth.npz). What is there
    already is skipped. `neurohorizon data prepare tvsd` makes a recording of it.

    Parameters
    ----------
    out
        Folder for the files; a folder holds one world.
    monkey
        F or N: whose electrodes lie in which area.
    num_categories
        Combinations of shape, hue and surface, at most 1,872.
    images_per_category
        Train pictures of each category, shown once each.
    test_images
        Test pictures, of the first categories.
    repeats
        How often each test picture is shown.
    noise
        Scale of all trial noise.
    size_px
        Width and height of the pictures.
    seed
        Same seed, same world.
    trials
        Write time courses of single trials, too: 0.25 MB a trial.
    step_ms
        Width of their samples: 1, 5, 12.5 or 25 ms; 5 by default.
    """
    plan = VentralPlan(
        monkey=monkey,
        num_categories=num_categories,
        images_per_category=images_per_category,
        num_test=test_images,
        num_repeats=repeats,
        noise=noise,
        size_px=size_px,
        seed=seed,
    )
    if step_ms is not None and not trials:
        raise ConfigError(f"--step-ms {step_ms:g} has no effect without --trials")
    with StageProgress() as progress:
        write_ventral_stream(
            plan,
            out,
            trials=trials,
            step_ms=STEP_MS if step_ms is None else step_ms,
            progress=progress,
        )
    print(f"{out}: {plan.num_train} train and {plan.num_test} test images with their truth")
    print(f"next: neurohorizon data prepare tvsd {out} --out {out / 'recordings'} images={out}")
