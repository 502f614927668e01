"""The row that every decoder must beat: the training part's mean, or its usual class."""

from __future__ import annotations

import numpy as np

from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.cases import Asked, FitData
from neurohorizon.evaluation.decoding.tuning import Chosen
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray


class Constant:
    """Decodes the mean of the training part, or its shares of classes, at all times."""

    name = "mean"
    role: Role = "baseline"

    def why_not(self, data: FitData) -> str:
        """Say why not: never."""
        return ""

    def fit(self, data: FitData) -> Chosen:
        """Take the mean."""
        if data.task.spec.is_categorical:
            counts = np.bincount(data.train.values, minlength=data.task.num_outputs)
            self.value = counts / counts.sum()
        else:
            self.value = data.train.values.mean(axis=0)
        return Chosen({})

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode the same everywhere."""
        return np.tile(self.value, (len(asked), 1))
