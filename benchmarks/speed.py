"""How fast windows are read, and the tiny model trains and forecasts: about a minute.

    python benchmarks/speed.py

is ``neurohorizon bench`` with its results in ``benchmarks/results/speed.md`` and ``.json``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from neurohorizon.cli.app import main

RESULTS = os.path.relpath(Path(__file__).parent / "results")

if __name__ == "__main__":
    sys.argv[1:] = ["bench", "--out", RESULTS, *sys.argv[1:]]
    sys.exit(main())
