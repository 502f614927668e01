"""Where a network computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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


def quick_precision() -> Literal["float32", "bfloat16"]:
    """Return bfloat16 where this processor multiplies such numbers itself, else float32."""
    import torch

    # Before 2.11 torch did not tell: float32 is right everywhere.
    told = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if told.get("avx512_bf16") or told.get("amx_bf16") else "float32"
