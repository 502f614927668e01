"""Weights of which each process keeps a part (FSDP), and the whole of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from neurohorizon.nn.attention import SelfBlock

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def share_weights(model: nn.Module, mesh: DeviceMesh) -> None:
    """Keep a part of each weight in each process; a layer's are gathered when it is computed.

    Parameters
    ----------
    model : Module
    mesh : DeviceMesh
        Of one dimension.

    Notes
    -----
    Only blocks that are always entered by being called can be gathered by themselves, which
    are those of self-attention: keys and values of others are projected from outside.

    References
    ----------
    Zhao et al. 2023, arXiv:2304.11277.
    """
    from torch.distributed.fsdp import fully_shard

    for module in model.modules():
        if isinstance(module, SelfBlock):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return all weights and buffers of a model whose weights are shared out.

    Every process must call this at the same time.
    """
    from torch.distributed.tensor import DTensor

    with torch.no_grad():
        return {
            name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()
            for name, tensor in model.state_dict().items()
        }
