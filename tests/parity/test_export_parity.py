"""Exported forecasts get from the benchmarks' own code the numbers that we print."""

import json
import stat
from dataclasses import replace

import h5py
import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.export import export_forecasts
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.summary import recording_table, score_table
from worlds import waving_recording


class Drifting:
    """Forecast the reference rate, drifting along the horizon and with the hour."""

    name = "drifting"

    def forecast(self, case, windows):
        bins = np.arange(windows.spec.num_bins)
        slope = 1.0 + 0.004 * bins + 0.1 * np.sin(windows.origins_s)[:, None, None]
        return case.reference.rate_hz[:, None] * windows.spec.bin_s * slope


@pytest.fixture(scope="module")
def cases():
    """Two recordings; of the second a unit is left out, and another is silent when scored."""
    protocol = Protocol(reference_s=20.0, block_s=4.0, fewest_spikes=100)
    recordings = []
    for index in range(2):
        recording = waving_recording(num_units=8 + index, seed=index, name=f"lab/s{index}")
        if index == 1:
            quality = recording.units.quality.astype("U16")
            quality[0] = "unsorted"
            late = recording.spike_times > recording.require_split().test[0, 0] - 2.0
            kept = ~(late & (recording.spike_unit_index == 3))
            recording = replace(
                recording,
                units=replace(recording.units, quality=quality),
                spike_times=recording.spike_times[kept],
                spike_unit_index=recording.spike_unit_index[kept],
            )
        recordings.append(recording)
    return [prepare_case(each, protocol, held_out=True) for each in recordings]


@pytest.fixture(scope="module")
def printed(cases):
    result = evaluate([Drifting()], cases)
    return result, {
        (row["recording"].replace("/", "_"), row["horizon_s"]): row
        for row in recording_table(result)
    }


@pytest.mark.parametrize("horizon_s", [0.1, 1.0])
def test_nlb_tools_finds_what_is_printed(cases, printed, tmp_path, horizon_s):
    evaluation = pytest.importorskip("nlb_tools.evaluation")
    exported = export_forecasts(
        Drifting(), cases, tmp_path / "nlb", layout="nlb", horizon_s=horizon_s
    )
    with (
        h5py.File(tmp_path / "nlb/submission.h5") as rates,
        h5py.File(tmp_path / "nlb/target.h5") as spikes,
    ):
        assert list(rates) == list(spikes) == ["lab_s0", "lab_s1"]
        for name, mine in zip(rates, exported, strict=True):
            # As nlb_tools joins held-in and held-out units.
            joined = [
                np.dstack(
                    [
                        file[name][f"eval_{what}_{kind}_forward"][()]
                        for kind in ("heldin", "heldout")
                    ]
                ).astype(float)
                for what, file in (("rates", rates), ("spikes", spikes))
            ]
            theirs = evaluation.bits_per_spike(*joined)
            assert theirs == pytest.approx(printed[1][name, horizon_s]["nlb"], rel=1e-5)
            assert theirs == pytest.approx(mine.nlb, rel=1e-5)
            mean = spikes[name]["evaluated_mean"][()]
            assert mean == pytest.approx(joined[1].mean(axis=(0, 1)))
            assert np.all(spikes[name]["null_counts"][()] > 0)
            assert len(spikes[name]["unit_id"]) == len(mean) == mine.num_units == 8


