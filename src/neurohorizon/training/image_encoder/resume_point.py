"""What a training of pictures' networks needs to go on after an interruption, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.weights_file import read_weights, save_weights

_SYSTEM = "training of a network of pictures"
_MODEL, _AVERAGED, _MOMENT = "model/", "averaged/", "moment/"


@dataclass(frozen=True)
class LoopState:
    """How far a training is.

    Parameters
    ----------
    step : int
        The last one that was done.
    waiting : Tensor
        Rows that come before any comes again.
    curve : list of (step, loss)
    losses : list of float
        Since the curve's last point.
    """

    step: int
    waiting: Tensor
    curve: list[tuple[int, float]]
    losses: list[float]


@dataclass(frozen=True)
class ResumePoint:
    """A file that a training is kept in while it goes on.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file.
    made_by : mapping
        What the training is of: settings and data, as JSON. A file of another one is refused.
    generators : sequence of Generator
        What the loss draws from, on the CPU, beside torch's own.
    every_steps : int
        Steps between points.
    """

    path: Path
    made_by: Mapping[str, Any]
    generators: Sequence[torch.Generator] = ()
    every_steps: int = 200

    def save(
        self,
        state: LoopState,
        model: nn.Module,
        averaged: nn.Module,
        optimizer: torch.optim.Optimizer,
        order: torch.Generator,
    ) -> None:
        """Write the state; the one before is replaced once all is written."""
        tensors = {_MODEL + name: each for name, each in model.state_dict().items()}
        tensors |= {_AVERAGED + name: each for name, each in averaged.state_dict().items()}
        for number, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{_MOMENT}{number}/{name}": each for name, each in moments.items()}
        for number, generator in enumerate((order, *self.generators)):
            tensors[f"generator/{number}"] = generator.get_state()
        tensors |= {"generator/torch": torch.get_rng_state(), "waiting": state.waiting}
        header = {
            "made_by": json.dumps(self.made_by),
            "state": json.dumps([state.step, state.curve, state.losses]),
        }
        save_weights(self.path, tensors, system=_SYSTEM, header=header)

    def load(
        self,
        model: nn.Module,
        averaged: nn.Module,
        optimizer: torch.optim.Optimizer,
        order: torch.Generator,
    ) -> LoopState | None:
        """Give everything the state that was written; None if nothing was.

        Raises
        ------
        ConfigError
            If the file is of another training.
        CheckpointError
            If it is damaged.
        """
        if not self.path.exists():
            return None
        _, tensors, header = read_weights(self.path, systems=[_SYSTEM], writer="the training")
        try:
            made_by = json.loads(header["made_by"])
            step, curve, losses = json.loads(header["state"])
            if made_by != json.loads(json.dumps(self.made_by)):
                raise ConfigError(
                    f"{self.path}: is of a training with other settings or pictures, which was "
                    "interrupted; go on with those, or remove it"
                )
            model.load_state_dict(_below(tensors, _MODEL))
            averaged.load_state_dict(_below(tensors, _AVERAGED))
            moments: dict[int, dict[str, Tensor]] = {}
            for name, each in _below(tensors, _MOMENT).items():
                number, moment = name.split("/")
                moments.setdefault(int(number), {})[moment] = each
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
            for number, generator in enumerate((order, *self.generators)):
                generator.set_state(tensors[f"generator/{number}"])
            torch.set_rng_state(tensors["generator/torch"])
            points = [(int(at), float(loss)) for at, loss in curve]
            return LoopState(step, tensors["waiting"], points, losses)
        except (KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
            raise CheckpointError(
                f"{self.path}: not what an interrupted training left "
                f"({str(error).splitlines()[0]}); remove it and train from the beginning"
            ) from error


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
