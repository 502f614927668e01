"""What responses might predict of pictures that have no prediction.

Predictions out of fold are often known of few pictures: the others were shown to nobody, or bridges
were fitted to them. A generator that is told predictions of the few and true embeddings of the many
learns to take what it is told at its word. So the many are given predictions, too: with the errors
that are made of pictures like them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: With fewer predictions their errors are not known well enough to be passed on.
FEWEST_PREDICTED = 100
NUM_ALIKE = 10
PENALTIES = tuple(10.0**power for power in np.arange(-2, 5.5, 0.5))
_FOLDS = 5
_ROWS_AT_ONCE = 1024


def likely_predictions(
    true_ND: NDArray[np.floating],
    predicted_KD: NDArray[np.floating],
    known: NDArray[np.bool_],
    *,
    seed: int,
) -> NDArray[np.float32]:
    """Return a prediction of each picture, (N, D): what is known, and what might be.

    Parameters
    ----------
    true_ND : array
    predicted_KD : array
        Out of fold, of the known pictures in their order.
    known : (N,) array of bool
    seed : int
        Draws whose errors are passed on.

    Notes
    -----
    What is predicted on average is a ridge regression on the true embedding (its penalty by
    generalised cross-validation). To this is added how far another picture's prediction was from
    what is predicted on average of it by a regression without it: one of the ten known pictures
    with the nearest embeddings, drawn at random. With fewer than 100 known pictures all others keep
    their true embeddings.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neighbors import NearestNeighbors

    found = np.array(true_ND, np.float32)
    found[known] = predicted_KD
    if len(predicted_KD) < FEWEST_PREDICTED or known.all():
        return found
    centre, spread = true_ND.mean(axis=0), true_ND.std(axis=0)
    standard = (true_ND - centre) / np.where(spread > 0, spread, 1)
    model = RidgeCV(alphas=PENALTIES)
    folds = KFold(_FOLDS, shuffle=True, random_state=seed)
    errors = predicted_KD - cross_val_predict(model, standard[known], predicted_KD, cv=folds)
    model.fit(standard[known], predicted_KD)
    alike = NearestNeighbors(n_neighbors=NUM_ALIKE).fit(standard[known])
    draws = np.random.default_rng(seed)
    others = np.flatnonzero(~known)
    for start in range(0, len(others), _ROWS_AT_ONCE):
        rows = others[start : start + _ROWS_AT_ONCE]
        near = alike.kneighbors(standard[rows], return_distance=False)
        chosen = near[np.arange(len(rows)), draws.integers(NUM_ALIKE, size=len(rows))]
        found[rows] = model.predict(standard[rows]) + errors[chosen]
    return found
