"""Simulated sessions as recordings, with the truth behind them kept beside.

A folder of a simulated population holds ::

    population.json                     how it was simulated
    seed0_session0000.h5                a recording like any other
    seed0_session0000.truth.npz         what no recording tells: latents, gains, loadings

so whatever reads recordings reads simulated ones, and only who asks for the truth gets it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.errors import ConfigError
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.schema import Recording, Series, Table, Units
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.store import write_recording
from neurohorizon.simulate.calcium import CalciumWorld
from neurohorizon.simulate.claim import claim
from neurohorizon.simulate.drives import SimulatedDrives
from neurohorizon.simulate.population import (
    draw_num_units,
    require_share,
    require_units_range,
    simulate_session,
)
from neurohorizon.simulate.session import (
    SimulatedSession,
)
from neurohorizon.simulate.truth import truth_path, write_truth
from neurohorizon.simulate.workers import map_in_processes
from neurohorizon.simulate.world import NUM_DIRECTIONS, PopulationWorld

SOURCE = "simulated_population"
POPULATION_FILE = "population.json"
# Counts up when the same settings come to give other spikes or other files.
FORMAT = 1
_LATER = {"carrier_share": 1.0, "calcium": None}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PopulationPlan:
    """How a population is simulated: its plan, from which any session can be made.

    Parameters
    ----------
    units_range : (int, int)
        Smallest and largest number of units of a session.
    duration_s : float
        Seconds of each session.
    seed : int
        Session i is a function of the plan and i alone.
    drift, bursts, trials, behavior, driven : bool
        As in :func:`~neurohorizon.simulate.population.simulate_session`.
    carrier_share, calcium : float, CalciumWorld or None
        Likewise. Recordings of a calcium world hold the signals ``calcium`` and no spikes.
    world : PopulationWorld

    Raises
    ------
    ConfigError
        If the range of units is empty or the seed negative.
    DataError
        If the sessions are too short to be split.
    """

    units_range: tuple[int, int] = (40, 100)
    duration_s: float = 600.0
    seed: int = 0
    drift: bool = True
    bursts: bool = True
    trials: bool = True
    behavior: bool = True
    driven: bool = False
    carrier_share: float = 1.0
    calcium: CalciumWorld | None = None
    world: PopulationWorld = field(default_factory=PopulationWorld)

    def __post_init__(self) -> None:
        require_units_range(self.units_range)
        require_share(self.carrier_share)
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}: expected 0 or more")
        split_in_time(np.array([[0.0, self.duration_s]]))

    def describe(self) -> dict[str, Any]:
        """Return all that the sessions depend on, ready for JSON."""
        values = asdict(self)
        # What plans came to have later is left out where it says what all said before.
        for name, before in _LATER.items():
            if values[name] == before:
                del values[name]
        return json.loads(json.dumps({"format": FORMAT, **values}))

    @property
    def fingerprint(self) -> str:
        """Eight letters that differ between plans."""
        content = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    def session_id(self, index: int) -> str:
        """Return the id of session `index`: its file's name without suffix."""
        return f"seed{self.seed}_session{index:04d}"

    def simulate(self, index: int) -> SimulatedSession:
        """Simulate session `index`: that of ``simulate_population`` with this seed."""
        return simulate_session(
            self.world,
            num_units=draw_num_units(self.units_range, seed=self.seed, index=index),
            duration_s=self.duration_s,
            seed=(self.seed, index),
            drift=self.drift,
            bursts=self.bursts,
            trials=self.trials,
            behavior=self.behavior,
            driven=self.driven,
            carrier_share=self.carrier_share,
            calcium=self.calcium,
        )


