"""AdamW by rows: AdamW where all are read, nothing at all where none is."""

import copy

import pytest
import torch
from torch import nn

from decoder_batches import POSITION, random_batch, unit_words
from neurohorizon.models.poyo import POYO
from neurohorizon.nn.vocabulary import Vocabulary
from neurohorizon.training.decoding.losses import decoding_loss
from neurohorizon.training.row_optimizer import RowAdamW, row_groups

SETTINGS = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.2}


def table(num_rows=6, width=3, seed=0):
    return nn.Parameter(torch.randn(num_rows, width, generator=torch.Generator().manual_seed(seed)))


def learn(parameter, optimizer, steps, *, rows=None, seed=1):
    """Take steps with random gradients, of some rows at each step."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        gradient = torch.randn(parameter.shape, generator=generator)
        if rows is not None:
            kept = torch.zeros(len(parameter), 1)
            kept[rows[step % len(rows)]] = 1.0
            gradient = gradient * kept
        parameter.grad = gradient
        optimizer.step()


@pytest.mark.parametrize("lazy", [True, False])
def test_where_every_row_is_read_it_is_adamw(lazy):
    ours, theirs = table(), table()
    learn(ours, RowAdamW([{"params": [ours], "lazy_rows": lazy}], **SETTINGS), 25)
    learn(theirs, torch.optim.AdamW([theirs], **SETTINGS), 25)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    if not lazy:
        assert torch.equal(ours, theirs)


def test_a_row_that_is_not_read_keeps_its_bits():
    parameter = table()
    before = parameter.detach().clone()
    optimizer = RowAdamW([{"params": [parameter], "lazy_rows": True}], **SETTINGS)
    learn(parameter, optimizer, 10, rows=[[0, 2], [2, 5]])
    assert torch.equal(parameter[[1, 3, 4]], before[[1, 3, 4]])
    assert (parameter[[0, 2, 5]] != before[[0, 2, 5]]).all()


def test_a_row_counts_its_own_steps():
    """Read at every third step only, a row does what AdamW does with those steps alone."""
    ours, alone = table(), nn.Parameter(table().detach()[[4]])
    optimizer = RowAdamW([{"params": [ours], "lazy_rows": True}], **SETTINGS)
    theirs = torch.optim.AdamW([alone], **SETTINGS)
    generator = torch.Generator().manual_seed(2)
    for step in range(30):
        gradient = torch.randn(ours.shape, generator=generator)
        if step % 3:
            gradient[4] = 0.0
        ours.grad = gradient
        optimizer.step()
        if step % 3 == 0:
            alone.grad = gradient[[4]]
            theirs.step()
    torch.testing.assert_close(ours[[4]], alone, rtol=1e-5, atol=1e-6)


def test_a_resumed_optimiser_goes_on_as_if_it_had_not_stopped(tmp_path):
    rows = [[0, 1], [1, 2, 3], [5]]
    whole, plain = table(), table(4, 2, seed=3)

    def made(parameter, other):
        groups = [{"params": [parameter], "lazy_rows": True}, {"params": [other]}]
        return RowAdamW(groups, **SETTINGS)

    def both(parameter, other, optimizer, steps, seed):
        for index in range(steps):
            other.grad = torch.full_like(other, 0.1 * (index + seed))
            learn(parameter, optimizer, 1, rows=[rows[index % 3]], seed=seed + index)

    optimizer = made(whole, plain)
    both(whole, plain, optimizer, 6, 10)
    stopped, other = nn.Parameter(whole.detach().clone()), nn.Parameter(plain.detach().clone())
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    both(whole, plain, optimizer, 6, 20)
    resumed = made(stopped, other)
    resumed.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    both(stopped, other, resumed, 6, 20)
    assert torch.equal(stopped, whole)
    assert torch.equal(other, plain)
    for one, two in zip(
        optimizer.state_dict()["state"].values(),
        resumed.state_dict()["state"].values(),
        strict=True,
    ):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_table_may_grow_between_steps():
    vocabulary = Vocabulary(3)
    vocabulary.extend(["a", "b"])
    optimizer = RowAdamW(row_groups(vocabulary), **SETTINGS)
    learn(vocabulary.weight, optimizer, 5, rows=[[1, 2]])
    before = vocabulary.weight.detach().clone()
    vocabulary.extend(["c", "d"])
    new = vocabulary.weight.detach().clone()
    learn(vocabulary.weight, optimizer, 5, rows=[[1, 3]])
    after = vocabulary.weight.detach()
    assert torch.equal(after[2], before[2])
    assert torch.equal(after[4], new[4])
    assert (after[[1, 3]] != new[[1, 3]]).all()
    alone = nn.Parameter(new[[3]])
    fresh = torch.optim.AdamW([alone], **SETTINGS)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        alone.grad = torch.randn(5, 3, generator=generator)[[3]]
        fresh.step()
    torch.testing.assert_close(after[[3]], alone.detach(), rtol=1e-5, atol=1e-6)


def test_moments_of_more_rows_than_there_are_are_refused():
    parameter = table()
    optimizer = RowAdamW([{"params": [parameter], "lazy_rows": True}], **SETTINGS)
    learn(parameter, optimizer, 1)
    parameter.data = parameter.data[:3]
    parameter.grad = torch.ones_like(parameter)
    with pytest.raises(ValueError, match="a table of 3 rows, and moments of 6: it shrank"):
        optimizer.step()


def test_groups_are_the_tables_and_all_else():
    model = POYO(tasks=(POSITION,), width=16, num_layers=1, head_width=8)
    model.units.extend(unit_words())
    model.sessions.extend(["session0", "session1"])
    others, rows = row_groups(model)
    assert [id(p) for p in rows["params"]] == [id(p) for p in model.vocabulary_parameters()]
    assert len(others["params"]) + 2 == len(list(model.parameters()))
    unknown = POYO(tasks=(POSITION,), units="identity", width=16, num_layers=1, head_width=8)
    assert [group["lazy_rows"] for group in row_groups(unknown)] == [False]
    for parameter in model.perceiver.parameters():
        parameter.requires_grad_(False)
    learned = [p for group in row_groups(model) for p in group["params"]]
    assert all(parameter.requires_grad for parameter in learned)


def test_units_that_a_batch_does_not_hold_are_left_alone():
    torch.manual_seed(0)
    model = POYO(tasks=(POSITION,), width=16, num_layers=1, head_width=8)
    model.units.extend(unit_words())
    model.sessions.extend(["session0", "session1"])
    torch.nn.init.normal_(model.readouts[0].weight)
    before = copy.deepcopy(model.state_dict())
    optimizer = RowAdamW(row_groups(model), **SETTINGS)
    batch = random_batch(windows=(0, 0), num_spikes=(10, 10))  # of the first recording alone
    for _ in range(3):
        optimizer.zero_grad()
        decoding_loss(model.tasks, model(batch), batch.targets, batch.weights)[0].backward()
        optimizer.step()
    after = model.state_dict()
    assert torch.equal(after["units.weight"][5:], before["units.weight"][5:])
    assert torch.equal(after["sessions.weight"][2], before["sessions.weight"][2])
    assert (after["units.weight"][1:5] != before["units.weight"][1:5]).any(dim=1).all()
    assert after["units.weight"][0].eq(0).all()


def test_it_works_in_lightning(tmp_path):
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.vocabulary = Vocabulary(4)
            self.vocabulary.extend(["a", "b", "c"])
            self.readout = nn.Linear(4, 1)

        def training_step(self, batch, index):
            return self.readout(self.vocabulary(batch)).square().mean()

        def configure_optimizers(self):
            optimizer = RowAdamW(row_groups(self), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10)]

    module = Module()
    before = module.vocabulary.weight.detach().clone()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        gradient_clip_val=1.0,
    )
    trainer.fit(module, torch.utils.data.DataLoader(torch.tensor([[1, 3], [3, 1]])))
    assert torch.equal(module.vocabulary.weight[2], before[2])
    assert (module.vocabulary.weight[[1, 3]] != before[[1, 3]]).all()
