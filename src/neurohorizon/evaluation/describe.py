"""What results say of their recordings, and of the machine that they were computed on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurohorizon import __version__
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.validate import validate_recording


def set_title(name: SetName, recordings: Sequence[Recording]) -> str:
    """Say what the recordings of a set have in common: a heading of tables and figures."""
    if name == "held-out":
        return "sessions held out from training"
    interleaved = {each.require_split().interleaved for each in recordings}
    if interleaved == {False}:
        return "later time of the training sessions"
    if interleaved == {True}:
        return "blocks of the training sessions between those trained on"
    return "time of the training sessions that was not trained on"


def describe_session(recording: Recording, *, held_out: bool) -> dict[str, Any]:
    """Summarise a recording: a row of the report's table of sessions."""
    rates = recording.rate_hz
    return {
        "recording": recording.id,
        "subject": recording.subject,
        "source": recording.source,
        "held_out": held_out,
        "units": recording.num_units,
        "spikes": len(recording.spike_times),
        "minutes": round(recording.duration_s / 60, 2),
        "median_rate_hz": round(float(np.median(rates)), 3) if len(rates) else 0.0,
        "areas": sorted({str(area) for area in recording.units.area if area}),
        "behaviour": sorted(recording.series),
        "trials": len(recording.tables["trials"]) if "trials" in recording.tables else 0,
        "findings": [
            {"severity": finding.severity, "what": finding.what}
            for finding in validate_recording(recording)
        ],
    }


def describe_machine() -> dict[str, Any]:
    """Say which versions computed something, and on what."""
    return {
        "neurohorizon": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "num_cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()
