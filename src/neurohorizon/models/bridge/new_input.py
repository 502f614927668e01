"""A bridge for other units: everything of a fitted one is kept but what reads the units."""

from __future__ import annotations

from dataclasses import replace

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.towers import TowerKind

#: Parameters of a tower that belong to units (and their time bins).
INPUT_LAYER: dict[TowerKind, tuple[str, ...]] = {
    "linear": ("to_space.",),
    "mlp": ("layers.first.0.",),
    "temporal": ("by_unit", "by_population.", "layers.first.0."),
    "perceiver": tuple(f"trunk.reading.{name}" for name in ("units", "slopes", "bins", "gains")),
}


def with_new_input(bridge: Bridge, shape: tuple[int, ...], areas: tuple[int, ...] = ()) -> Bridge:
    """Return a bridge that reads other units by a new, untrained input layer.

    Parameters
    ----------
    bridge : Bridge
        A fitted one.
    shape : tuple of int
        Of the new responses: (N,) or (N, B).
    areas : tuple of int
        Of a Perceiver: area of each new unit, numbered as the fitted one's.

    Returns
    -------
    Bridge
        Only the input layer requires gradients; a linear tower is nothing but an input layer, and
        a Perceiver's is the embeddings of its electrodes and time bins, and its gains. The scale
        of responses and the regression head are to be fitted.

    Raises
    ------
    ConfigError
        If the tower wants time bins that the new responses have not, or other areas.
    """
    spec = replace(bridge.neural_spec, shape=shape)
    if spec.kind == "perceiver":
        if set(areas) != set(spec.areas):
            raise ConfigError("a Perceiver's region tokens are of other areas")
        spec = replace(spec, areas=areas)
    new = Bridge(
        num_dimensions=bridge.space.num_dimensions,
        num_components=bridge.space.num_components,
        whitening=bridge.space.whitening,
        root=bridge.scale.root,
        neural=spec,
        image=bridge.image_spec,
        measure=bridge.measure,
        regression=bridge.regression is not None,
    ).requires_grad_(False)
    fresh = tuple(f"neural.{name}" for name in INPUT_LAYER[spec.kind])
    kept = {
        name: value
        for name, value in bridge.state_dict().items()
        if not name.startswith((*fresh, "scale.", "regression."))
    }
    new.load_state_dict(kept, strict=False)
    for name, parameter in new.named_parameters():
        parameter.requires_grad_(name.startswith(fresh))
    return new
