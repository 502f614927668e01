"""What all decoders have in common: tasks, vocabularies, a readout a task.

Shapes: W windows, U units of the batch, S states in time, n the queries of all windows, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.nn.vocabulary import Vocabulary
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.window_spec import WindowSpec


class TaskDecoder(nn.Module):
    """Decode tasks from what a population does.

    Called with a batch, a decoder returns a dict of str to Tensor: by task, (n, P) standardised
    values or logits, a row for each of its queries, window after window; a task that is not
    asked for is absent.

    Attributes
    ----------
    system : str
        What a checkpoint says it is of.
    settings : dict
        Arguments, beside the tasks, that make the same model again.
    tasks : tuple of Task
        A batch's `query_task_WQ` points to them.
    length_s : float
        Of a window.
    units, sessions : Vocabulary
    readouts : ModuleList
        A linear map a task; zero at initialisation.
    """

    system = ""
    settings: dict[str, Any]
    tasks: tuple[Task, ...]
    length_s: float
    units: Vocabulary
    sessions: Vocabulary
    readouts: nn.ModuleList

    @property
    def knows_new_units(self) -> bool:
        """Whether units are known by a reference alone, so that new ones need no gradient."""
        raise NotImplementedError

    @property
    def context_spec(self) -> WindowSpec | None:
        """Geometry of the forecaster's windows that batches must hold; None if it reads none."""
        return None

    @property
    def has_attention(self) -> bool:
        """Whether there is attention over the tokens of units to look at."""
        return False

    @property
    def looks_ahead(self) -> bool:
        """Whether a state knows of what follows it in its window."""
        return True

    def latent_states(self, batch: DecodeBatch) -> tuple[Tensor, Tensor]:
        """Return the states of the latents in time, after all layers.

        Returns
        -------
        states_WSD : Tensor
            (W, S, D).
        times_S : Tensor
            (S,) seconds since the window's start, ascending.
        """
        raise NotImplementedError

    def unit_vectors(self, batch: DecodeBatch) -> Tensor:
        """Return what stands for each unit of a batch of one recording, (U, D)."""
        raise NotImplementedError

    def attention_over_units(self, batch: DecodeBatch) -> Tensor:
        """Return how much of the latents' attention each unit's tokens get, (W, U).

        Only where :attr:`has_attention` says so.
        """
        raise NotImplementedError

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Return what was learned elsewhere, and may be tuned more slowly than the rest."""
        return []

    def vocabulary_parameters(self) -> list[nn.Parameter]:
        """Return the tables whose rows are learned only where a batch reads them."""
        tables = (self.units.weight, self.sessions.weight)
        return [table for table in tables if table.requires_grad]

    def make_readouts(self, width: int) -> nn.ModuleList:
        """Return a readout a task that says nothing yet."""
        readouts = nn.ModuleList(nn.Linear(width, task.num_outputs) for task in self.tasks)
        for parameter in readouts.parameters():
            nn.init.zeros_(parameter)
        return readouts

    def read_out(self, rows_nD: Tensor, batch: DecodeBatch) -> dict[str, Tensor]:
        """Turn the answers to a batch's queries into the outputs of each task."""
        task_n = batch.query_task_WQ[batch.query_mask_WQ]
        outputs = {}
        for index, (task, readout) in enumerate(zip(self.tasks, self.readouts, strict=True)):
            asked_n = task_n == index
            if asked_n.any():
                outputs[task.name] = readout(rows_nD[asked_n])
        return outputs


def refuse_tasks(tasks: Sequence[Task]) -> None:
    """Refuse tasks that make no decoder.

    Raises
    ------
    ConfigError
    """
    if not tasks:
        raise ConfigError("tasks: a decoder needs at least one")
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ConfigError(f"tasks: each name once, got {', '.join(names)}")
    for task in tasks:
        if task.num_outputs < 1:
            raise ConfigError(
                f"tasks.{task.name}: it has no outputs: let it meet the training recordings first"
            )