def test_the_whole_of_nlb_tools_runs_on_the_groups(cases, printed, tmp_path):
    """Its evaluation asks for co-smoothing and behaviour too: made up here, as we have none."""
    evaluation = pytest.importorskip("nlb_tools.evaluation")
    make_tensors = pytest.importorskip("nlb_tools.make_tensors")
    export_forecasts(Drifting(), cases, tmp_path / "nlb", layout="nlb", horizon_s=0.24)
    groups = []
    for name in ("target.h5", "submission.h5"):
        with h5py.File(tmp_path / "nlb" / name) as file:
            groups.append(make_tensors.h5_to_dict(file)["lab_s1"])
    target, submission = groups
    made_up = np.random.default_rng(0).uniform(0.1, 1.0, size=(12, 5, 3))
    for part in ("train", "eval"):
        target[f"{part}_behavior"] = made_up[..., :2]
        for kind in ("heldin", "heldout"):
            submission[f"{part}_rates_{kind}"] = made_up
    target["eval_spikes_heldout"] = np.ones_like(made_up)
    (found,) = evaluation.evaluate({"mc_rtt": target}, {"mc_rtt": submission})
    expected = printed[1]["lab_s1", 0.24]["nlb"]
    assert found["mc_rtt_split"]["fp-bps"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("horizon_s", [0.1, 1.0])
def test_brain_wide_bench_finds_what_is_printed(cases, printed, tmp_path, horizon_s):
    scoring = pytest.importorskip("ibl_bwb_eval.scoring.ts2")
    aggregation = pytest.importorskip("ibl_bwb_eval.scoring.aggregation")
    folder = tmp_path / "bwb"
    export_forecasts(
        Drifting(), cases, folder, layout="bwb", horizon_s=horizon_s, label="a b", seed=7
    )
    found = scoring.score_dir(folder / "predictions", folder / "ground_truth")
    assert set(found) == {("a b", "ts2-forecasting", f"lab_s{index}", 7) for index in range(2)}
    for (_, _, name, _), scores in found.items():
        ours = printed[1][name, horizon_s]
        assert scores["poisson_d2"] == pytest.approx(ours["d2_unclipped"], abs=2e-6)
        if name == "lab_s0":  # elsewhere it leaves out what a silent unit was expected to do
            assert scores["bps"] == pytest.approx(ours["nlb"], abs=2e-5)
    pooled = aggregation.aggregate_over_seeds(found)["a b", "ts2-forecasting"]["poisson_d2"][0]
    (ours,) = (row for row in score_table(printed[0]) if row["horizon_s"] == horizon_s)
    assert pooled == pytest.approx(ours["d2"], abs=2e-6)


def test_units_and_times_are_told_as_brain_wide_bench_does(cases, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    entity_ids = pytest.importorskip("ibl_bwb_eval.entity_ids")
    export_forecasts(Drifting(), cases, tmp_path / "bwb", layout="bwb", horizon_s=0.1, label="run")
    path = tmp_path / "bwb/predictions/run/ts2-forecasting/lab_s1/seed_0.safetensors"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
        (tmp_path / "bwb/export.json").stat().st_mode
    )
    file = safetensors.load_file(path)
    case = cases[1]
    ids = entity_ids.decode_entity_ids(file["unit_ids"])
    assert ids.tolist() == case.recording.units.id[1:].tolist()
    assert file["window_timestamps"].numpy() == pytest.approx(case.origins_s - 0.5)
    assert file["predictions"].shape == (len(case.origins_s), 5, 8)


def test_an_export_replaces_an_export_and_nothing_else(cases, tmp_path):
    folder = tmp_path / "out"
    export_forecasts(Drifting(), cases, folder, layout="nlb")
    export_forecasts(Drifting(), cases, folder, layout="bwb", horizon_s=0.1)
    assert {path.name for path in folder.iterdir()} == {
        "predictions",
        "ground_truth",
        "export.json",
    }
    about = json.loads((folder / "export.json").read_text())
    assert about["horizon_s"] == 0.1
    assert [each["recording"] for each in about["recordings"]] == ["lab/s0", "lab/s1"]
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds files, but no export"):
        export_forecasts(Drifting(), cases, other, layout="nlb")
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_what_cannot_be_exported_is_refused(cases, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"one that is scored \(0.1, 0.24, 0.5, 1\)"):
        export_forecasts(Drifting(), cases, out, layout="nlb", horizon_s=0.3)
    quiet = [replace(case, protocol=replace(case.protocol, fewest_spikes=10**6)) for case in cases]
    with pytest.raises(DataError, match="nothing to export"):
        export_forecasts(Drifting(), quiet, out, layout="nlb")
    same = replace(cases[0].known, recording=replace(cases[0].recording, id="lab_s1"))
    with pytest.raises(DataError, match="two recordings would be exported as lab_s1"):
        export_forecasts(Drifting(), [replace(cases[0], known=same), cases[1]], out, layout="nlb")
    assert list(tmp_path.iterdir()) == []
