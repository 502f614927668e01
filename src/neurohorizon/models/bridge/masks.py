"""Masks of responses: which places a model must say without having read them.

Shapes: K responses, T places (electrodes times time bins, bins of an electrode in a row).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from neurohorizon.errors import ConfigError

MaskKind = Literal[
    "random", "region_balanced", "whole_region", "within_region", "temporal", "mixed"
]
KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
#: Kinds that say how areas differ in what is hidden.
OF_REGIONS = ("region_balanced", "whole_region", "within_region")


def applicable_kinds(areas: Sequence[int], num_bins: int) -> tuple[MaskKind, ...]:
    """Return the kinds, but "mixed", that a recording allows.

    Examples
    --------
    >>> applicable_kinds([0, 0, 0], 1)
    ('random',)
    >>> applicable_kinds([0, 0, 0], 5)
    ('random', 'temporal')
    """
    return tuple(
        kind
        for kind in KINDS
        if kind == "random"
        or (kind in OF_REGIONS and len(set(areas)) > 1)
        or (kind == "temporal" and num_bins > 1)
    )


def require_kind(kind: MaskKind, areas: Sequence[int], num_bins: int) -> None:
    """Refuse a kind of mask that a recording does not allow.

    Raises
    ------
    ConfigError
        If it is of regions and there is one, of time bins and there are none, or mixed where
        nothing but random places can be hidden.
    """
    allowed = applicable_kinds(areas, num_bins)
    if kind in allowed or (kind == "mixed" and len(allowed) > 1):
        return
    lack = {"temporal": "no time bins", "mixed": "one area and no time bins"}.get(kind, "one area")
    raise ConfigError(
        f"masks of kind {kind}, and the responses have {lack}: choose {' or '.join(allowed)}"
    )


def draw_masks(
    there_KT: Tensor,
    areas: Sequence[int],
    *,
    num_bins: int,
    kind: MaskKind,
    share: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw what is hidden of each response.

    Parameters
    ----------
    there_KT : (K, T) bool Tensor
        Where a value was measured: what is missing is never hidden, as nobody knows it.
    areas : sequence of int
        Area of each electrode, from 0.
    num_bins : int
    kind : str
        ``random``
            That share of the places.
        ``region_balanced``
            That share of the places of each area.
        ``whole_region``
            All of one area, drawn for each response; the share is without effect.
        ``within_region``
            That share of the places of one area.
        ``temporal``
            That share of the time bins, of all electrodes, and never all of them.
        ``mixed``
            One of those that the recording allows, drawn for each response.
    share : float
        More than 0, less than 1; of whatever is hidden in part at least one place is.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    (K, T) bool Tensor
        True where hidden.

    Raises
    ------
    ConfigError
        As :func:`require_kind`, or if the share is none.
    """
    require_kind(kind, areas, num_bins)
    if not 0 < share < 1:
        raise ConfigError(f"a share of {share:g} to hide: expected more than 0, less than 1")
    if kind != "mixed":
        return _draw(there_KT, areas, num_bins, kind, share, generator)
    kinds = applicable_kinds(areas, num_bins)
    chosen_K = torch.randint(len(kinds), (len(there_KT),), generator=generator)
    hidden_KT = torch.zeros_like(there_KT)
    for number, each in enumerate(kinds):
        rows = chosen_K == number
        hidden_KT[rows] = _draw(there_KT[rows], areas, num_bins, each, share, generator)
    return hidden_KT


def _draw(
    there_KT: Tensor,
    areas: Sequence[int],
    num_bins: int,
    kind: MaskKind,
    share: float,
    generator: torch.Generator,
) -> Tensor:
    if kind == "random":
        return _share_of(there_KT, share, generator)
    if kind == "temporal":
        num = min(max(round(share * num_bins), 1), num_bins - 1)
        order_KB = torch.rand(len(there_KT), num_bins, generator=generator).argsort(dim=1)
        return there_KT & (order_KB < num).repeat(1, there_KT.shape[1] // num_bins)
    area_T = torch.tensor(list(areas)).repeat_interleave(num_bins)
    within_AT = area_T == torch.arange(max(areas) + 1)[:, None]
    if kind == "region_balanced":
        hidden_KT = torch.zeros_like(there_KT)
        for within_T in within_AT:
            hidden_KT |= _share_of(there_KT & within_T, share, generator)
        return hidden_KT
    # An area of which a response holds nothing is not drawn while there is another.
    measured_KA = (there_KT[:, None] & within_AT).any(dim=2)
    chance_KA = torch.rand(measured_KA.shape, generator=generator) + measured_KA
    inside_KT = there_KT & within_AT[chance_KA.argmax(dim=1)]
    return inside_KT if kind == "whole_region" else _share_of(inside_KT, share, generator)


def _share_of(among_KT: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Draw a share of the places that are marked; of one or more, at least one."""
    chance_KT = torch.rand(among_KT.shape, generator=generator).masked_fill(~among_KT, 2.0)
    rank_KT = chance_KT.argsort(dim=1).argsort(dim=1)
    num_K1 = (share * among_KT.sum(dim=1, keepdim=True)).round().clamp(min=1)
    return among_KT & (rank_KT < num_K1)
