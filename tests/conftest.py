"""What every test shares: one thread, no network, no window, and where real data lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports numpy or torch: each of the parallel test workers gets one core.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["COLUMNS"] = "100"  # help texts wrap at the same place everywhere
for variable in ("FORCE_COLOR", "NEUROHORIZON_TRACEBACK"):
    os.environ.pop(variable, None)

# The same examples on every run and machine: a red test is the change's own doing.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("NEUROHORIZON_DATA") or ROOT / "data" / "real")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what lies under tests/gpu where there is no GPU."""
    on_gpu = [item for item in items if "gpu" in item.path.parent.parts]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function from the name of a real data set to its folder; it skips if absent."""

    def find(name: str) -> Path:
        folder = REAL_DATA / name
        if not folder.is_dir():
            pytest.skip(f"no {folder}: neurohorizon data fetch {name}")
        return folder

    return find
