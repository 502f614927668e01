"""The measurement of streaming runs and writes down what it measured; nothing is timed here."""

import json

from neurohorizon.training.speed.streaming import (
    QUICK_STREAMING,
    measure_streaming,
    save_streaming,
)


def test_latency_and_memory_are_measured_and_written_down(tmp_path):
    told = []
    latencies, day = measure_streaming(QUICK_STREAMING, progress=lambda *step: told.append(step))
    assert [each.num_units for each in latencies] == [5, 8]
    for each in latencies:
        assert 0 < each.update_p50_ms < each.p50_ms <= each.p99_ms <= each.max_ms
        assert 0 < each.processor_p50_ms <= each.processor_p99_ms
    assert len(day.resident_mib) == QUICK_STREAMING.day_hours
    assert min(day.resident_mib) > 10
    assert day.num_forecasts == 12
    assert abs(day.num_spikes / (5 * 5 * 7200) - 1) < 0.02
    assert day.largest_difference < 1e-4
    hours = [("hours of a stream", hour, 2) for hour in range(3)]
    assert told == hours + [("populations", done, 2) for done in range(3)]

    paths = save_streaming(
        latencies, day, tmp_path / "results", plan=QUICK_STREAMING, command="a command"
    )
    assert sorted(path.name for path in paths) == ["streaming.json", "streaming.md"]
    written, page = json.loads(paths[0].read_text()), paths[1].read_text()
    assert {"torch", "processor", "num_cpus"} <= set(written["machine"])
    assert written["command"] == "a command"
    assert written["date"] in page
    for each in written["latencies"]:
        assert f"| {each['num_units']} | {each['p50_ms']:.1f} |" in page
