"""What must not change what POYO, POYO+ and CaPOYO decode, and what must."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from decoder_batches import CHOICE, LEVEL, POSITION, SPEED, random_batch, unit_words
from neurohorizon.errors import ConfigError
from neurohorizon.models.capoyo import CaPOYO
from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_plus import POYOPlus
from neurohorizon.nn.attention import attend
from neurohorizon.nn.recompute import recompute
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.training.decoding.losses import decoding_loss

SMALL = {
    "width": 16,
    "num_layers": 2,
    "head_width": 8,
    "num_self_heads": 3,
    "latent_step_s": 0.25,
    "num_latents_per_step": 4,
}
SEVERAL = (POSITION, CHOICE, SPEED, LEVEL)
DESIGNS = [
    (POYO, (POSITION,), "vocabulary"),
    (POYO, (CHOICE,), "identity"),
    (POYOPlus, SEVERAL, "vocabulary"),
    (POYOPlus, SEVERAL, "identity"),
    (CaPOYO, SEVERAL, "vocabulary"),
    (CaPOYO, (SPEED,), "identity"),
]


def made(design, tasks, units="vocabulary"):
    """Make a decoder whose readouts and biases are not zero, and a batch for it."""
    torch.manual_seed(0)
    model = design(tasks=tasks, units=units, **SMALL)
    if units == "vocabulary":
        model.units.extend(unit_words())
        model.sessions.extend(["session0", "session1"])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
        for vocabulary in (model.units, model.sessions):
            vocabulary.weight[0] = 0.0
    batch = random_batch(tasks, values=design is CaPOYO)
    return model.eval(), batch


def same(found, expected, *, atol=2e-6):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=2e-5, atol=atol)


@pytest.fixture(params=DESIGNS, ids=lambda d: f"{d[0].__name__}-{len(d[1])}-{d[2]}")
def decoder(request):
    model, batch = made(*request.param)
    with torch.no_grad():
        yield model, batch, model(batch)


def test_outputs_line_up_with_targets(decoder):
    model, batch, outputs = decoder
    assert list(outputs) == [task.name for task in model.tasks]
    for task in model.tasks:
        assert outputs[task.name].shape == (len(batch.targets[task.name]), task.num_outputs)


def test_padding_is_never_read(decoder):
    model, batch, outputs = decoder
    filled = {}
    generator = torch.Generator().manual_seed(1)
    for name, noise in (
        ("token_unit_WE", torch.randint(0, 10, batch.token_mask_WE.shape, generator=generator)),
        ("token_type_WE", torch.randint(0, 3, batch.token_mask_WE.shape, generator=generator)),
        ("token_time_WE", torch.rand(batch.token_mask_WE.shape, generator=generator)),
        ("token_value_WE", torch.rand(batch.token_mask_WE.shape, generator=generator)),
    ):
        values = getattr(batch, name)
        if values.shape == noise.shape:
            filled[name] = torch.where(batch.token_mask_WE, values, noise.to(values))
    longer = {}
    for name in ("token_unit_WE", "token_type_WE", "token_time_WE", "token_value_WE"):
        values = filled.get(name, getattr(batch, name))
        longer[name] = functional.pad(values, (0, 9)) if values.shape[1] else values
    longer["token_mask_WE"] = functional.pad(batch.token_mask_WE, (0, 9))
    for name in ("query_time_WQ", "query_task_WQ", "query_mask_WQ"):
        longer[name] = functional.pad(getattr(batch, name), (0, 3))
    same(model(replace(batch, **longer)), outputs)


def test_windows_do_not_know_of_each_other(decoder):
    model, batch, outputs = decoder
    apart = [model(window(batch, index)) for index in range(len(batch))]
    together = {name: torch.cat([each[name] for each in apart]) for name in outputs}
    same(together, outputs)


def window(batch: DecodeBatch, index: int) -> DecodeBatch:
    """Take one window out of a batch, with its own units only."""
    here = batch.token_mask_WE[index]
    units, position = batch.token_unit_WE[index, here].unique(return_inverse=True)
    tokens = {
        name: getattr(batch, name)[index, here][None]
        for name in ("token_type_WE", "token_time_WE", "token_mask_WE")
    }
    if batch.token_value_WE.shape[1]:
        tokens["token_value_WE"] = batch.token_value_WE[index, here][None]
    else:
        tokens["token_value_WE"] = batch.token_value_WE[index][None]
    queries = {
        name: getattr(batch, name)[index][None]
        for name in ("query_time_WQ", "query_task_WQ", "query_mask_WQ")
    }
    return replace(
        batch,
        unit_row_U=batch.unit_row_U[units],
        unit_features_UF=batch.unit_features_UF[units],
        session_row_W=batch.session_row_W[index][None],
        token_unit_WE=position[None],
        **tokens,
        **queries,
    )


def test_order_of_tokens_means_nothing(decoder):
    model, batch, outputs = decoder
    order = torch.randperm(batch.token_mask_WE.shape[1], generator=torch.Generator().manual_seed(2))
    changed = {
        name: getattr(batch, name)[:, order]
        for name in ("token_unit_WE", "token_type_WE", "token_time_WE", "token_mask_WE")
    }
    if batch.token_value_WE.shape[1]:
        changed["token_value_WE"] = batch.token_value_WE[:, order]
    same(model(replace(batch, **changed)), outputs)


def test_units_renumbered_with_their_rows_mean_the_same(decoder):
    model, batch, outputs = decoder
    order = torch.randperm(len(batch.unit_row_U), generator=torch.Generator().manual_seed(3))
    renumbered = replace(
        batch,
        unit_row_U=batch.unit_row_U[order],
        unit_features_UF=batch.unit_features_UF[order],
        token_unit_WE=order.argsort()[batch.token_unit_WE],
    )
    same(model(renumbered), outputs)
    if model.identity is None:
        row_order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
        with torch.no_grad():
            model.units.weight[1:] = model.units.weight[1:][row_order]
        moved = row_order.argsort()[batch.unit_row_U - 1] + 1
        same(model(replace(batch, unit_row_U=moved)), outputs)


def test_order_of_queries_is_the_order_of_outputs(decoder):
    model, batch, outputs = decoder
    turned = replace(
        batch,
        query_time_WQ=batch.query_time_WQ.flip(1),
        query_task_WQ=batch.query_task_WQ.flip(1),
    )
    found = model(turned)
    num_windows = len(batch)
    for name, values in outputs.items():
        back = found[name].unflatten(0, (num_windows, -1)).flip(1).flatten(0, 1)
        torch.testing.assert_close(back, values, rtol=2e-5, atol=2e-6)


def test_what_should_matter_does(decoder):
    model, batch, outputs = decoder
    moved = [
        replace(batch, token_time_WE=batch.token_time_WE * 0.9),
        replace(batch, query_time_WQ=batch.query_time_WQ * 0.9),
        replace(batch, token_type_WE=torch.zeros_like(batch.token_type_WE)),
    ]
    if model.identity is None:
        moved.append(replace(batch, unit_row_U=batch.unit_row_U.flip(0)))
        moved.append(replace(batch, session_row_W=torch.zeros_like(batch.session_row_W)))
    else:
        moved.append(replace(batch, unit_features_UF=batch.unit_features_UF.flip(0)))
    if batch.token_value_WE.shape[1]:
        moved.append(replace(batch, token_value_WE=batch.token_value_WE * 0.9))
    for changed in moved:
        found = model(changed)
        for name, values in outputs.items():
            assert (found[name] - values).abs().max() > 1e-4


def test_a_task_that_no_window_asks_for_is_absent_and_changes_no_other():
    model, batch = made(POYOPlus, SEVERAL)
    with torch.no_grad():
        outputs = model(batch)
        index = SEVERAL.index(CHOICE)
        kept = batch.query_task_WQ != index
        found = model(replace(batch, query_mask_WQ=kept))
    assert list(found) == ["position", "speed", "level"]
    same(found, {name: values for name, values in outputs.items() if name != "choice"})


def test_tasks_asked_alone_answer_as_together():
    model, batch = made(POYOPlus, SEVERAL)
    with torch.no_grad():
        outputs = model(batch)
        for index, task in enumerate(SEVERAL):
            alone = model(replace(batch, query_mask_WQ=batch.query_task_WQ == index))
            same(alone, {task.name: outputs[task.name]})


def test_an_untrained_decoder_answers_with_the_mean_and_with_equal_classes():
    torch.manual_seed(0)
    tasks = (POSITION, CHOICE)
    model = POYOPlus(tasks=tasks, **SMALL)
    model.units.extend(unit_words())
    model.sessions.extend(["session0", "session1"])
    batch = random_batch(tasks, num_queries=2000)
    _, losses = decoding_loss(tasks, model.eval()(batch), batch.targets, batch.weights)
    assert losses["position"].item() == pytest.approx(1.0, abs=0.02)
    assert losses["choice"].item() == pytest.approx(0.6931, abs=1e-4)


def test_a_recording_that_is_not_known_reads_zero_rows():
    model, batch = made(POYO, (POSITION,))
    unknown = replace(batch, unit_row_U=batch.unit_row_U * 0, session_row_W=batch.session_row_W * 0)
    flipped = replace(unknown, token_unit_WE=9 - unknown.token_unit_WE)
    with torch.no_grad():
        same(model(unknown), model(flipped))


def test_identity_needs_no_vocabulary():
    model, batch = made(POYO, (POSITION,), "identity")
    assert not model.vocabulary_parameters()
    decoding_loss(model.tasks, model(batch), batch.targets, batch.weights)[0].backward()
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(model.get_parameter(name).grad is not None for name in learned)
    assert not {"units.weight", "sessions.weight"} & learned
    anywhere = replace(batch, session_row_W=batch.session_row_W * 0 + 77)
    with torch.no_grad():
        same(model(anywhere), model(batch))


def test_identity_standardises_with_what_it_was_told():
    model, batch = made(POYO, (POSITION,), "identity")
    with torch.no_grad():
        expected = model(batch)
        mean, scale = torch.full((33,), 3.0), torch.full((33,), 2.0)
        model.identity.standardise.set(log=torch.zeros(33), mean=mean, scale=scale)
        raw = replace(batch, unit_features_UF=batch.unit_features_UF * scale + mean)
        same(model(raw), expected)
    assert {"identity.standardise.mean", "identity.standardise.scale"} <= set(model.state_dict())


def test_every_parameter_learns():
    model, batch = made(CaPOYO, SEVERAL)
    decoding_loss(model.tasks, model(batch), batch.targets, batch.weights)[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_capoyo_s_tokens_are_the_map_of_the_value_beside_the_unit():
    model, batch = made(CaPOYO, SEVERAL)
    place = batch.token_unit_WE * 3 + batch.token_type_WE
    found = model.place_tokens(model.project_units(batch), place, batch.token_value_WE)
    units_WEV = model.units(batch.unit_row_U)[batch.token_unit_WE]
    value_WE1 = batch.token_value_WE[..., None]
    values_WEV = model.from_value(value_WE1) + value_WE1 * model.from_unit(units_WEV)
    tokens = torch.cat([values_WEV, units_WEV], dim=-1)
    tokens = tokens + model.token_type[batch.token_type_WE]
    expected = model.perceiver.reading.project(tokens)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    drawn = torch.randn_like(expected)
    for sides in zip(
        torch.autograd.grad((found * drawn).sum(), list(model.parameters()), allow_unused=True),
        torch.autograd.grad((expected * drawn).sum(), list(model.parameters()), allow_unused=True),
        strict=True,
    ):
        assert (sides[0] is None) == (sides[1] is None)
        if sides[0] is not None:
            torch.testing.assert_close(*sides, rtol=1e-4, atol=1e-5)


def test_latents_stand_in_the_middle_of_their_steps():
    model, batch = made(POYO, (POSITION,))
    times = model.perceiver.latent_times_M
    assert times.unique().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert model.encode(batch).shape == (3, 16, 16)
    tenths = POYO(tasks=(POSITION,), **(SMALL | {"latent_step_s": 0.1, "length_s": 0.3}))
    assert len(tenths.perceiver.latent_times_M) == 3 * 4


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tasks": ()}, "at least one"),
        ({"tasks": (POSITION, SPEED)}, "poyo decodes one, got 2: take poyo_plus"),
        ({"tasks": (Task(TaskSpec(name="x", series="x")),)}, "tasks.x: it has no outputs"),
        ({"units": "names"}, "expected vocabulary or identity"),
        ({"latent_step_s": 2.0}, "at most the window's length_s"),
        ({"latent_step_s": 0.0}, "expected more than 0"),
        ({"shortest_s": 3.0}, "less than longest_s"),
        ({"head_width": 6}, "multiple of 4"),
    ],
)
def test_settings_that_make_no_model_are_refused(changed, told):
    with pytest.raises(ConfigError, match=told) as caught:
        POYO(**({"tasks": (POSITION,)} | SMALL | changed))
    assert "\n" not in str(caught.value)


def test_capoyo_needs_an_even_width_and_tasks_names_of_their_own():
    with pytest.raises(ConfigError, match="expected an even number"):
        CaPOYO(tasks=(POSITION,), **(SMALL | {"width": 15}))
    with pytest.raises(ConfigError, match="each name once, got position, position"):
        POYOPlus(tasks=(POSITION, POSITION), **SMALL)


@pytest.mark.parametrize(("design", "tasks"), [(POYO, (POSITION,)), (CaPOYO, SEVERAL)])
def test_half_precision_decodes_and_learns(design, tasks):
    model, batch = made(design, tasks)
    with torch.no_grad():
        expected = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model.train()(batch)
        total, _ = decoding_loss(tasks, outputs, batch.targets, batch.weights)
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        for name, values in model.eval()(batch).items():
            torch.testing.assert_close(values.float(), expected[name], rtol=0.1, atol=0.1)


def test_activations_may_be_computed_again():
    model, batch = made(POYOPlus, SEVERAL)
    model.train()

    def gradients():
        model.zero_grad()
        torch.manual_seed(7)
        decoding_loss(SEVERAL, model(batch), batch.targets, batch.weights)[0].backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    expected = gradients()
    for layer in model.perceiver.layers:
        recompute(layer)
    for name, gradient in gradients().items():
        torch.testing.assert_close(gradient, expected[name])


def test_a_window_without_a_token_and_one_without_a_query_are_answered():
    model, batch = made(POYO, (POSITION,))
    empty = batch.token_mask_WE.clone()
    empty[1] = False
    asked = batch.query_mask_WQ.clone()
    asked[0] = False
    with torch.no_grad():
        outputs = model(batch)["position"].unflatten(0, (3, -1))
        found = model(replace(batch, token_mask_WE=empty, query_mask_WQ=asked))["position"]
        nothing = model(replace(batch, query_mask_WQ=asked & False))
        alone = model(window(replace(batch, token_mask_WE=empty), 1))["position"]
    assert nothing == {}
    found = found.unflatten(0, (2, -1))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[1], outputs[2], rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(found[0], alone, rtol=2e-5, atol=2e-6)


def test_attention_over_units_is_what_reading_attends_to():
    for design in (POYO, CaPOYO):
        model, batch = made(design, (POSITION,))
        shares = model.attention_over_units(batch)
        assert shares.shape == (3, 10)
        torch.testing.assert_close(shares.sum(1), torch.ones(3))
        # Windows of one recording attend to its units alone.
        assert shares[[0, 2], 4:].eq(0).all()
        assert shares[1, :4].eq(0).all()
        # Were values the units themselves, what is read would be their shares.
        ((_, *tokens),) = (part for part in model._parts(window(batch, 0)))
        queries, keys, _ = model.perceiver._meet(*tokens[:2])
        units = batch.token_unit_WE[0, batch.token_mask_WE[0]]
        values = functional.one_hot(units, keys.shape[-1]).float().expand_as(keys)
        read = attend(queries, keys, values).mean(dim=(1, 2))
        torch.testing.assert_close(read[0, :4], shares[0, :4].detach())


@pytest.mark.parametrize("units", ["vocabulary", "identity"])
def test_latent_states_stand_on_the_grid(units):
    model, batch = made(POYOPlus, SEVERAL, units)
    states_WSD, times_S = model.latent_states(batch)
    torch.testing.assert_close(times_S, torch.tensor([0.125, 0.375, 0.625, 0.875]))
    latents_WMD = model.encode(batch).detach()
    for step, time in enumerate(times_S):
        here_M = model.perceiver.latent_times_M == time
        assert here_M.sum() == SMALL["num_latents_per_step"]
        torch.testing.assert_close(states_WSD[:, step], latents_WMD[:, here_M].mean(dim=1))
    alone, _ = model.latent_states(window(batch, 1))
    torch.testing.assert_close(alone[0], states_WSD[1], rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(model.unit_vectors(batch), model.embed_units(batch).detach())
