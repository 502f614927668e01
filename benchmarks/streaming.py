"""How long a forecast takes while spikes arrive, and what a day of it does to memory: minutes.

    python benchmarks/streaming.py

writes ``benchmarks/results/streaming.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before numpy is imported: one core, as beside an experiment.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

from neurohorizon.cli._progress import StageProgress
from neurohorizon.training.speed.streaming import (
    QUICK_STREAMING,
    StreamingPlan,
    measure_streaming,
    save_streaming,
)

RESULTS = Path(os.path.relpath(Path(__file__).parent / "results"))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description="Latency and memory of streaming forecasts.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="little of everything")
    arguments = parser.parse_args()
    plan = QUICK_STREAMING if arguments.quick else StreamingPlan()
    with StageProgress() as progress:
        latencies, day = measure_streaming(plan, progress=progress)
    command = f"python benchmarks/streaming.py {' '.join(sys.argv[1:])}".strip()
    written = save_streaming(latencies, day, arguments.out, plan=plan, command=command)
    print(written[-1].read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
