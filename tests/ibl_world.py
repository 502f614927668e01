"""Small IBL sessions on disk, in the layout of the brain-wide map's public ONE cache.

``laboratory/Subjects/subject/date/number/alf`` holds behaviour (``_ibl_trials.table.pqt``,
``_ibl_wheel.position.npy``, ``_ibl_leftCamera.features.pqt``, ``licks.times.npy``),
``alf/probe00/pykilosort`` the spikes, and folders such as ``#2024-05-06#`` newer revisions of
the files beside them. Names, units and shapes follow ONE's ALF documentation and what
ibllib's ``SpikeSortingLoader`` and ``SessionLoader`` read; files and cache tables are written
by ONE-api itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from iblutil.io import parquet
from one.alf.cache import make_parquet_db
from one.alf.io import save_object_npy

DURATION_S = 120.0
WHEEL_HZ = 0.5
SORTING = "pykilosort"
ALLEN_IDS = np.array([385, 672, 997, 0])  # VISp, CP, root, void
REGIONS = {385: "VISp", 672: "CP", 997: "root"}


def spike_trains(seed: int, *, num_clusters: int, first_s: float = 0.2) -> dict[int, np.ndarray]:
    """Make each cluster's spike times in seconds, from `first_s` to the end of the session."""
    generator = np.random.default_rng(seed)
    trains = {}
    for cluster in range(num_clusters):
        intervals = 0.003 + generator.exponential(1 / (2.0 + cluster % 5), 4000)
        times = first_s + np.cumsum(intervals)
        trains[cluster] = np.round(times[times < DURATION_S - 0.1], 6)
    return trains


