"""POYO+: decode several tasks at once from spikes.

Azabou et al. 2025 (ICLR), "Multi-session, multi-task neural decoding from distinct cell-types and
brain regions". As POYO (:mod:`neurohorizon.models.poyo`), but for the queries: one is the sum of
the embeddings of its session and its task, at the time that is asked for. The queries of all tasks
read the latents in one cross-attention; each task has a linear readout of its own, of its columns
or classes.

Departures, besides POYO's: a task's query is projected once a session and not once a time.
"""

from __future__ import annotations

from neurohorizon.models.poyo_trunk import PopulationDecoder


class POYOPlus(PopulationDecoder):
    """Decode several tasks, continuous and categorical, from spikes.

    Its arguments are those of :class:`neurohorizon.models.poyo_trunk.PopulationDecoder`.

    Raises
    ------
    ConfigError
        If settings make no model.
    """

    system = "poyo_plus"
