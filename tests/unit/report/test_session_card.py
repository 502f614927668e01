from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.schema import Recording, Series, Units
from neurohorizon.recordings.splits import split_in_time, split_interleaved
from neurohorizon.report.session_card import compute_session_card
from neurohorizon.report.session_figure import draw_session_card
from neurohorizon.report.style import new_figure, save_figure

SECONDS = 400.0


def make_recording(num_units=6, num_spikes=9000, seed=0, **change):
    rng = np.random.default_rng(seed)
    domain = np.array([[0.0, SECONDS]])
    units = replace(
        Units.numbered(num_units),
        area=np.array(["V1", "CA1"] * num_units)[:num_units],
        position_um=rng.uniform(0, 500, (num_units, 3)),
    )
    recording = Recording(
        id="session",
        subject="mouse",
        source="tests",
        spike_times=np.sort(rng.uniform(0, SECONDS, num_spikes)),
        spike_unit_index=rng.integers(0, num_units, num_spikes),
        units=units,
        domain=domain,
        split=split_in_time(domain),
    )
    return replace(recording, **change)


class TestCompute:
    def test_rates_and_their_mean(self):
        card = compute_session_card(make_recording())
        assert card.rate_hz.sum() * SECONDS == pytest.approx(9000)
        assert np.nanmean(card.population_hz) == pytest.approx(card.rate_hz.mean())

    def test_gap_in_the_domain_has_no_rate(self):
        recording = make_recording()
        domain = np.array([[0.0, 100.0], [200.0, SECONDS]])
        card = compute_session_card(replace(recording, domain=domain, split=None))
        in_gap = (card.rate_times_s > 101) & (card.rate_times_s < 199)
        assert np.isnan(card.population_hz[in_gap]).all()
        assert np.isfinite(card.population_hz[~in_gap]).mean() > 0.95

    def test_rows_are_units_by_area_and_rate(self):
        recording = make_recording()
        card = compute_session_card(recording)
        assert card.row_area.tolist() == sorted(recording.units.area)
        low, high = card.raster_span_s
        times, units = recording.between(low, high)
        order = np.lexsort((recording.rate_hz, recording.units.area))
        np.testing.assert_array_equal(order[card.raster_row], units)
        np.testing.assert_array_equal(card.raster_times_s, times)

    def test_unsorted_activity_does_not_hide_the_units(self):
        recording = make_recording()
        rng = np.random.default_rng(1)
        noise = rng.uniform(0, SECONDS, 40_000)
        times = np.concatenate([recording.spike_times, noise])
        units = np.concatenate([recording.spike_unit_index, np.zeros(len(noise), int)])
        order = np.argsort(times)
        quality = np.array(["unsorted", *[""] * 5])
        noisy = replace(
            recording,
            spike_times=times[order],
            spike_unit_index=units[order],
            units=replace(recording.units, quality=quality),
        )
        card = compute_session_card(noisy)
        clean_hz = np.bincount(recording.spike_unit_index)[1:].mean() / SECONDS
        assert np.nanmean(card.population_hz) == pytest.approx(clean_hz)
        assert card.unsorted.tolist() == [True] + [False] * 5

    def test_twins_are_marked(self):
        recording = make_recording()
        own = recording.spike_times[recording.spike_unit_index == 1]
        kept = recording.spike_unit_index != 4
        times = np.concatenate([recording.spike_times[kept], own + 1e-4])
        units = np.concatenate([recording.spike_unit_index[kept], np.full(len(own), 4)])
        order = np.argsort(times)
        card = compute_session_card(
            replace(recording, spike_times=times[order], spike_unit_index=units[order])
        )
        assert np.flatnonzero(card.twin).tolist() == [1, 4]

    def test_nothing_to_show(self):
        empty = make_recording(spike_times=np.empty(0), spike_unit_index=np.empty(0, int))
        with pytest.raises(DataError, match="nothing to show"):
            compute_session_card(empty)


def panels(figure):
    return [ax for ax in figure.axes if ax.axison]


class TestDraw:
    def test_panels(self):
        figure = draw_session_card(compute_session_card(make_recording()))
        assert len(panels(figure)) == 5
        assert figure.get_figwidth() * 25.4 == pytest.approx(183)

    @pytest.mark.parametrize(
        ("lengths_um", "shown", "to_scale"),
        [((300, 400, np.nan), ("x", "y"), True), ((40, 10, 3800), ("x", "z"), False)],
    )
    def test_positions_along_the_axes_that_tell_most(self, lengths_um, shown, to_scale):
        units = make_recording().units
        units = replace(units, position_um=np.linspace(0, lengths_um, len(units)))
        figure = draw_session_card(compute_session_card(make_recording(units=units)))
        labels = [(ax.get_xlabel()[:1], ax.get_ylabel()[:1], ax.get_aspect()) for ax in figure.axes]
        assert (*shown, 1.0 if to_scale else "auto") in labels

    def test_behaviour_has_its_panel(self):
        times = np.arange(0, SECONDS, 0.02)
        series = {"position": Series(times, np.column_stack([np.sin(times), np.cos(times)]), "cm")}
        figure = draw_session_card(compute_session_card(make_recording(series=series)))
        assert len(panels(figure)) == 6
        assert any(ax.get_ylabel() == "position (cm)" for ax in figure.axes)

    @pytest.mark.parametrize(
        "change",
        [
            {"split": None},
            {"split": split_interleaved(np.array([[0.0, SECONDS]]))},
            {"units": Units.numbered(6)},
            {"spike_times": np.array([5.0]), "spike_unit_index": np.array([2])},
            {"spike_times": np.array([5.0, 5.0005]), "spike_unit_index": np.array([2, 2])},
            {"domain": np.array([[0.0, 0.5]]), "split": None},
            {"series": {"empty": Series(np.array([1.0]), np.array([[np.nan]]))}},
        ],
    )
    def test_strange_recordings_can_be_shown(self, change, tmp_path):
        figure = draw_session_card(compute_session_card(make_recording(**change)))
        assert save_figure(figure, tmp_path / "card.png").stat().st_size > 10_000

    def test_split_is_on_the_map(self):
        figure = draw_session_card(compute_session_card(make_recording()))
        texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert texts == ["train 4.0 min", "valid 0.7 min", "test 2.0 min"]


class TestStyle:
    def test_global_state_is_left_alone(self):
        before = dict(matplotlib.rcParams)
        draw_session_card(compute_session_card(make_recording()))
        assert dict(matplotlib.rcParams) == before

    def test_equal_figures_are_equal_files(self, tmp_path):
        for name in ("a.svg", "b.svg", "a.png", "b.png"):
            figure = draw_session_card(compute_session_card(make_recording()))
            save_figure(figure, tmp_path / name)
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_other_formats_are_refused(self, tmp_path):
        with pytest.raises(ConfigError, match=r"written as \.png or \.svg"):
            save_figure(new_figure(50, 50), tmp_path / "a.jpg")
        assert list(tmp_path.iterdir()) == []
