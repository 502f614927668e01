"""Streaming: a forecast from spikes in chunks is the forecast from the whole recording."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.models.streaming import StreamingForecaster
from neurohorizon.recordings.conditions import ConditionSpec
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import waving_recording

SPEC = WindowSpec()
ORIGINS = (50.0, 50.507, 51.25, 57.300001, 66.0, 79.0)
DESIGNS = {
    "unit queries": {},
    "causal bins": {"decoder": "causal_bins"},
    "no encoder": {"num_encoder_layers": 0},
    "learned identity": {"identity": "learned", "num_known_units": 30},
    "negative binomial": {"likelihood": "negative_binomial"},
}


def make_forecaster(*, known_units=None, use_adapter=True, shuffle_labels=False, **settings):
    """A forecaster whose head is not zero, so that everything shows in its forecasts."""
    torch.manual_seed(0)
    model = HorizonForecaster(spec=SPEC, width=32, num_heads=2, num_latents=8, **settings)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return TrainedForecaster(
        model, known_units=known_units, use_adapter=use_adapter, shuffle_labels=shuffle_labels
    )


def stretch_of(recording, start_s, end_s):
    """The spikes of a stretch as a recording of its own, on the same clock."""
    times, units = recording.between(start_s, end_s)
    domain = np.array([[start_s, end_s]])
    return replace(recording, spike_times=times, spike_unit_index=units, domain=domain, split=None)


def feed(stream, recording, until_s, *, chunk_s):
    """Give the spikes up to a time in chunks: of one length, or of what `chunk_s()` returns."""
    while stream.now_s < until_s:
        length = chunk_s() if callable(chunk_s) else chunk_s
        # Times on whole ticks, as a recording system's are.
        end = min(round(stream.now_s + length, 6), until_s)
        stream.update(*recording.between(stream.now_s, end), until_s=end)


def assert_same(forecast, offline, index):
    np.testing.assert_allclose(forecast.rate_hz[0], offline.rate_hz[index], rtol=2e-4, atol=1e-6)
    assert forecast.origins_s.tolist() == [offline.origins_s[index]]
    np.testing.assert_array_equal(forecast.bin_start_s, offline.bin_start_s)
    np.testing.assert_array_equal(forecast.unit_ids, offline.unit_ids)


@pytest.fixture(scope="module")
def waves():
    return waving_recording(num_units=7, duration_s=80.0)


@pytest.fixture(scope="module")
def reference(waves):
    return compute_reference(waves, np.array([[0.0, 45.0]]), spec=SPEC)


@pytest.fixture
def stream(waves, reference):
    return make_forecaster().stream(stretch_of(waves, 0.0, 50.0), reference=reference)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_stream_forecasts_what_is_forecast_offline(waves, reference, design):
    known = {f"waves/unit_{index:04d}": index + 1 for index in range(5)}
    forecaster = make_forecaster(known_units=known, **DESIGNS[design])
    offline = forecaster.forecast(waves, ORIGINS, reference=reference)
    # Origins differ, so that equality says something.
    assert np.abs(np.diff(np.log(offline.rate_hz), axis=0)).max() > 0.1
    stream = forecaster.stream(stretch_of(waves, 0.0, 50.0), reference=reference)
    for index, origin in enumerate(ORIGINS):
        feed(stream, waves, origin, chunk_s=0.02)
        assert_same(stream.forecast(), offline, index)


@pytest.mark.parametrize("chunk_s", [0.001, 0.1, 1.0, 5.0, None])
def test_the_size_of_the_chunks_does_not_matter(waves, reference, stream, chunk_s):
    if chunk_s is None:  # irregular, many of them empty
        generator = np.random.default_rng(1)
        chunk_s = lambda: float(10.0 ** generator.uniform(-4.0, 0.5))  # noqa: E731
    origins = ORIGINS[:3] if chunk_s == 0.001 else ORIGINS
    offline = stream.forecaster.forecast(waves, origins, reference=reference)
    for index, origin in enumerate(origins):
        feed(stream, waves, origin, chunk_s=chunk_s)
        assert_same(stream.forecast(), offline, index)


def test_spikes_alone_move_the_clock(waves, reference, stream):
    origin = 57.300001
    for time, unit in zip(*waves.between(50.0, origin), strict=True):
        stream.update([time], [unit])
    offline = stream.forecaster.forecast(waves, [origin], reference=reference)
    assert stream.now_s < origin
    assert_same(stream.forecast(origin), offline, 0)


@pytest.mark.parametrize(("use_adapter", "shuffle_labels"), [(False, False), (True, True)])
def test_what_is_withheld_offline_is_withheld(waves, reference, use_adapter, shuffle_labels):
    forecaster = make_forecaster(use_adapter=use_adapter, shuffle_labels=shuffle_labels)
    stream = forecaster.stream(stretch_of(waves, 0.0, 50.0), reference=reference)
    feed(stream, waves, 57.3, chunk_s=0.1)
    assert_same(stream.forecast(), forecaster.forecast(waves, [57.3], reference=reference), 0)
    everything = make_forecaster().forecast(waves, [57.3], reference=reference)
    assert not np.allclose(stream.forecast().rate_hz, everything.rate_hz, rtol=1e-2)


def test_silence_is_followed(waves, reference):
    speaks = (waves.spike_times < 55.0) | (waves.spike_times >= 75.0)
    silent = replace(
        waves,
        spike_times=waves.spike_times[speaks],
        spike_unit_index=waves.spike_unit_index[speaks],
    )
    forecaster = make_forecaster()
    offline = forecaster.forecast(silent, [55.2, 74.0, 76.0], reference=reference)
    stream = forecaster.stream(stretch_of(silent, 0.0, 50.0), reference=reference)
    feed(stream, silent, 55.2, chunk_s=0.1)
    assert_same(stream.forecast(), offline, 0)
    stream.update([], [], until_s=74.0)
    assert_same(stream.forecast(), offline, 1)
    feed(stream, silent, 76.0, chunk_s=0.1)
    assert_same(stream.forecast(), offline, 2)


def test_a_stream_may_start_late_and_cold(waves, reference):
    forecaster = make_forecaster()
    offline = forecaster.forecast(
        stretch_of(waves, 63.25, 80.0), [63.75, 64.0, 79.0], reference=reference
    )
    stream = StreamingForecaster(
        forecaster, reference, start_s=63.25, unit_ids=waves.units.id, recording_id=waves.id
    )
    for index, origin in enumerate(offline.origins_s):
        feed(stream, waves, origin, chunk_s=0.05)
        assert_same(stream.forecast(), offline, index)
    warm = forecaster.forecast(waves, [63.75], reference=reference)
    assert not np.allclose(warm.rate_hz, offline.rate_hz[:1], rtol=1e-2)


def test_without_a_reference_the_last_seconds_are_read(waves):
    forecaster = make_forecaster()
    stream = forecaster.stream(stretch_of(waves, 0.0, 60.0), reference_s=40.0)
    assert stream.reference.intervals.tolist() == [[20.0, 60.0]]
    feed(stream, waves, 61.0, chunk_s=0.5)
    offline = forecaster.forecast(waves, [60.0, 61.0], reference_s=40.0)
    assert_same(stream.forecast(), offline, 1)


def test_the_last_stretch_of_a_recording_with_a_gap_is_the_past(waves, reference):
    inside = (waves.spike_times < 30.0) | (waves.spike_times >= 40.0)
    broken = replace(
        waves,
        spike_times=waves.spike_times[inside],
        spike_unit_index=waves.spike_unit_index[inside],
        domain=np.array([[0.0, 30.0], [40.0, 80.0]]),
        split=None,
    )
    forecaster = make_forecaster()
    offline = forecaster.forecast(broken, [80.0], reference=reference)
    assert_same(forecaster.stream(broken, reference=reference).forecast(), offline, 0)


def test_a_forecast_changes_nothing_and_its_future_is_not_read(waves, reference, stream):
    first = stream.forecast().rate_hz
    # A spike at the very origin belongs to its future.
    stream.update([50.0, 50.0], [0, 3])
    np.testing.assert_array_equal(stream.forecast(50.0).rate_hz, first)
    # Asked for a later origin, the stream has not moved: spikes until then still arrive.
    later = stream.forecast(50.5).rate_hz
    stream.update([50.1], [2])
    assert not np.allclose(stream.forecast(50.5).rate_hz, later, rtol=1e-3)


@pytest.mark.parametrize(
    ("times", "units", "until_s", "says"),
    [
        ([49.9], [0], None, "comes late: the stream has reached 50.000000 s"),
        ([50.2, 50.1], [0, 1], None, "not sorted: one at 50.100000 s comes after"),
        ([50.1], [7], None, "unit 7, but the reference has 7 units"),
        ([50.1], [-1], None, "unit -1"),
        ([50.1], [0.5], None, "integers"),
        ([50.1, 50.2], [0], None, "one time and one unit"),
        ([np.nan], [0], None, "finite"),
        ([], [], 49.0, "time goes forward only"),
        ([], [], np.inf, "finite"),
        ([50.1, 50.3], [0, 1], 50.2, "lies after until_s"),
    ],
)
def test_bad_spikes_are_refused_and_the_stream_goes_on(stream, times, units, until_s, says):
    before = stream.forecast(50.5).rate_hz
    with pytest.raises(DataError, match=says) as caught:
        stream.update(times, units, until_s=until_s)
    assert "\n" not in str(caught.value)
    assert stream.now_s == 50.0
    np.testing.assert_array_equal(stream.forecast(50.5).rate_hz, before)
    stream.update([50.1], [0], until_s=50.2)


def test_origins_that_cannot_be_are_refused(waves, reference, stream):
    stream.update([50.1], [0])
    with pytest.raises(DataError, match=r"before 50\.100000 s, which the stream has reached"):
        stream.forecast(50.05)
    with pytest.raises(DataError, match="finite"):
        stream.forecast(np.nan)
    cold = StreamingForecaster(stream.forecaster, reference, start_s=10.0)
    with pytest.raises(DataError, match="wait until a context has passed"):
        cold.forecast(10.4)
    assert cold.forecast(10.5).unit_ids[0] == "unit_0000"


def test_what_does_not_fit_is_refused(waves, reference):
    forecaster = make_forecaster()
    with pytest.raises(DataError, match="3 unit ids for the reference's 7 units"):
        StreamingForecaster(forecaster, reference, start_s=0.0, unit_ids=["a", "b", "c"])
    short = compute_reference(waves, np.array([[0.0, 45.0]]), spec=WindowSpec(horizon_s=0.5))
    with pytest.raises(ConfigError, match="another horizon or bin"):
        forecaster.stream(waves, reference=short)
    with pytest.raises(DataError, match="no spikes"):
        forecaster.stream(stretch_of(waves, 100.0, 110.0), reference=reference)


def test_identity_is_computed_once(stream):
    calls = []
    stream.forecaster.model.identity.register_forward_hook(lambda *_: calls.append(1))
    for until in (50.1, 50.2, 50.3):
        stream.update([], [], until_s=until)
        stream.forecast()
    assert len(calls) == 1


def test_a_model_of_conditions_streams_without_them():
    """A stream brings spikes alone: its forecast is that of a recording without conditions."""
    recording = waving_recording(num_units=7, duration_s=90.0)
    spec = WindowSpec(conditions=ConditionSpec(behavior=("position",)))
    torch.manual_seed(0)
    model = HorizonForecaster(
        spec=spec, width=32, num_heads=2, num_latents=8, behavior_columns=(1,)
    )
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    forecaster = TrainedForecaster(model)
    reference = compute_reference(recording, np.array([[5.0, 45.0]]), spec=spec)
    blind = replace(recording, series={})
    offline = forecaster.forecast(blind, [66.0], reference=reference)
    seeing = forecaster.forecast(recording, [66.0], reference=reference)
    stream = forecaster.stream(stretch_of(blind, 0.0, 50.0), reference=reference)
    feed(stream, blind, 66.0, chunk_s=0.5)
    assert_same(stream.forecast(), offline, 0)
    assert np.abs(seeing.rate_hz - offline.rate_hz).max() > 1e-3
