"""A session's NWB file as Visual Coding Neuropixels publishes it, small, written by pynwb.

Tables, columns, modules and names follow the session files of DANDI 000021 (as listed by their
HDF5 members) and AllenSDK's writer and reader of them (``ecephys/write_nwb`` and
``EcephysNwbSessionApi``): http://allensdk.readthedocs.io/en/latest/visual_coding_neuropixels.html.
What they add to the format (fields of a probe's device) is not here: nothing reads it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

SESSION, SUBJECT = "715093703", "699733573"
DURATION_S = 60.0
INVALID = (40.0, 42.5)
FRAME_S = 1 / 30
NUM_FRAMES = 90
NUM_REPEATS = 3
MOVIE_START_S = 10.0
PUPIL_HZ = 30.0
# channel id, area, valid, x, y, z
CHANNELS = (
    (850126378, "VISp", True, 8000.0, 1200.0, 7900.0),
    (850126382, "CA1", True, 8100.0, 2200.0, 7800.0),
    (850126386, "None", True, -1.0, -1.0, -1.0),
    (850126390, "LGd", False, 7400.0, 3000.0, 7500.0),
)
# unit id, channel, quality, isi_violations, amplitude_cutoff, presence_ratio, passes
UNITS = (
    (950911932, 850126378, "good", 0.1, 0.01, 0.99, True),
    (950911986, 850126382, "good", 0.5, 0.1, 0.95, True),  # on the limits
    (950912164, 850126378, "noise", 0.0, 0.0, 0.99, False),
    (950912190, 850126378, "good", 0.6, 0.01, 0.99, False),
    (950912214, 850126378, "good", 0.1, 0.2, 0.99, False),
    (950912249, 850126378, "good", 0.1, 0.01, 0.9, False),
    (950912283, 850126386, "good", 0.1, 0.01, 0.99, False),  # outside of the brain
    (950912287, 850126390, "good", 0.1, 0.01, 0.99, False),  # on a broken channel
    (950912293, 850126382, "good", 0.1, np.nan, 0.99, False),  # a metric that failed
    (950912301, 850126382, "good", 0.0, 0.0, 1.0, True),
)


def running_speed(times):
    """cm/s."""
    return 12 + 8 * np.sin(2 * np.pi * times / 25)


def pupil_area(times):
    """Pixels squared."""
    return 900 + 300 * np.cos(2 * np.pi * times / 15)


def snr(unit):
    """Signal to noise ratio of a unit."""
    return 3.0 + unit / 4


def gaze(times):
    """Degrees, x and y."""
    return np.column_stack([10 * np.sin(times), 5 * np.cos(times)])


def trains(num_spikes: int = 300, seed: int = 0) -> list[np.ndarray]:
    """Return spike times of every unit, kept or not, seconds, on the 30 kHz clock."""
    random = np.random.default_rng(seed)
    return [
        np.sort(random.choice(int(DURATION_S * 30_000), num_spikes + unit, replace=False)) / 30_000
        for unit in range(len(UNITS))
    ]


def write_session(
    path: Path,
    *,
    num_spikes: int = 300,
    eye: bool = True,
    invalid: bool = True,
    templates: bool = False,
    raw_samples: int = 0,
    seed: int = 0,
) -> Path:
    """Write one session's file."""
    import pynwb

    file = pynwb.NWBFile(
        session_description="Data and metadata for an Ecephys session",
        identifier=SESSION,
        session_id=SESSION,
        session_start_time=datetime(2019, 1, 19, 0, 54, 18, tzinfo=UTC),
        institution="Allen Institute for Brain Science",
        stimulus_notes="brain_observatory_1.1",
        subject=pynwb.file.Subject(
            subject_id=SUBJECT,
            species="Mus musculus",
            sex="M",
            age="P118D",
            genotype="Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt",
        ),
    )
    _electrodes(file)
    _units(file, trains(num_spikes, seed))
    clock = _acquisition(file, raw_samples)
    _running(file)
    _stimuli(file, clock)
    if eye:
        _eye(file)
    if invalid:
        file.add_invalid_time_interval(
            start_time=INVALID[0],
            stop_time=INVALID[1],
            tags=["EcephysProbe", "810755797", "probeA"],
        )
    if templates:
        frames = np.arange(NUM_FRAMES * 6 * 8, dtype=np.uint8).reshape(NUM_FRAMES, 6, 8)
        file.add_stimulus_template(
            pynwb.image.ImageSeries(
                name="natural_movie_one", data=frames, unit="NA", rate=30.0, format="raw"
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    return path


def to_first_layout(path: Path) -> Path:
    """Store running as the first files did: starts and ends as two rows of one array."""
    with h5py.File(path, "r+") as file:
        running = file["processing/running"]
        starts = running["running_speed/timestamps"][:]
        ends = running["running_speed_end_times/timestamps"][:]
        for name in ("running_speed", "running_wheel_rotation"):
            about = dict(running[name]["timestamps"].attrs)
            del running[name]["timestamps"]
            running[name]["timestamps"] = np.stack([starts, ends])
            running[name]["timestamps"].attrs.update(about)
        del running["running_speed_end_times"]
    return path


def with_more_spikes(path: Path, num_spikes: int) -> Path:
    """Replace the trains by longer ones; pynwb itself appends them spike by spike."""
    times = trains(num_spikes)
    with h5py.File(path, "r+") as file:
        for name, values in (
            ("spike_times", np.concatenate(times)),
            ("spike_times_index", np.cumsum([len(one) for one in times])),
            ("spike_amplitudes", np.full(sum(len(one) for one in times), 1e-4)),
            ("spike_amplitudes_index", np.cumsum([len(one) for one in times])),
        ):
            about = dict(file["units"][name].attrs)
            del file["units"][name]
            file["units"][name] = values
            file["units"][name].attrs.update(
                {key: value for key, value in about.items() if key != "target"}
            )
        for name in ("spike_times", "spike_amplitudes"):
            file["units"][f"{name}_index"].attrs["target"] = file["units"][name].ref
    return path


def _electrodes(file) -> None:
    device = file.create_device("probeA", description="Neuropixels 1.0 Probe")
    group = file.create_electrode_group(
        "probeA", "Ecephys Electrode Group", "See electrode locations", device
    )
    for name in ("probe_vertical_position", "probe_horizontal_position", "probe_id", "local_index"):
        file.add_electrode_column(name, name)
    file.add_electrode_column("valid_data", "Whether data from this channel is usable")
    for index, (channel, area, valid, x, y, z) in enumerate(CHANNELS):
        file.add_electrode(
            id=channel,
            x=x,
            y=y,
            z=z,
            location=area,
            group=group,
            filtering="AP band: 500 Hz high-pass",
            probe_vertical_position=20 * index,
            probe_horizontal_position=43,
            probe_id=810755797,
            local_index=index,
            valid_data=valid,
        )


def _units(file, spike_times) -> None:
    metrics = ("isi_violations", "amplitude_cutoff", "presence_ratio")
    for name in ("quality", "peak_channel_id", "snr", "firing_rate", "local_index", *metrics):
        file.add_unit_column(name, "no description")
    file.add_unit_column("spike_amplitudes", "amplitude (s) of detected events", index=True)
    for index, (number, channel, quality, isi, cutoff, presence, _) in enumerate(UNITS):
        times = spike_times[index]
        file.add_unit(
            id=number,
            spike_times=times,
            spike_amplitudes=np.full(len(times), 1e-4),
            waveform_mean=np.zeros((82, 4)),
            quality=quality,
            peak_channel_id=channel,
            snr=snr(index),
            firing_rate=len(times) / DURATION_S,
            local_index=index,
            isi_violations=isi,
            amplitude_cutoff=cutoff,
            presence_ratio=presence,
        )


def _acquisition(file, raw_samples):
    import pynwb

    times = np.arange(0, DURATION_S, FRAME_S)
    for name, unit in (
        ("raw_running_wheel_rotation", "radians"),
        ("running_wheel_signal_voltage", "V"),
        ("running_wheel_supply_voltage", "V"),
    ):
        file.add_acquisition(
            pynwb.TimeSeries(name=name, data=np.ones(len(times)), timestamps=times, unit=unit)
        )
    if raw_samples:
        noise = np.random.default_rng(0).integers(-99, 99, raw_samples, dtype=np.int16)
        file.add_acquisition(
            pynwb.TimeSeries(name="photodiode", data=noise, rate=30_000.0, unit="V")
        )
    module = file.create_processing_module("stimulus", "Stimulus Times processing")
    clock = pynwb.TimeSeries(name="timestamps", data=times, timestamps=times, unit="s")
    module.add(clock)
    return clock


def _running(file) -> None:
    import pynwb

    starts = np.arange(0.5, DURATION_S - 0.5, FRAME_S)
    ends = starts + FRAME_S
    module = file.create_processing_module("running", "running speed data")
    speed = running_speed((starts + ends) / 2)
    module.add(pynwb.TimeSeries(name="running_speed", data=speed, timestamps=starts, unit="cm/s"))
    module.add(
        pynwb.TimeSeries(name="running_speed_end_times", data=speed, timestamps=ends, unit="cm/s")
    )
    module.add(
        pynwb.TimeSeries(
            name="running_wheel_rotation", data=speed / 300, timestamps=starts, unit="radians"
        )
    )


def _eye(file) -> None:
    import pynwb
    from hdmf.common import DynamicTable, VectorData

    times = np.arange(0, DURATION_S, 1 / PUPIL_HZ)
    fits = file.create_processing_module("eye_tracking", "Eye tracking processing module")
    half_axis = np.sqrt(pupil_area(times) / np.pi)
    columns = {"center_x": times, "width": half_axis, "height": half_axis, "timestamps": times}
    fits.add(
        DynamicTable(
            name="pupil_ellipse_fits",
            description="ellipses",
            columns=[VectorData(name=k, description=k, data=v) for k, v in columns.items()],
        )
    )
    for kind, offset in (("raw", 50.0), ("filtered", 0.0)):
        module = file.create_processing_module(f"{kind}_gaze_mapping", "Gaze mapping")
        area = pupil_area(times) + offset
        area[10] = np.nan  # a blink
        for name, data, unit in (
            ("pupil_area", area, "Pixels ^ 2"),
            ("eye_area", area * 4, "Pixels ^ 2"),
            ("screen_coordinates", gaze(times)[:, ::-1], "Centimeters"),
            ("screen_coordinates_spherical", gaze(times)[:, ::-1], "Degrees"),
        ):
            module.add(pynwb.TimeSeries(name=name, data=data, timestamps=times, unit=unit))


def _stimuli(file, clock) -> None:
    movie = MOVIE_START_S + np.arange(NUM_FRAMES * NUM_REPEATS) * FRAME_S
    _presentations(
        file,
        clock,
        "natural_movie_one",
        movie,
        movie + FRAME_S,
        frame=np.tile(np.arange(NUM_FRAMES, dtype=float), NUM_REPEATS),
        contrast=np.ones(len(movie)),
        color=[""] * len(movie),
        size=["[1920.0, 1080.0]"] * len(movie),
    )
    scenes = 20 + 0.25 * np.arange(20)
    _presentations(
        file,
        clock,
        "natural_scenes",
        scenes,
        scenes + 0.25,
        frame=np.array([-1.0, *np.arange(19)]),
    )
    gratings = 30 + 3.0 * np.arange(4)
    _presentations(
        file,
        clock,
        "drifting_gratings",
        gratings,
        gratings + 2,
        orientation=np.array([0.0, 45.0, 90.0, np.nan]),
        temporal_frequency=np.array([1.0, 2.0, 4.0, np.nan]),
        spatial_frequency=["0.04", "0.04", "0.04", "null"],
        phase=["[0.1, 0.2]"] * 3 + ["null"],
    )
    _presentations(file, clock, "spontaneous", np.array([0.0]), np.array([10.0]))
    module = file.create_processing_module("optotagging", "optogenetic stimulution data")
    import pynwb

    table = pynwb.epoch.TimeIntervals(name="optogenetic_stimulation", description="laser")
    for name in ("condition", "level", "duration"):
        table.add_column(name, "no description")
    table.add_row(start_time=55.0, stop_time=55.01, condition="a pulse", level=1.5, duration=0.01)
    module.add(table)


def _presentations(file, clock, stimulus, start, stop, **columns) -> None:
    import pynwb

    table = pynwb.epoch.TimeIntervals(
        name=f"{stimulus}_presentations",
        description=f"Presentation times and stimuli details for '{stimulus}' stimuli",
    )
    columns = {
        "stimulus_name": [stimulus] * len(start),
        **({} if stimulus == "spontaneous" else {"stimulus_block": np.zeros(len(start))}),
        **columns,
    }
    for name in columns:
        table.add_column(name, "no description")
    for row in range(len(start)):
        table.add_interval(
            start_time=float(start[row]),
            stop_time=float(stop[row]),
            tags=["stimulus_time_interval"],
            timeseries=[clock],
            **{name: values[row] for name, values in columns.items()},
        )
    file.add_time_intervals(table)
