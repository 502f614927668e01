"""Windows of decoders as a forecaster reads them: each is the context before an origin, its end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neurohorizon.ops.binning import to_ticks
from neurohorizon.ops.intervals import as_intervals, subtract
from neurohorizon.recordings.decoding.windows import DecodeWindows
from neurohorizon.recordings.reference import Reference
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import History, WindowReader, Windows


@dataclass(frozen=True)
class ContextReader:
    """A recording as a forecaster's encoder reads it, its units known by a reference.

    Parameters
    ----------
    reader : WindowReader
        See :func:`context_reader`; references of one recording share it.
    reference : Reference
    """

    reader: WindowReader
    reference: Reference

    @property
    def spec(self) -> WindowSpec:
        """Geometry of the forecaster's windows."""
        return self.reader.spec

    def read(self, windows: DecodeWindows) -> Windows:
        """Read windows up to their ends; the counts that follow are left empty.

        Notes
        -----
        History belongs to the stretch that a window's middle lies in: its end may be where the
        next one starts, and a stretch that is shorter than a window holds the middle alone.
        """
        assert windows.kept_WN is None, "a forecaster's encoder reads all units"
        assert to_ticks(windows.length_s) == to_ticks(self.spec.context_s), "windows differ"
        origins = np.round(windows.starts_s + windows.length_s, 6)
        read = self.reference.read_windows(
            self.reader, origins, inside_s=windows.starts_s + windows.length_s / 2
        )
        return replace(read, counts=np.zeros_like(read.counts))


def context_reader(recording: Recording, spec: WindowSpec) -> WindowReader:
    """Return what cuts a forecaster's windows out of a recording, wherever a decoder's may lie.

    History starts afresh at each block of an interleaved split, as it does for forecasts, and
    at the start of the recording; what lies between blocks goes on from the one before.
    """
    split = recording.split
    if split is None or not split.interleaved:
        return WindowReader(recording, spec)
    blocks = np.concatenate([split.train, split.valid, split.test])
    blocks = blocks[np.argsort(blocks[:, 0])]
    before = subtract(recording.domain, np.array([[blocks[0, 0], np.inf]]))
    segments = np.concatenate([as_intervals(before), blocks])
    return WindowReader(recording, spec, History(recording, segments=segments))