def write_probe(
    session: Path,
    trains: dict[int, np.ndarray],
    *,
    label: dict[int, float],
    probe: str = "probe00",
    sorting: str = SORTING,
    revision: str = "",
    locations: str = "ids",
) -> Path:
    """Write one spike sorting of one probe, as in ``alf/probe00/pykilosort``.

    `locations`: "ids" of the channels, "acronyms" of the clusters, "sites" (ids in
    ``electrodeSites`` beside the sorting) or "" for none.
    """
    folder = session / "alf" / probe / sorting / (f"#{revision}#" if revision else "")
    folder.mkdir(parents=True, exist_ok=True)
    times = np.concatenate(list(trains.values()))
    clusters = np.repeat(list(trains), [len(train) for train in trains.values()])
    order = np.argsort(times, kind="stable")
    spikes = {"times": times[order], "clusters": clusters[order].astype(np.uint16)}
    save_object_npy(folder, spikes, "spikes")
    num_clusters = max(trains) + 1
    # Two channels a cluster, so that channel and cluster numbers differ.
    channels = (2 * np.arange(num_clusters)[::-1]).astype(np.int64)
    num_channels = 2 * num_clusters
    ids = ALLEN_IDS[np.arange(num_channels) // 2 % len(ALLEN_IDS)]
    site = np.arange(num_channels, dtype=float)
    sites = {"localCoordinates": np.column_stack([site % 2 * 32 + 11, 20 + 20 * (site // 2)])}
    placed = {
        "brainLocationIds_ccf_2017": ids,
        "mlapdv": np.column_stack([-2000 + site, 300 + site, -1000 - 20 * site]),
    }
    save_object_npy(folder, {"channels": channels}, "clusters")
    # ONE's writer would change these attributes' names.
    if locations == "acronyms":
        areas = np.array([f"AREA{cluster % 3}" for cluster in range(num_clusters)])
        np.save(folder / "clusters.brainLocationAcronyms_ccf_2017.npy", areas)
    save_object_npy(folder, sites, "channels")
    place = {"ids": folder / "channels", "sites": session / "alf" / probe / "electrodeSites"}
    for attribute, values in placed.items():
        if locations in place:
            np.save(f"{place[locations]}.{attribute}.npy", values)
    # Rows in another order than the clusters' numbers, as after a merge.
    numbers = list(label)[::-1]
    rows = pd.DataFrame(
        {
            "cluster_id": numbers,
            "label": list(label.values())[::-1],
            "firing_rate": [len(trains.get(n, ())) / DURATION_S for n in numbers],
            "amp_median": [(50 + n) * 1e-6 for n in numbers],
            "slidingRP_viol": [float(n % 2) for n in numbers],
            "noise_cutoff": [np.nan if n == 0 else n / 10 for n in numbers],
            "spike_count": [len(trains.get(n, ())) for n in numbers],
            "ks2_label": ["mua" if n % 2 else "good" for n in numbers],
        }
    )
    rows.to_parquet(folder / "clusters.metrics.pqt")
    return folder


def trials_table(num_trials: int = 20) -> pd.DataFrame:
    """Make the columns of ``_ibl_trials.table.pqt``: a trial every 4 s from 2 s on."""
    start = 2.0 + 4.0 * np.arange(num_trials)
    left = np.arange(num_trials) % 2 == 0
    return pd.DataFrame(
        {
            "goCueTrigger_times": start + 0.5,
            "stimOn_times": start + 0.5,
            "goCue_times": start + 0.501,
            "firstMovement_times": start + 0.7,
            "response_times": start + 1.2,
            "feedback_times": start + 1.2,
            "choice": np.where(left, 1.0, -1.0),
            "feedbackType": np.ones(num_trials),
            "rewardVolume": np.full(num_trials, 1.5),
            "contrastLeft": np.where(left, 0.25, np.nan),
            "contrastRight": np.where(left, np.nan, 0.125),
            "probabilityLeft": np.where(np.arange(num_trials) < 10, 0.5, 0.8),
            "intervals_0": start,
            "intervals_1": start + 3.0,
        }
    )


def write_behaviour(session: Path, *, trials_as: str = "table") -> None:
    """Write trials, wheel, pupil and licks.

    The wheel turns as ``sin(2 pi 0.5 t)`` rad and is sampled unevenly; the pupil's diameter
    is ``20 + t / 10`` px, and 3 frames at its start have times but no picture.
    """
    alf = session / "alf"
    alf.mkdir(parents=True, exist_ok=True)
    table = trials_table()
    if trials_as == "table":
        table.to_parquet(alf / "_ibl_trials.table.pqt")
    else:
        columns = {name: np.asarray(table[name]) for name in table if "intervals" not in name}
        columns["intervals"] = table[["intervals_0", "intervals_1"]].to_numpy()
        save_object_npy(alf, columns, "trials", namespace="ibl")
    generator = np.random.default_rng(5)
    # 2 to 6 ms apart: the encoder writes when the wheel has turned by a step.
    moves = 0.5 + np.cumsum(generator.uniform(0.002, 0.006, 29_700))
    wheel = {"timestamps": moves, "position": np.sin(2 * np.pi * WHEEL_HZ * moves)}
    save_object_npy(alf, wheel, "wheel", namespace="ibl")
    frames = np.arange(0.0, DURATION_S, 1 / 60)
    save_object_npy(alf, {"times": frames}, "leftCamera", namespace="ibl")
    diameter = 20 + frames[3:] / 10
    features = {"pupilDiameter_raw": diameter + 0.5, "pupilDiameter_smooth": diameter}
    pd.DataFrame(features).to_parquet(alf / "_ibl_leftCamera.features.pqt")
    save_object_npy(alf, {"times": np.arange(5.0, 100.0, 5.0)}, "licks")


def write_session(
    root: Path,
    *,
    laboratory: str = "churchlandlab",
    subject: str = "KS023",
    date: str = "2019-12-10",
    number: int = 1,
    num_clusters: int = 24,
    locations: str = "ids",
    trials_as: str = "table",
) -> Path:
    """Write a session of two probes; every fourth cluster is not good (label 2/3)."""
    session = root / laboratory / "Subjects" / subject / date / f"{number:03d}"
    label = {n: 2 / 3 if n % 4 == 3 else 1.0 for n in range(num_clusters)}
    for probe, seed in (("probe00", 1), ("probe01", 2)):
        trains = spike_trains(seed, num_clusters=num_clusters)
        write_probe(session, trains, label=label, probe=probe, locations=locations)
    write_behaviour(session, trials_as=trials_as)
    return session


def write_regions(root: Path) -> None:
    """Write the Allen ontology's names of the areas used here, beside the laboratories."""
    lines = [f"{number},{name}" for number, name in REGIONS.items()]
    (root / "brain_regions.csv").write_text("\n".join(["id,acronym", *lines]) + "\n")


def write_tables(
    root: Path,
    *,
    project: str = "ibl_neuropixel_brainwide_01",
    protocol: str = "_iblrig_tasks_ephysChoiceWorld6.4.2",
    other_subject: str = "",
) -> None:
    """Write ONE's cache tables; with project and task protocol, as the server's have them.

    Sessions of `other_subject` are of another project.
    """
    sessions_path, _ = make_parquet_db(root)
    table, about = parquet.load(sessions_path)
    table["projects"], table["task_protocol"] = project, protocol
    table.loc[table["subject"] == other_subject, "projects"] = "ibl_training"
    parquet.save(sessions_path, table, about)
