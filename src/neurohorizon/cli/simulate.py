"""``neurohorizon simulate``: recordings of worlds whose best forecast is known."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from neurohorizon.cli._progress import StageProgress
from neurohorizon.simulate.calcium import CalciumWorld
from neurohorizon.simulate.recordings import PopulationPlan, write_population

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
