"""NWB files in the layouts of the Neural Latents Benchmark and of Perich and Miller.

They follow what the public readers ask for: `nlb_tools.nwb_interface.NWBDataset` and
`nlb_tools.make_tensors` (split, heldout, obs_intervals, time columns that end in ``_time``),
torch_brain's pipelines ``pei_pandarinath_nlb_2021`` and ``perich_miller_population_2018``,
and the listings of DANDI 000127 to 000130, 000138 to 000140 and 000688: groups, columns,
shapes, session ids and file names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

ZONE = ZoneInfo("America/Los_Angeles")
NUM_UNITS = 6
HELD_OUT = (1, 4)  # rows of the training file: not the last ones, so that rows shift in the test


@dataclass(frozen=True)
class Layout:
    """What differs between the data sets: who, where, which series and trial columns."""

    subject: str
    session: str
    areas: tuple[str, ...]
    series: dict[str, int]
    align: str | None
    trialised: bool


MAZE_SERIES = {"cursor_pos": 2, "eye_pos": 2, "hand_pos": 2, "hand_vel": 2}
RTT_SERIES = {"cursor_pos": 2, "finger_pos": 3, "finger_vel": 2, "target_pos": 2}
BUMP_SERIES = {"force": 6, "hand_pos": 2, "hand_vel": 2, "joint_ang": 7, "muscle_len": 39}
LAYOUTS = {
    "mc_maze": Layout("Jenkins", "full", ("PMd", "M1"), MAZE_SERIES, "move_onset_time", True),
    "mc_maze_large": Layout(
        "Jenkins", "large", ("PMd", "M1"), MAZE_SERIES, "move_onset_time", True
    ),
    "mc_maze_medium": Layout(
        "Jenkins", "medium", ("PMd", "M1"), MAZE_SERIES, "move_onset_time", True
    ),
    "mc_maze_small": Layout(
        "Jenkins", "small", ("PMd", "M1"), MAZE_SERIES, "move_onset_time", True
    ),
    "mc_rtt": Layout("Indy", "20170202_02", ("M1",), RTT_SERIES, None, False),
    "area2_bump": Layout("Han", "20171207", ("Area 2",), BUMP_SERIES, "move_onset_time", False),
    "dmfc_rsg": Layout("Haydn", "20161211", ("DMFC",), {}, "go_time", False),
}


def behaviour(name: str, times: np.ndarray) -> np.ndarray:
    """Return a known signal: the same function of time wherever it is sampled."""
    columns = {**MAZE_SERIES, **RTT_SERIES, **BUMP_SERIES}[name]
    phase = np.arange(columns) + len(name)
    return 40.0 * np.sin(2 * np.pi * 0.7 * times[:, None] + phase)


def new_file(
    subject: str, session: str, areas: tuple[str, ...], *, date: str = "20090928", maps: bool = True
) -> Any:
    import pynwb

    file = pynwb.NWBFile(
        session_description=f"Data from monkey {subject}.",
        identifier=f"{subject}-{session}",
        session_start_time=datetime.strptime(date, "%Y%m%d").replace(tzinfo=ZONE),
        session_id=session,
        lab="Shenoy",
        institution="Stanford University",
        related_publications=["https://doi.org/10.1016/j.neuron.2010.09.015"],
        subject=pynwb.file.Subject(
            subject_id=subject, species="Macaca mulatta", sex="M", age="P6Y"
        ),
    )
    for area in areas:
        device = file.create_device(name=f"electrode_array_{area}")
        group = file.create_electrode_group(
            name=f"electrode_group_{area}", description="Utah", location=area, device=device
        )
        for _ in range(4):
            place = {"x": np.nan, "y": np.nan, "z": np.nan, "imp": np.nan, "filtering": "unknown"}
            file.add_electrode(location=area, group=group, **(place if maps else {}))
    return file


def save(file: Any, path: Path) -> Path:
    from pynwb import NWBHDF5IO

    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    return path


def trials_of(name: str, *, num_trials: int, part: str) -> dict[str, np.ndarray]:
    """Return the columns of the trial table, times on the millisecond."""
    generator = np.random.default_rng(len(name))
    layout = LAYOUTS[name]
    step = 0.6 if layout.align is None else 2.0
    # Trialised sessions keep a gap between trials: nothing was recorded there.
    start = 0.2 + np.arange(num_trials) * (step + (0.1 if layout.trialised else 0.0))
    columns = {"start_time": start.round(3), "stop_time": (start + step).round(3)}
    words = ["train", "train", "val", "none", "train", "val"] if part == "train" else ["test"]
    columns["split"] = np.resize(words, num_trials)
    if layout.align:
        columns[layout.align] = (start + 1.1 + generator.uniform(0, 0.1, num_trials)).round(3)
    if name == "dmfc_rsg":
        columns["go_time"] = (start + 1.75).round(3)
    if part == "test":
        return columns
    if layout.subject == "Jenkins":
        columns |= {
            "go_cue_time": (start + 0.9).round(3),
            "target_on_time": (start + 0.3).round(3),
            "trial_type": np.arange(num_trials) % 3,
            "trial_version": np.arange(num_trials) % 3,
            "success": np.ones(num_trials, dtype=bool),
            "active_target": np.arange(num_trials) % 2,
        }
    elif name == "area2_bump":
        columns |= {
            "result": np.resize(["R", "F"], num_trials),
            "bump_dir": np.where(np.arange(num_trials) % 2, np.nan, 90.0),
            "ctr_hold_bump": np.arange(num_trials) % 2 == 0,
            "cond_dir": np.resize([0.0, 90.0], num_trials),
        }
    elif name == "dmfc_rsg":
        columns |= {
            "set_time": (start + 1.0).round(3),
            "is_eye": np.arange(num_trials) % 2 == 0,
            "is_short": np.ones(num_trials, dtype=bool),
            "is_outlier": np.zeros(num_trials, dtype=bool),
            "theta": np.resize([0.0, 180.0], num_trials),
            "ts": np.full(num_trials, 800.0),
            "tp": np.full(num_trials, 750.0),
        }
    return columns


def write_nlb(
    folder: Path, name: str, part: str = "train", *, num_trials: int = 12, change: Any = None
) -> tuple[Path, dict[int, np.ndarray], dict[str, np.ndarray]]:
    """Write one file of a data set; return its path, spike times by unit id, and its trials.

    The test part holds segments with the held-in units alone and no behaviour, as published.
    """
    layout = LAYOUTS[name]
    file = new_file(layout.subject, layout.session, layout.areas)
    trials = trials_of(name, num_trials=num_trials, part=part)
    if layout.trialised or part == "test":
        observed = np.column_stack([trials["start_time"], trials["stop_time"]])
    else:
        observed = np.array([[0.2, 9.0], [9.4, max(10.0, trials["stop_time"][-1])]])
    trains = _trains(observed, seed=len(name) + len(part))
    file.add_unit_column("heldout", "Whether the unit is held out in the test data")
    kept = {}
    for row in range(NUM_UNITS):
        if part == "test" and row in HELD_OUT:
            continue
        # The maze's ids begin with the array, 1 PMd or 2 M1; the electrode rows of its M1 units
        # lack the offset of their array, as in the published files.
        unit = (1011, 2031, 1052, 2071, 2072, 1093)[row] if layout.trialised else 10 + 3 * row
        kept[unit] = trains[row]
        # DMFC's units name no electrode.
        place = {} if name == "dmfc_rsg" else {"electrodes": [row % 4]}
        file.add_unit(
            id=unit,
            spike_times=trains[row],
            obs_intervals=observed,
            heldout=bool(row in HELD_OUT),
            **place,
        )
    _add_trials(file, trials, ragged=layout.subject == "Jenkins" and part == "train")
    if part == "train" and layout.series:
        clock = np.concatenate(
            [np.arange(round(low * 1000), round(high * 1000)) / 1000 for low, high in observed]
        )
        _add_series(file, layout, clock)
    if change:
        change(file)
    file_name = f"sub-{layout.subject}_ses-{layout.session}_desc-{part}_behavior+ecephys.nwb"
    path = folder / f"sub-{layout.subject}" / file_name
    return save(file, path), kept, trials


def _trains(observed: np.ndarray, *, seed: int) -> list[np.ndarray]:
    """Return Poisson trains inside the stretches, on the 1/10 ms, none on an edge of a bin."""
    generator = np.random.default_rng(seed)
    trains = []
    for row in range(NUM_UNITS):
        times = [
            generator.uniform(low, high, generator.poisson((8 + 4 * row) * (high - low)))
            for low, high in observed
        ]
        times = np.floor(np.concatenate(times) * 1000) / 1000 + 0.0005
        trains.append(np.unique(times))
    return trains


def _add_trials(file: Any, trials: dict[str, np.ndarray], *, ragged: bool) -> None:
    for column in trials:
        if column not in ("start_time", "stop_time"):
            file.add_trial_column(name=column, description=column)
    if ragged:
        file.add_trial_column(name="target_pos", description="targets", index=True)
    for row in range(len(trials["start_time"])):
        values = {column: values[row] for column, values in trials.items()}
        if ragged:
            values["target_pos"] = [[10 * row, -row], [5, 6]][: 2 if row % 2 else 1] + (
                [] if row % 2 else [[7, 8]]
            )
        file.add_trial(**values)


def _add_series(file: Any, layout: Layout, clock: np.ndarray) -> None:
    import pynwb

    module = file.create_processing_module(name="behavior", description="behaviour")
    for name in layout.series:
        arguments = {
            "name": name,
            "data": behaviour(name, clock),
            "timestamps": clock,
            "unit": "mm/s" if name.endswith("vel") else "mm",
            "comments": "columns=[x,y]" if layout.series[name] == 2 else "no comments",
        }
        if name.endswith("pos"):
            module.add(pynwb.behavior.SpatialSeries(reference_frame="screen", **arguments))
        else:
            module.add(pynwb.TimeSeries(**arguments))


def cursor(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return position (cm), velocity and acceleration of a known movement, 4 cm at 0.5 Hz."""
    rate = 2 * np.pi * 0.5
    position = 4 * np.column_stack([np.sin(rate * times), np.cos(rate * times)])
    velocity = 4 * rate * np.column_stack([np.cos(rate * times), -np.sin(rate * times)])
    return position, velocity, -(rate**2) * position


