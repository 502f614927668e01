"""Minutes of a new session, with behaviour, that a decoder is taken to it by.

What a model is adapted with and what a simple decoder is fitted on must be the same stretches, or
a curve by minutes compares nothing. They are chosen here, once for both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.binning import search_times
from neurohorizon.ops.intervals import as_intervals, contains, total_s
from neurohorizon.recordings.reference_pool import cut_stretch, last_stretch
from neurohorizon.recordings.schema import (
    FloatArray,
    Recording,
    Series,
    Split,
    Table,
    empty_intervals,
)

FEWEST_MINUTES = 0.5
#: Share of the minutes that is held back where a recording's own validation part does not say.
HELD_SHARE = 0.2


@dataclass(frozen=True)
class SessionMinutes:
    """Some minutes of a session.

    Parameters
    ----------
    learn : (K, 2) float
        Seconds that weights or closed forms are fitted on.
    held : (K, 2) float
        Seconds held back, to choose when to stop or which settings to take.
    """

    learn: FloatArray
    held: FloatArray

    @property
    def stretches(self) -> FloatArray:
        """All of them, (K, 2) seconds."""
        return as_intervals(np.concatenate([self.learn, self.held]))

    def split(self, recording: Recording) -> Recording:
        """Return the recording with these minutes as training and validation part.

        Its test part stays. Whatever is told by the training part (how a signal is scaled, where
        smoothing ends) is then told by these minutes.
        """
        split = recording.split
        test = empty_intervals() if split is None else split.test
        interleaved = split is not None and split.interleaved
        return replace(recording, split=Split(self.learn, self.held, test, interleaved))

    def cut(self, recording: Recording) -> Recording:
        """Return the recording as if it had run in these minutes alone, split as `split` does.

        Nothing else of it is left to be read, not even to tell a mean rate.
        """
        stretches = self.stretches
        rows = _rows_inside(np.asarray(recording.spike_times), stretches)
        inside = self.split(recording)
        assert inside.split is not None
        return replace(
            inside,
            spike_times=np.asarray(recording.spike_times)[rows],
            spike_unit_index=np.asarray(recording.spike_unit_index)[rows],
            domain=stretches,
            series={name: _cut_series(each, stretches) for name, each in recording.series.items()},
            signals={
                name: _cut_series(each, stretches) for name, each in recording.signals.items()
            },
            tables={name: _cut_table(each, stretches) for name, each in recording.tables.items()},
            embeddings={},
            split=replace(inside.split, test=empty_intervals()),
        )


def readable_stretches(recording: Recording) -> FloatArray:
    """Return what may be read to adapt to a recording, (K, 2) seconds.

    All of it without a split; else its training and validation part, of parts in the order of
    time what lies before the test part.
    """
    split = recording.split
    if split is None:
        return as_intervals(recording.domain)
    readable = as_intervals(np.concatenate([split.train, split.valid]))
    if split.interleaved or not len(split.test):
        return readable
    before = readable[readable[:, 0] < split.test[0, 0]].copy()
    before[:, 1] = np.minimum(before[:, 1], split.test[0, 0])
    return before


def minutes_of(recording: Recording, minutes: float, *, shortest_s: float = 0.0) -> SessionMinutes:
    """Choose minutes of a session.

    Parameters
    ----------
    recording : Recording
    minutes : float
    shortest_s : float
        Of what is held back, stretches shorter than this are left out: a window that is centred
        on one would read what lies beside it.

    Returns
    -------
    SessionMinutes
        Of parts in the order of time, and without a split, the last ones of what may be read
        (:func:`readable_stretches`), of which the last fifth is held back. Of parts that take
        turns the first ones of the training and of the validation part, in the proportion that
        they have, the second of which is held back.

    Raises
    ------
    ConfigError
        If there are fewer minutes than can be learned from.
    DataError
        If the recording has fewer that may be read, or nothing is left to hold back.
    """
    if not minutes >= FEWEST_MINUTES:
        raise ConfigError(
            f"{minutes:g} minutes to adapt with: expected at least {FEWEST_MINUTES:g}"
        )
    readable = readable_stretches(recording)
    length_s, there_s = 60.0 * minutes, total_s(readable)
    if there_s < length_s - 1e-6:
        why = "are recorded" if recording.split is None else "may be read beside its test part"
        raise DataError(
            f"{recording.id}: {minutes:g} minutes to adapt with, and {there_s / 60:.3g} {why}: "
            "give fewer"
        )
    split = recording.split
    if split is not None and split.interleaved and len(split.valid):
        share = length_s / there_s
        parts = [as_intervals(each) for each in (split.train, split.valid)]
        learn, held = (cut_stretch(each, 0.0, share * total_s(each)) for each in parts)
    else:
        if split is not None and split.interleaved:
            stretch = cut_stretch(readable, 0.0, length_s)
        else:
            stretch = last_stretch(readable, length_s)
        learn = cut_stretch(stretch, 0.0, (1 - HELD_SHARE) * length_s)
        held = cut_stretch(stretch, (1 - HELD_SHARE) * length_s, HELD_SHARE * length_s + 1.0)
    held = held[held[:, 1] - held[:, 0] >= shortest_s - 1e-6]
    if not len(held):
        raise DataError(
            f"{recording.id}: of {minutes:g} minutes none of what is held back to choose when to "
            f"stop is as long as a window ({shortest_s:g} s): give more minutes"
        )
    return SessionMinutes(learn, held)


def _rows_inside(times: FloatArray, stretches: FloatArray) -> NDArray[np.int64]:
    """Return which of sorted times lie in stretches; what lies outside is not looked at."""
    edges = [search_times(times, stretch) for stretch in stretches]
    return np.concatenate([np.arange(low, high) for low, high in edges] or [np.arange(0)])


def _cut_series(series: Series, stretches: FloatArray) -> Series:
    times = np.asarray(series.timestamps, dtype=np.float64)
    if np.any(np.diff(times) < 0):
        rows = np.flatnonzero(contains(stretches, times))
    else:
        rows = _rows_inside(times, stretches)
    return replace(series, timestamps=times[rows], values=np.asarray(series.values[rows]))


def _cut_table(table: Table, stretches: FloatArray) -> Table:
    """Keep the intervals that reach into stretches."""
    start, end = np.asarray(table.start), np.asarray(table.end)
    reaches = (start[:, None] < stretches[:, 1]) & (end[:, None] >= stretches[:, 0])
    rows = np.flatnonzero(reaches.any(axis=1))
    return replace(
        table,
        start=start[rows],
        end=end[rows],
        columns={name: np.asarray(column)[rows] for name, column in table.columns.items()},
    )
