"""Decoders taken to a new session: what moves, what stays to the bit, and that it helps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from decoding_worlds import moving_recording, with_split
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.decoder_files import save_decoder
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.poyo import POYO
from neurohorizon.recordings.decoding.minutes import minutes_of
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.schema import Series
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.training.decoding.adapt import adapt_decoder
from neurohorizon.training.decoding.adapt_steps import Stage
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.decoding.few_shot import (
    Way,
    measure_decoding_few_shot,
    name_and_minutes,
)
from neurohorizon.training.decoding.fit import teach
from neurohorizon.training.decoding.module import DecodeModule

VELOCITY = TaskSpec(name="velocity", series="velocity", rate_hz=25.0)
SMALL = {
    "width": 32,
    "num_layers": 1,
    "num_latents_per_step": 2,
    "latent_step_s": 0.25,
    "head_width": 16,
    "num_self_heads": 2,
    "dropout": 0.0,
    "layer_dropout": 0.0,
}
FEW = 1500
ROWS = (Stage("rows", 60),)
BOTH = (Stage("rows", 10), Stage("all", 10, weight_rate=1e-3))


def train(units: str, *, steps: int) -> TrainedDecoder:
    recordings = [moving_recording(duration_s=100.0, seed=s, name=f"m{s}") for s in (0, 1)]
    data = DecodeData(
        recordings=recordings,
        tasks=[VELOCITY],
        units=units,
        num_references=2,
        longest_reference_s=40.0,
        tokens_per_batch=FEW,
    )
    torch.manual_seed(0)
    model = POYO(
        tasks=data.tasks, units=units, num_unit_features=max(data.num_unit_features, 1), **SMALL
    )
    teach(model, data)
    module = DecodeModule(model, num_steps=steps, learning_rate=6e-3)
    optimizer, batches = module.make_optimizer(), data.numbered_batches()
    for step in range(steps):
        optimizer.zero_grad()
        module.loss(batches[step]).backward()
        optimizer.step()
    return TrainedDecoder(model)


@pytest.fixture(scope="module")
def decoder() -> TrainedDecoder:
    return train("vocabulary", steps=150)


@pytest.fixture(scope="module")
def reader_of_references() -> TrainedDecoder:
    return train("identity", steps=5)


@pytest.fixture(scope="module")
def new():
    return moving_recording(duration_s=120.0, seed=9, name="new")


def adapt(decoder: TrainedDecoder, recording, **settings):
    """Adapt with a minute and small batches."""
    return adapt_decoder(
        decoder, recording, **({"minutes": 1.0, "tokens_per_batch": FEW} | settings)
    )


def state_of(decoder: TrainedDecoder) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in decoder.model.state_dict().items()}


def r2(decoder: TrainedDecoder, recording) -> float:
    found = decoder.decode(recording, recording.require_split().test)["velocity"]
    residual = np.sum((found.values - found.truth) ** 2, axis=0)
    return float(np.mean(1 - residual / np.sum((found.truth - found.truth.mean(0)) ** 2, axis=0)))


def test_rows_are_learned_and_all_else_stays_to_the_bit(decoder, new):
    before = state_of(decoder)
    adapted, told = adapt(decoder, new, mode="units", stages=ROWS)
    after = state_of(adapted)
    for name, values in state_of(decoder).items():
        assert torch.equal(values, before[name]), "the given model is left as it is"
        if not name.startswith(("units.", "sessions.")):
            assert torch.equal(after[name], values), name
    for vocabulary, number in (("units", 10), ("sessions", 1)):
        old = before[f"{vocabulary}.weight"]
        assert torch.equal(after[f"{vocabulary}.weight"][: len(old)], old), "rows of others"
        assert len(after[f"{vocabulary}.weight"]) == len(old) + number
    assert told.num_trained == 11 * SMALL["width"]
    assert told.best_step > 0
    assert told.valid_loss[told.best_step // 10] == min(told.valid_loss)
    start, _ = adapt(decoder, new, mode="units", stages=())
    assert r2(adapted, new) > r2(start, new) + 0.1
    assert all(parameter.requires_grad for parameter in adapted.model.parameters())


def test_weights_are_let_go_one_stage_after_the_other(decoder, new):
    adapted, told = adapt(decoder, new, mode="full", stages=BOTH)
    before, after = state_of(decoder), state_of(adapted)
    assert told.stage_steps == (10, 10)
    assert told.best_step == 20
    for vocabulary in ("units.weight", "sessions.weight"):
        old = before[vocabulary]
        assert torch.equal(after[vocabulary][: len(old)], old), "lazy rows, in this mode too"
    others = ("units.", "sessions.")
    moved = [n for n in before if not n.startswith(others) and not torch.equal(after[n], before[n])]
    assert any("readouts" in name for name in moved)
    assert any("perceiver" in name for name in moved)
    rows_alone, _ = adapt(decoder, new, mode="full", stages=BOTH[:1])
    shared = {n: v for n, v in state_of(rows_alone).items() if not n.startswith(others)}
    assert all(torch.equal(values, before[name]) for name, values in shared.items())


def test_the_seed_tells_all(decoder, new):
    def weights(seed: int) -> torch.Tensor:
        stages = (Stage("rows", 10),)
        return adapt(decoder, new, mode="units", stages=stages, seed=seed)[0].model.units.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("split", ["blocks", "time"])
def test_nothing_but_the_minutes_is_read(decoder, new, split):
    """Other spikes, other behaviour and other gaps elsewhere change nothing."""
    if split == "time":
        new = with_split(new, split_in_time(new.domain, guard_s=1.0))
    given = minutes_of(new, 1.0).stretches
    inside = (new.spike_times[:, None] >= given[:, 0]) & (new.spike_times[:, None] < given[:, 1])
    kept = inside.any(axis=1)
    velocity = new.series["velocity"]
    elsewhere = ~((velocity.timestamps[:, None] >= given[:, 0])
                  & (velocity.timestamps[:, None] < given[:, 1])).any(axis=1)  # fmt: skip
    values = velocity.values.copy()
    values[elsewhere] = 1e6
    other = replace(
        new,
        spike_times=new.spike_times[kept],
        spike_unit_index=new.spike_unit_index[kept],
        series={"velocity": Series(velocity.timestamps, values)},
    )
    stages = (Stage("rows", 10),)
    one, other = (
        adapt(decoder, each, mode="units", stages=stages, rescale=True) for each in (new, other)
    )
    assert one[1].valid_loss == other[1].valid_loss
    assert torch.equal(one[0].model.units.weight, other[0].model.units.weight)
    assert one[0].model.tasks == other[0].model.tasks


def test_a_model_that_reads_references_needs_no_gradient(reader_of_references, new, tmp_path):
    adapted, told = adapt(reader_of_references, new, mode="none")
    for name, values in state_of(adapted).items():
        assert torch.equal(values, state_of(reader_of_references)[name])
    assert (told.steps, told.valid_loss, told.num_trained) == (0, (), 0)
    stretches = minutes_of(new, 1.0).stretches
    np.testing.assert_array_equal(adapted.references["new"], stretches)
    test = new.require_split().test
    wanted = reader_of_references.decode(new, test, reference=stretches)["velocity"].values
    np.testing.assert_array_equal(adapted.decode(new, test)["velocity"].values, wanted)
    save_decoder(adapted.model, tmp_path / "model.safetensors", references=adapted.references)
    again = TrainedDecoder.load(tmp_path)
    np.testing.assert_allclose(again.decode(new, test)["velocity"].values, wanted, atol=1e-6)
    tuned, told = adapt(reader_of_references, new, mode="full", stages=BOTH)
    assert told.steps == 20
    assert not torch.equal(tuned.model.any_session, reader_of_references.model.any_session)


def test_other_units_of_the_behaviour_need_another_scale(decoder, new):
    """The same session in millimetres: by the old scale it is out of reach."""
    velocity = new.series["velocity"]
    large = replace(
        new, series={"velocity": Series(velocity.timestamps, 100 * velocity.values + 30)}
    )
    stages = (Stage("rows", 30),)
    plain, _ = adapt(decoder, large, mode="units", stages=stages)
    assert plain.model.tasks == decoder.model.tasks
    rescaled, _ = adapt(decoder, large, mode="units", stages=stages, rescale=True)
    (task,) = rescaled.model.tasks
    (old,) = decoder.model.tasks
    np.testing.assert_allclose(task.scale, 100 * np.array(old.scale), rtol=0.2)
    assert r2(rescaled, large) > 0.1 > r2(plain, large)


def test_what_cannot_be_adapted_is_refused(decoder, reader_of_references, new):
    known = moving_recording(duration_s=100.0, seed=0, name="m0")
    with pytest.raises(DataError, match=r"m0: the model knows it already \(10 of 10 units\)"):
        adapt(decoder, known, mode="units")
    with pytest.raises(ConfigError, match="no mode 'offsets': choose among units, full, none"):
        adapt(decoder, new, mode="offsets")
    with pytest.raises(ConfigError, match="mode none needs a model that knows units by a ref"):
        adapt(decoder, new, mode="none")
    with pytest.raises(ConfigError, match="mode units learns rows"):
        adapt(reader_of_references, new, mode="units")
    with pytest.raises(DataError, match="give fewer"):
        adapt(decoder, new, minutes=9.0, mode="units")
    for each in (decoder, reader_of_references):
        mode = "units" if each is decoder else "none"
        with pytest.raises(DataError, match=r"new: no behaviour for any of the tasks \(velocity\)"):
            adapt(each, replace(new, series={}), mode=mode)
    velocity = new.series["velocity"]
    late = Series(velocity.timestamps[-50:], velocity.values[-50:])
    with pytest.raises(DataError, match="new: no "):
        adapt(decoder, replace(new, series={"velocity": late}), minutes=0.6, mode="units")


def test_the_curve_sets_every_way_beside_simple_decoders(decoder, reader_of_references, new):
    from neurohorizon.report.decoding_few_shot import (
        compute_decoding_few_shot,
        draw_decoding_few_shot,
    )
    from neurohorizon.report.style import new_figure

    ways = [
        Way("units", decoder, "units", (Stage("rows", 20),)),
        Way("none", reader_of_references, "none"),
    ]
    curve = measure_decoding_few_shot(
        ways, [new], minutes=(0.6, 1.0, 30.0), baselines=("mean", "Wiener"), tokens_per_batch=FEW
    )
    rows = [row.name for row in curve.result.rows]
    assert sorted(rows) == sorted(
        f"{name}, {minutes} min" for name in ("units", "none", "mean", "Wiener")
        for minutes in ("0.6", "1")
    )  # fmt: skip
    assert {name_and_minutes(row)[0] for row, _ in curve.adaptations} == {"units", "none"}
    adapted, _ = adapt(decoder, new, mode="units", stages=ways[0].stages)
    sums = curve.result.sums("units, 1 min", "velocity")["new"]
    assert sums.score("r2") == pytest.approx(r2(adapted, new), abs=1e-6)
    data = compute_decoding_few_shot(curve.result)
    assert [each.name for each in data.curves] == ["units", "none", "mean", "Wiener"]
    units, _, _, wiener = data.curves
    assert units.minutes == (0.6, 1.0)
    table = data.table()
    assert len(table) == 8
    assert {row["to"] for row in table} == {"Wiener"}
    steps = [row["difference"] for row in table if row["row"] == "units"]
    np.testing.assert_allclose(steps, units.bounds("value") - wiener.bounds("value"))
    assert [row["difference"] for row in table if row["row"] == "Wiener"] == [0.0, 0.0]
    ax = new_figure(80, 60).subplots()
    draw_decoding_few_shot(data, ax)
    assert [line.get_label() for line in ax.lines] == ["units", "none", "mean", "Wiener"]
    with pytest.raises(DataError, match="none of 7, 8 fits"):
        measure_decoding_few_shot(ways, [new], minutes=(7.0, 8.0))
    with pytest.raises(ConfigError, match="two rows of the curve are called 'units'"):
        measure_decoding_few_shot([ways[0], ways[0]], [new])
