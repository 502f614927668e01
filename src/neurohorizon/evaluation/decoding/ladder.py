"""All simple decoders, in the order of tables: what a deep decoder must beat.

Each is fitted on one session and one task, on its training part, with settings chosen on its
validation part; each decodes the same time stamps, and reads activity only inside the stretch
in which they lie, as models on windows do. They are not held to a model's window: a stretch may
be read whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.decoding.bayes import Bayes
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.constant import Constant
from neurohorizon.evaluation.decoding.kalman import Kalman
from neurohorizon.evaluation.decoding.networks import Network
from neurohorizon.evaluation.decoding.rows import ROWS
from neurohorizon.evaluation.decoding.tuning import Chosen, Decoder
from neurohorizon.evaluation.decoding.wiener import Wiener
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class DecodedRow:
    """What one row decoded of one task of one recording.

    Parameters
    ----------
    row : str
    role : {"model", "baseline", "ceiling", "cheat"}
    outputs : (T, P) float or None
        Values in the task's units, or a probability a class, at the test part's time stamps;
        None if the row was left out.
    chosen : Chosen
        Settings, and what they were chosen from.
    left_out : str
        Why there is nothing; empty if there is.
    seconds : float
        Time that fitting and decoding took.
    """

    row: str
    role: Role
    outputs: FloatArray | None
    chosen: Chosen
    left_out: str = ""
    seconds: float = 0.0


def make_decoder(name: str, *, seed: int = 0) -> Decoder:
    """Make one row of the ladder, with its default search.

    Raises
    ------
    ConfigError
        If there is no such row.
    """
    makers: dict[str, Callable[[], Decoder]] = {
        "mean": Constant,
        "Wiener": Wiener,
        "Kalman": Kalman,
        "Kalman smoother": lambda: Kalman(smooth=True),
        "Bayes": Bayes,
        "Bayes continuous": lambda: Bayes(continuous=True),
        "MLP": lambda: Network("MLP", seed=seed),
        "GRU": lambda: Network("GRU", seed=seed),
    }
    if name not in makers:
        raise ConfigError(f"no simple decoder {name!r}: choose among {', '.join(makers)}")
    return makers[name]()


def decode_ladder(
    case: DecodingCase,
    *,
    rows: Sequence[str] = ROWS,
    decoders: Sequence[Decoder] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[DecodedRow]:
    """Fit simple decoders on a case and decode its test part.

    Parameters
    ----------
    case : DecodingCase
    rows : sequence of str
        Which, of :data:`ROWS`.
    decoders : sequence of Decoder, optional
        Instead of `rows`: with settings of their own.
    seed : int
        Of the networks.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    list of DecodedRow
        One a row; one that cannot decode the task says why.
    """
    ladder = list(decoders) if decoders is not None else [make_decoder(n, seed=seed) for n in rows]
    data, test = case.fit_data(), case.part("test")
    found = []
    for index, decoder in enumerate(ladder):
        if progress is not None:
            progress(f"{case.recording_id}, {case.task.name}: {decoder.name}", index, len(ladder))
        why = decoder.why_not(data) if len(test) else "no value in the test part"
        if why:
            found.append(DecodedRow(decoder.name, decoder.role, None, Chosen({}), why))
            continue
        start = time.perf_counter()
        chosen = decoder.fit(data)
        outputs = decoder.predict(case.activity, test.asked)
        assert np.isfinite(outputs).all(), decoder.name
        seconds = time.perf_counter() - start
        found.append(DecodedRow(decoder.name, decoder.role, outputs, chosen, "", seconds))
    if progress is not None:
        progress(f"{case.recording_id}, {case.task.name}", len(ladder), len(ladder))
    return found
