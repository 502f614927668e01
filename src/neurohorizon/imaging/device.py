"""Where a network computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurohorizon.errors import ConfigError

if TYPE_CHECKING:
    import torch


def open_device(device: str) -> torch.device:
    """Return a device that can be used here.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    ConfigError
        If it cannot.
    """
    import torch

    try:
        opened = torch.device(device)
        torch.empty(0, device=opened)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"device {device!r} cannot be used here: choose another, cpu") from error
    return opened
