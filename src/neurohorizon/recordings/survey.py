"""Many recordings at once: what each holds, and what validation says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.responses_store import is_response_file, open_responses
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.store import open_recording
from neurohorizon.recordings.validate import Finding, validate_recording

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Surveyed:
    """One recording of a survey.

    Parameters
    ----------
    file : str
        Name of the file.
    id, subject, source : str
        "" if the file does not open.
    num_units, num_spikes, num_presentations : int
        Spikes are 0 in a recording of responses, presentations in any other.
    duration_s : float
    rate_hz : (N,) float
        Mean rate of each unit; empty in a recording of responses.
    units_by_area : dict of str to int
        "unknown" where the file does not say.
    behaviour, tables : tuple of str
        Names of the series and of the tables.
    findings : tuple of Finding
    """

    file: str
    id: str
    subject: str
    source: str
    num_units: int
    num_spikes: int
    duration_s: float
    rate_hz: FloatArray
    units_by_area: dict[str, int]
    behaviour: tuple[str, ...]
    tables: tuple[str, ...]
    findings: tuple[Finding, ...]
    num_presentations: int = 0

    def count(self, severity: str) -> int:
        """Return how many findings are of one severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_record(self) -> dict[str, Any]:
        """Return what JSON can hold of it: the median rate instead of all."""
        record = asdict(self)
        rates = record.pop("rate_hz")
        record |= {key: list(record[key]) for key in ("behaviour", "tables", "findings")}
        record["median_rate_hz"] = round(float(np.median(rates)), 4) if len(rates) else 0.0
        return record


def survey_file(path: Path | str) -> Surveyed:
    """Open and validate one recording; a file that does not open gives one finding."""
    path = Path(path)
    try:
        if is_response_file(path):
            responses = open_responses(path)
            found = _describe(responses, path, tuple(validate_responses(responses)))
            return replace(found, num_presentations=len(responses.responses))
        recording = open_recording(path, check=False)
    except DataError as error:
        finding = Finding("error", str(error).removeprefix(f"{path}: "), str(path))
        return Surveyed(
            path.name, "", "", "", 0, 0, 0.0, np.empty(0), {}, (), (), findings=(finding,)
        )
    found = _describe(recording, path, tuple(validate_recording(recording)))
    return replace(
        found,
        num_spikes=len(recording.spike_times),
        duration_s=recording.duration_s,
        rate_hz=_rates(recording),
        behaviour=tuple(sorted(recording.series)),
        tables=tuple(sorted(recording.tables)),
    )


def _describe(
    recording: Recording | ResponseRecording, path: Path, findings: tuple[Finding, ...]
) -> Surveyed:
    """Describe what recordings of both kinds have."""
    areas = Counter(str(area) or UNKNOWN for area in recording.units.area)
    return Surveyed(
        file=path.name,
        id=recording.id,
        subject=recording.subject,
        source=recording.source,
        num_units=recording.num_units,
        num_spikes=0,
        duration_s=0.0,
        rate_hz=np.empty(0),
        units_by_area=dict(sorted(areas.items())),
        behaviour=(),
        tables=(),
        findings=findings,
    )


def survey(
    paths: Sequence[Path], *, progress: Callable[[int, int, str], None] | None = None
) -> list[Surveyed]:
    """Survey recordings, in the order given.

    Parameters
    ----------
    paths : sequence of path
    progress : callable, optional
        Called with (files done, files in all, name) before each and at the end.
    """
    rows = []
    for number, path in enumerate(paths):
        if progress:
            progress(number, len(paths), path.name)
        rows.append(survey_file(path))
    if progress:
        progress(len(paths), len(paths), "")
    return rows


def survey_record(rows: Sequence[Surveyed]) -> dict[str, Any]:
    """Return a survey as JSON can hold it: totals, then one record a recording."""
    opened = [row for row in rows if row.id]
    return {
        "recordings": len(opened),
        "files_that_do_not_open": len(rows) - len(opened),
        "subjects": len({(row.source, row.subject) for row in opened}),
        "units": sum(row.num_units for row in opened),
        "spikes": sum(row.num_spikes for row in opened),
        "presentations": sum(row.num_presentations for row in opened),
        "hours": round(sum(row.duration_s for row in opened) / 3600, 3),
        "findings": {
            severity: sum(row.count(severity) for row in rows)
            for severity in ("error", "warning", "note")
        },
        "by_recording": [row.as_record() for row in rows],
    }


def _rates(recording: Recording) -> FloatArray:
    """Return mean rates; zeros where spikes are too broken to be counted, none without any."""
    if len(recording.spike_times) == 0 and recording.signals:
        return np.empty(0)
    unit_index = np.asarray(recording.spike_unit_index)
    within = (unit_index >= 0) & (unit_index < recording.num_units)
    counts = np.bincount(unit_index[within], minlength=recording.num_units)
    return counts / recording.duration_s if recording.duration_s > 0 else np.zeros(len(counts))
