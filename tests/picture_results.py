"""Results of reconstruction whose numbers are easy to reason about."""

from __future__ import annotations

import numpy as np

from neurohorizon.evaluation.pictures.distributions import DistributionScore
from neurohorizon.evaluation.pictures.gate import oracle_gate
from neurohorizon.evaluation.pictures.reported import TVSD
from neurohorizon.evaluation.pictures.results import (
    PictureMetric,
    ReconstructionResult,
    ReconstructionRow,
)
from neurohorizon.evaluation.pictures.scoring import PIXCORR, SSIM
from neurohorizon.evaluation.retrieval.results import RetrievalCase
from neurohorizon.imaging.fingerprint import Fingerprint

TWO_WAY = PictureMetric("dinov2 cls two-way", "features", chance=0.5, share=True)
DISTANCE = PictureMetric("dinov2 cls correlation distance", "features", "lower")
SHAPE = PictureMetric("shape", "judge", chance=1 / 12, share=True)
METRICS = (PIXCORR, SSIM, TWO_WAY, DISTANCE, SHAPE)
ROWS = (
    ReconstructionRow("tiny", about="flow matching, 8 steps"),
    ReconstructionRow("retrieval", "control", "nearest training picture"),
    ReconstructionRow("true embeddings", "oracle"),
    ReconstructionRow("random training picture", "chance"),
)
LEVEL = {"tiny": 0.5, "retrieval": 0.4, "true embeddings": 0.8, "random training picture": 0.1}
SEEDS = {"tiny": 3, "random training picture": 5}


def picture_case(recording: str, num: int) -> RetrievalCase:
    return RetrievalCase(
        recording=recording,
        subject="animal",
        num_units=10,
        num_training=200,
        hashes=np.array([f"{recording}-{each:03d}" for each in range(num)]),
        category=np.array([f"kind{each % 5}" if each < 50 else "" for each in range(num)]),
        trials=np.full(num, 4),
        notes=("made up",),
    )


def picture_scores(case: RetrievalCase) -> dict[tuple[str, str, str], np.ndarray]:
    """Draw scores around each row's level; what makes a picture easy is shared by all rows."""
    generator = np.random.default_rng(len(case))
    easy = 0.15 * generator.normal(size=len(case))
    found = {}
    for row in ROWS:
        for metric in METRICS:
            level = LEVEL[row.name] if metric.better == "higher" else 1 - LEVEL[row.name]
            noise = 0.03 * generator.normal(size=(SEEDS.get(row.name, 1), len(case)))
            sign = 1 if metric.better == "higher" else -1
            found[row.name, case.recording, metric.name] = level + sign * easy + noise
    return found


def make_picture_result(sizes: dict[str, int] | None = None) -> ReconstructionResult:
    cases = [picture_case(name, num) for name, num in (sizes or {"one": 100, "two": 40}).items()]
    scores = {}
    for case in cases:
        scores |= picture_scores(case)
    judge = Fingerprint(
        "dinov2", weights="ab", settings={"readout": "cls"}, versions={"torch": "2"}
    )
    truth = np.random.default_rng(0).normal(size=(50, 8))
    gate = oracle_gate(
        truth, [truth], [truth[::-1]], network=judge, conditioning=Fingerprint("small", "cd")
    )
    refused = DistributionScore(float("nan"), refused="FID of 100 pictures would tell nothing")
    return ReconstructionResult(
        title="made up: test",
        rows=ROWS,
        cases=cases,
        metrics=METRICS,
        scores=scores,
        distributions={
            ("tiny", cases[0].recording, "KID"): DistributionScore(0.012, 0.003),
            ("tiny", cases[0].recording, "FID"): refused,
        },
        networks={"dinov2": judge},
        gates={"tiny": gate},
        reported=TVSD,
    )
