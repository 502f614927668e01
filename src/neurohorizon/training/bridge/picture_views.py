r"""Pictures as fitted recordings see them: what closed forms have in place of a trunk.

A closed form is one layer, so nothing of it is left when its input layer is taken away, but the
side of the pictures: where the source's bridge puts a picture. Of an encoding model that is what
the source's units would answer, in units of their noise. A ridge regression from such views F to
a new unit's responses is one with a normal prior over the unit's weights w, of the covariance
that the source's weights W have, :math:`w \sim N(0, W W^\top)`: the new unit is tuned as a mixture
of the source's. A fifth of the prior's variance lies on the pictures' own components, for tuning
that no unit of the source has.

Shapes: I pictures with embeddings of D numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.training.bridge.closed_form import EncodingSettings
from neurohorizon.training.bridge.rows import Row
from neurohorizon.training.bridge.samples import Samples
from neurohorizon.training.bridge.transfer import ClosedFormSettings, fit_own

OWN_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class PictureViews:
    """How other recordings see pictures, side by side.

    Parameters
    ----------
    sources : sequence of Bridge
        Fitted to one other recording each.
    scales : sequence of float
        What the views of each are multiplied by.
    """

    sources: Sequence[Bridge]
    scales: Sequence[float]

    @property
    def own_share(self) -> float:
        """How much of the variance lies on the pictures' own components, which follow the views."""
        return OWN_SHARE if self.sources[0].measure == "likelihood" else 0.0

    def __call__(self, embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return views of pictures, (I, d)."""
        views = [
            scale * source.read_pictures(embeddings).numpy()
            for scale, source in zip(self.scales, self.sources, strict=True)
        ]
        if self.own_share:
            space = self.sources[0].space
            # Components have a mean square of 1: all of them together, one of their number.
            size = np.sqrt(self.own_share / space.num_components)
            views.append(size * space.read(embeddings).numpy())
        return np.concatenate(views, axis=1).astype(np.float32)


def views_by(sources: Sequence[Bridge], embeddings: NDArray[np.floating]) -> PictureViews:
    """Return the views of sources, scaled so that each source has the same variance in all.

    Parameters
    ----------
    sources : sequence of Bridge
    embeddings : (I, D) array
        Of the pictures by which views are scaled.
    """
    views = PictureViews(sources, [1.0] * len(sources))
    variance = [
        float(source.read_pictures(embeddings).var(dim=0, correction=0).sum()) for source in sources
    ]
    share = (1 - views.own_share) / len(sources)
    scales = [float(np.sqrt(share / max(each, 1e-12))) for each in variance]
    return PictureViews(sources, scales)


@dataclass(frozen=True, eq=False)
class ViewedBridge:
    """A bridge between a target's responses and pictures as other recordings see them.

    Parameters
    ----------
    bridge : Bridge
    views : PictureViews
    """

    bridge: Bridge
    views: PictureViews

    def similarity(
        self, values: NDArray[np.floating], embeddings: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Return the similarity of every response to every picture, (K, I)."""
        return self.bridge.similarity(values, self.views(embeddings))


def fit_on_views(
    row: Row, samples: Samples, settings: ClosedFormSettings, sources: Sequence[Bridge]
) -> ViewedBridge:
    """Fit a closed form to few pictures of a target, as other recordings see them.

    Parameters
    ----------
    row : Row
    samples : Samples
        Of the target.
    settings : settings of a closed form
        The penalty is chosen anew, by held-out pictures.
    sources : sequence of Bridge
        Fitted to one other recording each.
    """
    views = views_by(sources, samples.embeddings)
    seen = replace(samples, embeddings=views(samples.embeddings))
    settings = replace(settings, num_components=seen.embeddings.shape[1])
    if not isinstance(settings, EncodingSettings):
        # The source's space is whitened as far as it should be.
        settings = replace(settings, whitening=0.0)
    return ViewedBridge(fit_own(row, seen, settings, steps=0, seed=0), views)
