"""A folder of results: made once, made again when it must be, read back whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import DataError
from neurohorizon.evaluation import run_scoring
from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.comparison import compare_runs
from neurohorizon.evaluation.protocol import Protocol
from neurohorizon.evaluation.run_results import load_run_results
from neurohorizon.evaluation.run_scoring import ObserverPlan, score_run
from neurohorizon.evaluation.summary import pooled
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.splits import split_in_time, split_interleaved
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.recordings import to_recording
from neurohorizon.simulate.world import PopulationWorld
from worlds import waving_recording

PROTOCOL = Protocol(reference_s=20.0, block_s=5.0, fewest_spikes=100)


def run(folder, *, seed=0, protocol=PROTOCOL, held_out=("h",), recordings=None, **settings):
    torch.manual_seed(seed)
    model = HorizonForecaster(spec=protocol.spec, width=16, num_heads=2, num_latents=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    defaults = {
        "training": [waving_recording(seed=1, duration_s=100.0, name="t")],
        "held_out": recordings
        or [
            waving_recording(seed=5 + n, duration_s=100.0, name=name)
            for n, name in enumerate(held_out)
        ],
        "baselines": [Mean(), ReferenceRate()],
        "model_checksum": str(seed),
    }
    forecaster = TrainedForecaster(model)
    return score_run(folder, forecaster=forecaster, protocol=protocol, **(defaults | settings))


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "results"
    return folder, run(folder)


def test_everything_is_computed_and_read_back(scored):
    folder, computed = scored
    parts = ("", ".ablations", ".example.npz", ".identities.npz")
    assert computed == [name + part for name in ("held-out", "later") for part in parts]
    results = load_run_results(folder)
    assert list(results.sets) == ["held-out", "later"]
    first = results.first
    assert first.rows.names("model") == [first.model] == ["NeuroHorizon"]
    assert first.with_ablations.names("model")[1:] == ["adapter withheld", "labels shuffled"]
    assert first.example.recording == "h"
    assert set(first.identities.recording) == {"h"}
    assert first.identities.vectors.shape[1] > 0
    assert list(first.by_reference) == [20.0]
    assert [session["recording"] for session in results.sessions] == ["h", "t"]
    assert results.made_from["seconds"] > 0


def test_what_is_there_is_not_computed_again(scored):
    folder, _ = scored
    before = (folder / "held-out" / "evaluation.json").stat().st_mtime_ns
    assert run(folder) == []
    assert (folder / "held-out" / "evaluation.json").stat().st_mtime_ns == before


def test_a_missing_part_is_made_up_for(tmp_path):
    run(tmp_path / "r", sets=("held-out",))
    parts = ("", ".ablations", ".example.npz", ".identities.npz")
    assert run(tmp_path / "r") == ["later" + part for part in parts]
    assert run(tmp_path / "r", sets=("later",), again=True)[0] == "later"


def test_results_of_another_model_are_not_kept(tmp_path):
    run(tmp_path / "r", command_line=["neurohorizon", "evaluate", "r"])
    score = pooled(load_run_results(tmp_path / "r").first.rows, "NeuroHorizon").value
    assert run(tmp_path / "r", seed=1, sets=("held-out",))[0] == "held-out"
    results = load_run_results(tmp_path / "r")
    assert list(results.sets) == ["held-out"], "what belonged to the other model is gone"
    assert not np.allclose(pooled(results.first.rows, "NeuroHorizon").value, score)
    assert results.made_from["command_lines"] == []


def test_what_an_interruption_left_of_another_model_is_not_kept(tmp_path, monkeypatch):
    """Somebody looks at a training early and stops; later the final model is scored."""

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_scoring, "save_example", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "r", sets=("held-out",))
    assert (tmp_path / "r" / "held-out").is_dir()
    assert "finished" not in load_run_results(tmp_path / "r").made_from
    assert run(tmp_path / "r", seed=1, sets=("held-out",))[0] == "held-out"
    run(tmp_path / "alone", seed=1, sets=("held-out",))
    found, alone = (load_run_results(tmp_path / name) for name in ("r", "alone"))
    np.testing.assert_array_equal(
        *(pooled(each.first.rows, "NeuroHorizon").value for each in (found, alone))
    )


def test_another_reference_length_lies_beside_the_own(tmp_path):
    run(tmp_path / "r", sets=("held-out",))
    assert run(tmp_path / "r", sets=("held-out",), reference_s=10.0) == ["held-out.reference-10s"]
    first = load_run_results(tmp_path / "r").first
    assert list(first.by_reference) == [10.0, 20.0]
    short, own = first.by_reference.values()
    assert short.cases[0].reference_s == pytest.approx(10.0)
    nulls = [result.scores["mean", "h"].null_counts for result in (short, own)]
    assert np.array_equal(*nulls), "the null is the same for every length"


def test_shared_baselines_are_scored_once_and_say_the_same(scored, tmp_path):
    shared = tmp_path / "baselines"

    class Never(Mean):
        def forecast(self, case, windows):
            raise AssertionError("scored again")

    alone = load_run_results(scored[0])
    run(tmp_path / "first", shared=shared)
    run(tmp_path / "other", seed=1, shared=shared, baselines=[Never()])
    first, other = (load_run_results(tmp_path / name) for name in ("first", "other"))
    for name, of_set in alone.sets.items():
        names = [row.name for row in of_set.rows.rows]
        for found in (first, other):
            assert [row.name for row in found.sets[name].rows.rows] == names
            for row in names[1:]:
                np.testing.assert_array_equal(
                    pooled(found.sets[name].rows, row).value, pooled(of_set.rows, row).value
                )
    model = [pooled(each.first.rows, "NeuroHorizon").value for each in (alone, first, other)]
    np.testing.assert_array_equal(model[0], model[1])
    assert not np.allclose(model[0], model[2])
    assert list(other.first.example.rate_hz) == ["NeuroHorizon"]


def test_shared_baselines_of_other_spikes_are_scored_again(tmp_path):
    """The session that is scored keeps its name, and its spikes change places."""
    first = waving_recording(seed=5, duration_s=100.0, name="h")
    order = np.random.default_rng(0).permutation(len(first.spike_times))
    moved = replace(first, spike_unit_index=first.spike_unit_index[order])
    levels = []
    for name, shared in (("first", tmp_path / "b"), ("moved", tmp_path / "b"), ("alone", None)):
        recording = first if name == "first" else moved
        run(tmp_path / name, shared=shared, recordings=[recording], sets=("held-out",))
        rows = load_run_results(tmp_path / name).first.rows
        levels.append(pooled(rows, "reference rate").value)
    assert len(list((tmp_path / "b").iterdir())) == 1
    assert not np.array_equal(levels[0], levels[1])
    np.testing.assert_array_equal(levels[1], levels[2])


def test_shared_baselines_of_another_training_time_are_scored_again(tmp_path):
    """The test time is the same, and the reference of its session is not."""
    recording = waving_recording(seed=1, duration_s=200.0, name="t")
    levels = []
    for name, fractions, shared in (
        ("long", (0.6, 0.1, 0.3), tmp_path / "b"),
        ("short", (0.2, 0.5, 0.3), tmp_path / "b"),
        ("alone", (0.2, 0.5, 0.3), None),
    ):
        split = replace(recording, split=split_in_time(recording.domain, fractions=fractions))
        run(tmp_path / name, training=[split], held_out=[], sets=("later",), shared=shared)
        rows = load_run_results(tmp_path / name).first.rows
        levels.append(pooled(rows, "reference rate").value)
    assert len(list((tmp_path / "b").iterdir())) == 2
    assert not np.array_equal(levels[0], levels[1])
    np.testing.assert_array_equal(levels[1], levels[2])


def test_the_observer_is_scored_on_its_windows(tmp_path):
    session = simulate_session(PopulationWorld(), num_units=5, duration_s=80.0, seed=3)
    recording = to_recording(session, id="sim", subject="sim")
    plan = ObserverPlan(num_windows=5, num_particles=40, num_rollouts=10)
    computed = run(
        tmp_path / "r",
        training=[recording],
        held_out=[],
        truths={"sim": lambda: session},
        observer=plan,
    )
    assert "later.observer" in computed
    first = load_run_results(tmp_path / "r").first
    assert first.name == "later"
    assert len(first.observer.names("ceiling")) == 2
    assert first.observer.cases[0].num_windows <= 5 < first.rows.cases[0].num_windows
    assert first.example.rate_hz["true rate"].shape == first.example.counts.shape


def test_an_observer_of_real_recordings_is_refused(tmp_path):
    with pytest.raises(DataError, match="knows simulated sessions only"):
        run(tmp_path / "r", observer=ObserverPlan())


def test_nothing_to_score_and_nothing_to_read_are_said(tmp_path):
    with pytest.raises(DataError, match="holds out no recording"):
        run(tmp_path / "r", held_out=(), sets=("held-out",))
    with pytest.raises(DataError, match=f"neurohorizon evaluate {tmp_path}"):
        load_run_results(tmp_path / "r")


def test_damaged_notes_are_refused(tmp_path):
    run(tmp_path / "r", sets=("later",))
    (tmp_path / "r" / "made_from.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        load_run_results(tmp_path / "r")


def test_runs_on_the_same_windows_are_compared(scored, tmp_path):
    folder, _ = scored
    run(tmp_path / "r", seed=1)
    runs = {"zero": load_run_results(folder), "one": load_run_results(tmp_path / "r")}
    joined = compare_runs(runs)
    assert list(joined) == ["held-out", "later"]
    rows = joined["held-out"]
    assert [row.name for row in rows.rows] == ["zero", "one", "mean", "reference rate"]
    for name, each in runs.items():
        own = pooled(each.first.rows, "NeuroHorizon").value
        assert np.array_equal(pooled(rows, name).value, own)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"protocol": replace(PROTOCOL, origin_step_s=1.0)}, "origin_step_s is 0.5 in the first"),
        ({"protocol": replace(PROTOCOL, reference_s=15.0)}, "reference_s is 20.0 in the first"),
        ({"held_out": ("h", "extra")}, "only b was scored on extra"),
        ({"held_out": ()}, "later: t holds other spikes"),
    ],
)
def test_runs_that_cannot_be_paired_say_why(scored, tmp_path, settings, reason):
    folder, _ = scored
    if settings.get("held_out") == ():
        settings = settings | {"training": [waving_recording(seed=9, duration_s=100.0, name="t")]}
    run(tmp_path / "r", seed=1, **settings)
    runs = {"a": load_run_results(folder), "b": load_run_results(tmp_path / "r")}
    with pytest.raises(DataError, match="cannot be compared") as raised:
        compare_runs(runs)
    assert reason in str(raised.value)


def test_one_run_is_no_comparison(scored):
    results = load_run_results(scored[0])
    with pytest.raises(DataError, match="two runs at least"):
        compare_runs({"a": results})
    with pytest.raises(DataError, match="called 'mean' like a baseline"):
        compare_runs({"a": results, "mean": results})


def test_the_title_of_a_set_says_how_its_recordings_are_split(tmp_path):
    in_time = waving_recording(seed=1, duration_s=100.0, name="t")
    blocks = replace(
        waving_recording(seed=2, duration_s=200.0, name="b"),
        split=split_interleaved(np.array([[0.0, 200.0]]), block_s=10.0),
    )
    titles = {}
    for name, training in (("time", [in_time]), ("blocks", [blocks]), ("both", [in_time, blocks])):
        run(tmp_path / name, training=training)
        sets = load_run_results(tmp_path / name).sets
        assert sets["held-out"].rows.title == "sessions held out from training"
        titles[name] = {sets["later"].rows.title, sets["later"].ablations.title}
    assert titles == {
        "time": {"later time of the training sessions"},
        "blocks": {"blocks of the training sessions between those trained on"},
        "both": {"time of the training sessions that was not trained on"},
    }
