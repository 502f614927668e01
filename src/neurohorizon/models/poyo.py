"""POYO: decode one task from spikes (Azabou et al. 2023, arXiv:2310.16046).

1. A token is a spike: the embedding of its unit plus that of its type, at its time; two more
   tokens mark the start and the end of the window for every unit.
2. Latents on a grid of times read the tokens by cross-attention.
3. Latents attend to each other, layer after layer.
4. A query is the embedding of the session, at the time that is asked for.
5. Queries read the latents by cross-attention; a linear readout gives the outputs.

Times enter by rotation of half of each head (:mod:`neurohorizon.nn.rotary`).

Departures, none of which changes a number: a spike's key and value are projected once a unit and
type, not once a spike; a latent's query once a kind; a session's query once a window; only the half
of a head that is rotated is touched; times are float32 since the window's start, their angles
computed in float64; windows with about as many tokens are read together, so little is padding.
Two that are settings: units may be known by what their reference says (``units="identity"``), so
that new recordings need no gradient, and readouts start at zero.
"""

from __future__ import annotations

from neurohorizon.models.poyo_trunk import PopulationDecoder


class POYO(PopulationDecoder):
    """Decode one continuous or categorical task from spikes.

    Its arguments are those of :class:`neurohorizon.models.poyo_trunk.PopulationDecoder`; `tasks`
    holds one.

    Raises
    ------
    ConfigError
        If there are several tasks, or settings make no model.
    """

    system = "poyo"
    one_task = True