def to_recording(session: SimulatedSession, *, id: str, subject: str) -> Recording:
    """Return what an experimenter would have recorded of a session.

    Parameters
    ----------
    session : SimulatedSession
    id, subject : str

    Returns
    -------
    Recording
        Of its spikes or, where there are traces, of these: the signals ``calcium``. Split in
        time; with the series ``velocity`` and ``running``, the table ``trials``
        (preparation to end of movement, with ``movement_onset_s`` and ``direction_rad``), and
        the table ``presentations`` with the embeddings ``pictures``, where there are any.
    """
    series, tables, embeddings = {}, {}, {}
    if session.velocity is not None and session.velocity_timestamps is not None:
        series["velocity"] = Series(session.velocity_timestamps, session.velocity, unit="a.u.")
    trials = session.trials
    if len(trials):
        tables["trials"] = Table(
            start=trials.preparation_start_s,
            end=trials.end_s,
            columns={
                "movement_onset_s": trials.movement_onset_s,
                "direction_rad": 2 * np.pi * trials.direction_index / NUM_DIRECTIONS,
            },
        )
    drives = session.drives
    if drives is not None:
        times = (np.arange(len(drives.running)) + 0.5) * np.float64(session.world.grid_s)
        series["running"] = Series(times, drives.running[:, None], unit="SD")
        tables["presentations"] = Table(
            start=drives.presentation_start_s,
            end=drives.presentation_end_s,
            columns={"picture": drives.picture_index},
        )
        embeddings["pictures"] = _shown(drives)
    domain = np.array([[0.0, session.duration_s]])
    signals, num_seen = {}, None
    if session.calcium is not None:
        traces = session.calcium
        signals["calcium"] = Series(traces.timestamps, traces.traces, unit="dF/F")
        num_seen = 0
    return Recording(
        id=id,
        subject=subject,
        source=SOURCE,
        spike_times=session.spike_times[:num_seen],
        spike_unit_index=session.spike_unit_index[:num_seen],
        signals=signals,
        units=Units.numbered(session.num_units),
        domain=domain,
        series=series,
        tables=tables,
        embeddings=embeddings,
        split=split_in_time(domain),
        metadata={"species": "simulated", "laboratory": "simulated"},
    )


def _shown(drives: SimulatedDrives) -> ShownImages:
    vectors = drives.pictures.astype(np.float32)
    return ShownImages(
        table="presentations",
        start=drives.presentation_start_s,
        end=drives.presentation_end_s,
        row=drives.picture_index,
        vectors=vectors,
        hashes=np.array([hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors]),
        fingerprint=json.dumps({"encoder": SOURCE, "pictures": len(vectors)}),
    )


def write_population(
    plan: PopulationPlan,
    folder: Path | str,
    *,
    indices: Sequence[int],
    progress: Progress | None = None,
) -> list[Path]:
    """Simulate sessions into a folder, each a recording with its truth beside it.

    Parameters
    ----------
    plan : PopulationPlan
    folder : path
        Sessions that it holds already are skipped, so an interrupted call goes on where it
        stopped.
    indices : sequence of int
        Sessions to make, in as many processes as there are cores.
    progress : callable, optional
        Called with (sessions done, sessions in all), at the start and after each.

    Returns
    -------
    list of Path
        The recordings, in the order of `indices`.

    Raises
    ------
    ConfigError
        If the folder holds something else.
    DataError
        If a file cannot be written; no part of it is left behind.
    """
    folder = Path(folder)
    claim(folder / POPULATION_FILE, plan.describe(), foreign="*.h5")
    files = [folder / f"{plan.session_id(index)}.h5" for index in indices]
    missing = [
        (index, file)
        for index, file in zip(indices, files, strict=True)
        if not (file.exists() and truth_path(file).exists())
    ]
    done = len(files) - len(missing)
    if progress is not None:
        progress(done, len(files))
    for _ in map_in_processes(partial(_write_session, plan), missing):
        done += 1
        if progress is not None:
            progress(done, len(files))
    return files


def _write_session(plan: PopulationPlan, session_file: tuple[int, Path]) -> None:
    index, file = session_file
    session = plan.simulate(index)
    # The truth first: a recording in such a folder always has its truth.
    write_truth(session, truth_path(file))
    subject = f"seed{plan.seed}_animal{index:04d}"
    write_recording(to_recording(session, id=file.stem, subject=subject), file)
