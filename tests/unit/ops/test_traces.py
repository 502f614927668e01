"""Exponential traces follow their definition."""

import numpy as np

from neurohorizon.ops.traces import exponential_traces, trace_log_ratios


def test_traces_equal_the_sum_in_their_definition():
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(2, 30, 400)).round(6)
    unit = generator.integers(0, 3, 400)
    at = np.sort(generator.uniform(2, 30, 20)).round(6)
    rate = np.array([1.0, 5.0, 0.2])
    constants = np.array([0.05, 1.0, 10.0])
    traces = exponential_traces(
        times,
        unit,
        num_units=3,
        at_s=at,
        time_constants_s=constants,
        start_s=2.0,
        start_rate_hz=rate,
    )
    for i, now in enumerate(at):
        for n in range(3):
            past = times[(unit == n) & (times < now)]
            for k, constant in enumerate(constants):
                direct = rate[n] * np.exp(-(now - 2.0) / constant)
                direct += np.sum(np.exp(-(now - past) / constant)) / constant
                assert np.isclose(traces[i, n, k], direct, rtol=1e-9)


def test_a_spike_at_the_time_asked_for_belongs_to_its_future():
    arguments = {
        "num_units": 1,
        "time_constants_s": [0.1],
        "start_s": 0.0,
        "start_rate_hz": [0.0],
    }
    traces = exponential_traces(
        np.array([0.06]), np.array([0]), at_s=[3 * 0.02, 0.060001], **arguments
    )
    assert traces[0, 0, 0] == 0.0
    assert traces[1, 0, 0] > 9.9


def test_under_a_constant_rate_the_expectation_of_a_trace_is_that_rate():
    generator = np.random.default_rng(1)
    times = np.sort(generator.uniform(0, 2000, 2000 * 20))
    traces = exponential_traces(
        times,
        np.zeros(len(times), int),
        num_units=1,
        at_s=np.arange(50, 2000, 0.5),
        time_constants_s=[0.03, 0.3, 4.0],
        start_s=0.0,
        start_rate_hz=[20.0],
    )
    np.testing.assert_allclose(traces.mean(axis=0)[0], 20.0, rtol=0.03)


def test_log_ratios_are_zero_at_the_reference_rate_and_finite_for_silence():
    traces = np.array([[[5.0, 5.0], [0.0, 0.0]]])
    ratios = trace_log_ratios(traces, [5.0, 0.0], time_constants_s=[0.1, 1.0])
    np.testing.assert_allclose(ratios, 0.0, atol=1e-12)