def write_perich(
    folder: Path,
    *,
    subject: str = "C",
    task: str = "CO",
    date: str = "20161021",
    areas: tuple[str, ...] = ("M1", "PMd"),
    num_trials: int = 20,
    outlier_s: float | None = None,
    change: Any = None,
) -> tuple[Path, list[np.ndarray], dict[str, np.ndarray]]:
    """Write one session of DANDI 000688; return its path, spike times by row and its trials.

    Trial 3 fails, trial 5 has no target; at `outlier_s` the cursor leaves the workspace.
    """
    import pynwb

    file = new_file(subject, f"sub-{subject}_ses-{task}-{date}", areas, date=date, maps=False)
    clock = np.arange(0, 100 * (3 * num_trials + 2)) / 100
    trains = _trains(np.array([[0.0, clock[-1]]]), seed=5)
    for row, times in enumerate(trains):
        file.add_unit(spike_times=times, electrodes=[(row * 5) % (4 * len(areas))])
    start = 1.0 + 3.0 * np.arange(num_trials)
    trials = {
        "start_time": start,
        "stop_time": start + 2.2,
        "target_dir": np.resize(np.arange(8) * np.pi / 4, num_trials),
        "result": np.where(np.arange(num_trials) == 3, "F", "R"),
    }
    if task == "CO":
        trials["target_id"] = np.where(np.arange(num_trials) == 5, np.nan, 2.0)
        trials["target_on_time"] = start + 0.2
        trials["go_cue_time"] = start + 1.0
    else:
        trials["num_attempted"] = np.where(np.arange(num_trials) == 5, 3.0, 4.0)
        trials["go_cue_time_array"] = start[:, None] + [0.3, 0.8, 1.3, 1.8]
        trials["target_id"] = np.tile([1.0, 2.0, 3.0, 4.0], (num_trials, 1))
    _add_trials(file, trials, ragged=False)
    module = file.create_processing_module(name="behavior", description="behaviour")
    values = list(cursor(clock))
    if outlier_s is not None:
        values[0] = values[0].copy()
        low = np.searchsorted(clock, outlier_s)
        values[0][low : low + 300] = 30.0
    position = pynwb.behavior.Position(name="Position")
    position.create_spatial_series(
        name="cursor_pos", data=values[0], timestamps=clock, reference_frame="screen", unit="cm"
    )
    module.add(position)
    for name, series, data in (
        ("Velocity", "cursor_vel", values[1]),
        ("Acceleration", "cursor_acc", values[2]),
    ):
        container = pynwb.behavior.BehavioralTimeSeries(name=name)
        container.create_timeseries(name=series, data=data, timestamps=clock, unit="cm/s")
        module.add(container)
    if change:
        change(file)
    name = f"sub-{subject}_ses-{task}-{date}_behavior+ecephys.nwb"
    return save(file, folder / f"sub-{subject}" / name), trains, trials
