"""Published reconstructions of the same pictures, as reference rows: as reported, not computed.

Numbers of other studies are of other generators, other choices of electrodes and often another
resolution; they carry no intervals, and no difference to them can be paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ReportedRow:
    """Numbers that a study reports.

    Parameters
    ----------
    name, source : str
        What it is, and where it is published.
    values : mapping of str to (float, float)
        Lowest and highest number given, by metric; equal where there is one.
    about : str
        What a reader should know of it.
    """

    name: str
    source: str
    values: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    about: str = ""


#: Of the 100 test pictures of TVSD (macaque V1, V4 and IT; THINGS).
TVSD: tuple[ReportedRow, ...] = (
    ReportedRow(
        "TVSD, published",
        "arXiv:2601.11108",
        {
            "PixCorr": (0.14, 0.156),
            "SSIM": (0.34, 0.36),
            "AlexNet-2 two-way": (0.888, 0.888),
            "AlexNet-5 two-way": (0.954, 0.954),
            "Inception two-way": (0.868, 0.868),
            "CLIP two-way": (0.879, 0.879),
        },
        "100 pictures",
    ),
    ReportedRow(
        "MonkeySee, published",
        "Le et al. 2024, NeurIPS 37",
        about="correlations of features by layer of AlexNet alone, none of the scores here",
    ),
)
ReportedSet = Literal["tvsd"]
REPORTED: Mapping[ReportedSet, tuple[ReportedRow, ...]] = {"tvsd": TVSD}
REPORTED_PICTURES: Mapping[ReportedSet, int] = {"tvsd": 100}
"""How many test pictures the numbers are of."""
