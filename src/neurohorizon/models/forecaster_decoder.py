"""Decode tasks from what a forecaster's encoder makes of a window.

1. The encoder of a forecaster (:mod:`neurohorizon.models.horizon`) reads the window as the context
   before an origin, the window's end: identities from a reference, states of units, latents.
2. To each identity a learned offset may be added: what a unit says of a place differs from unit to
   unit in ways that no statistics of a reference tell.
3. A query is the embedding of its task (and, with offsets, of its recording) plus that of its time
   before the origin.
4. Queries read latents and states of units by cross-attention; a linear readout a task gives the
   outputs.

Nothing that follows the origin is read. What the states of units know of the time before the
window, by slow traces, is what :class:`neurohorizon.recordings.windows.History` allows.

Shapes: S references, W windows, N units, M latents, Q queries, T tokens, D width, n the queries of
all windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.decoders import DecoderInput
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.models.task_decoder import TaskDecoder, refuse_tasks
from neurohorizon.nn.attention import CrossBlock
from neurohorizon.nn.vocabulary import Vocabulary
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.window_spec import WindowSpec

_SHORTEST_PERIOD_S = 0.05
_NUM_PERIODS = 16


class QueryTime(nn.Module):
    """Embed the time of a query: cosines and sines of many periods, and a linear map.

    Parameters
    ----------
    width : int
    longest_s : float
        Longest period, in seconds.
    """

    frequency: Tensor

    def __init__(self, width: int, *, longest_s: float) -> None:
        super().__init__()
        shortest_s = min(_SHORTEST_PERIOD_S, longest_s / 2)
        periods = torch.logspace(math.log10(shortest_s), math.log10(longest_s), _NUM_PERIODS)
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)
        self.linear = nn.Linear(2 * _NUM_PERIODS, width)

    def forward(self, times_WQ: Tensor) -> Tensor:
        """Return embeddings, (W, Q, D)."""
        angle = times_WQ.float().unsqueeze(-1) * self.frequency
        return self.linear(torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1))


class ForecasterDecoder(TaskDecoder):
    """Decode one or several tasks from spikes through a forecaster's encoder.

    Parameters
    ----------
    tasks : sequence of Task
    forecaster : mapping of str to Any
        Settings of a :class:`~neurohorizon.models.horizon.HorizonForecaster`; its context is the
        window. `of` takes a trained one.
    offsets : bool
        Learn an offset to each unit's identity, zero at first, and an embedding of each recording.
        Without, units and recordings are known by a reference alone: new ones need no gradient.
    frozen : bool
        Leave the encoder as it is.
    pretrained : bool
        Whether the encoder's weights are those of a trained forecaster, with what it is
        standardised by. Else the data that it is trained on tell the latter.
    num_query_layers : int
        Cross-attention layers between queries and what they read.
    dropout : float
        In these.

    Raises
    ------
    ConfigError
        If the forecaster has nothing that can be read here: no encoder, no labels, identities that
        are rows of its own training, or conditions.

    Notes
    -----
    Readouts are zero at initialisation: an untrained model answers with the training mean, or with
    equal classes.

    References
    ----------
    Jaegle et al. 2022 (Perceiver IO), arXiv:2107.14795, for queries that read latents.
    """

    system = "forecaster"

    def __init__(
        self,
        *,
        tasks: Sequence[Task],
        forecaster: Mapping[str, Any],
        offsets: bool = True,
        frozen: bool = False,
        pretrained: bool = False,
        num_query_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        refuse_tasks(tasks)
        refuse_forecaster(forecaster)
        if num_query_layers < 1:
            raise ConfigError(f"num_query_layers is {num_query_layers}: expected 1 or more")
        spec = WindowSpec.from_dict(forecaster["spec"])
        self.settings = {
            "forecaster": {**forecaster, "spec": asdict(spec)},
            "offsets": offsets,
            "frozen": frozen,
            "pretrained": pretrained,
            "num_query_layers": num_query_layers,
            "dropout": dropout,
        }
        self.tasks = tuple(tasks)
        self.length_s = spec.context_s
        self.pretrained = pretrained
        self.frozen = frozen
        self.offsets = offsets
        self.forecaster = HorizonForecaster(**{**forecaster, "spec": spec})
        self.forecaster.drop_forecast()
        self.forecaster.requires_grad_(not frozen)
        width = int(forecaster["width"])
        self.units = Vocabulary(width, scale=0.0, what="units")
        self.sessions = Vocabulary(width, what="sessions")
        for vocabulary in (self.units, self.sessions):
            vocabulary.requires_grad_(offsets)
        self.task_embedding = nn.Parameter(torch.randn(len(tasks), width))
        self.query_time = QueryTime(width, longest_s=4 * self.length_s)
        self.token_type = nn.Parameter(0.02 * torch.randn(2, width))
        self.layers = nn.ModuleList(
            CrossBlock(width=width, num_heads=int(forecaster["num_heads"]), dropout=dropout)
            for _ in range(num_query_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.readouts = self.make_readouts(width)

    @classmethod
    def of(
        cls,
        forecaster: HorizonForecaster,
        *,
        tasks: Sequence[Task],
        offsets: bool = True,
        frozen: bool = False,
        num_query_layers: int = 1,
        dropout: float = 0.0,
    ) -> ForecasterDecoder:
        """Make a decoder around the encoder of a trained forecaster, which is left as it is."""
        made = cls(
            tasks=tasks,
            forecaster=forecaster.settings,
            offsets=offsets,
            frozen=frozen,
            pretrained=True,
            num_query_layers=num_query_layers,
            dropout=dropout,
        )
        made.take_weights(forecaster)
        return made

    def take_weights(self, forecaster: HorizonForecaster) -> None:
        """Copy the weights of an encoder of the same settings, but for dropout and noise."""
        own = self.forecaster.state_dict()
        given = forecaster.state_dict()
        self.forecaster.load_state_dict({name: given[name] for name in own})

    @property
    def knows_new_units(self) -> bool:
        """Whether units are known by a reference alone, so that new ones need no gradient."""
        return not self.offsets

    @property
    def context_spec(self) -> WindowSpec:
        """Geometry of the forecaster's windows that batches must hold."""
        return self.forecaster.spec

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the forecaster's encoder that learn."""
        return [each for each in self.forecaster.parameters() if each.requires_grad]

    def train(self, mode: bool = True) -> ForecasterDecoder:
        """Switch to training; a frozen encoder stays without dropout and noise."""
        super().train(mode)
        if self.frozen:
            self.forecaster.eval()
        return self

    def forward(self, batch: DecodeBatch) -> dict[str, Tensor]:
        """Decode every task that the batch asks for.

        Returns
        -------
        dict of str to Tensor
            By task, (n, P): standardised values or logits, a row for each of its queries,
            window after window. A task that is not asked for is absent.
        """
        tokens_WTD, mask_WT = self.encode(batch)
        queries_WQD = self.embed_queries(batch)
        for layer in self.layers:
            assert isinstance(layer, CrossBlock)
            projected_WTK = layer.attention.project(tokens_WTD)
            queries_WQD = layer(queries_WQD, projected_WTK, key_mask_BT=mask_WT)
        return self.read_out(self.norm(queries_WQD[batch.query_mask_WQ]), batch)

    def encode(self, batch: DecodeBatch) -> tuple[Tensor, Tensor]:
        """Return what queries read: latents and states of units, (W, T, D), and their mask."""
        given = self.read(batch)
        assert given.latents_WMD is not None
        tokens_WTD = torch.cat(
            [given.latents_WMD + self.token_type[0], given.state_WND + self.token_type[1]], dim=1
        )
        there_WM = torch.ones_like(given.latents_WMD[..., 0], dtype=torch.bool)
        return tokens_WTD, torch.cat([there_WM, given.mask_WN], dim=1)

    def read(self, batch: DecodeBatch) -> DecoderInput:
        """Return what the forecaster's encoder makes of windows."""
        context = batch.context
        assert context is not None, "batches hold no contexts: make the data with `context`"
        return self.forecaster.read(context, identity_SND=self.identities(context))

    def identities(self, context: ForecastBatch) -> Tensor:
        """Return what stands for each unit, (S, N, D)."""
        identity_SND = self.forecaster.identities(context)
        if self.offsets:
            identity_SND = identity_SND + self.units(context.known_unit_SN)
        return identity_SND

    @property
    def looks_ahead(self) -> bool:
        """Whether a state knows of what follows it in its window."""
        return False

    @torch.no_grad()
    def latent_states(self, batch: DecodeBatch) -> tuple[Tensor, Tensor]:
        """Return the mean of the latents, (W, 1, D): one state a window, at its end."""
        latents_WMD = self.read(batch).latents_WMD
        assert latents_WMD is not None
        return latents_WMD.mean(dim=1, keepdim=True), latents_WMD.new_full((1,), self.length_s)

    @torch.no_grad()
    def unit_vectors(self, batch: DecodeBatch) -> Tensor:
        """Return what stands for each unit, (U, D): what a reference says, and what is learned."""
        assert batch.context is not None, "batches hold no contexts: make the data with `context`"
        return self.identities(batch.context)[batch.context.unit_mask_SN]

    def embed_queries(self, batch: DecodeBatch) -> Tensor:
        """Return what queries ask, (W, Q, D)."""
        queries_WQD = self.task_embedding[batch.query_task_WQ]
        queries_WQD = queries_WQD + self.query_time(batch.query_time_WQ - self.length_s)
        if self.offsets:
            queries_WQD = queries_WQD + self.sessions(batch.session_row_W)[:, None]
        return queries_WQD


def refuse_forecaster(settings: Mapping[str, Any]) -> None:
    """Refuse a forecaster whose encoder cannot be a decoder's, told by its settings.

    Raises
    ------
    ConfigError
        What is in the way, and what to train instead.
    """
    if settings["num_encoder_layers"] == 0:
        raise ConfigError(
            "the forecaster has no encoder to decode from: train one with "
            "model.num_encoder_layers of 1 or more"
        )
    if settings["identity"] == "learned" or settings["num_offsets"]:
        raise ConfigError(
            "the forecaster knows units by rows of its own recordings: take one whose "
            "model.identity is computed (functional), not adapted by offsets"
        )
    if not settings["use_labels"]:
        raise ConfigError(
            "the forecaster does not read which unit fired: take one with model.use_labels=true"
        )
    if WindowSpec.from_dict(settings["spec"]).conditions:
        raise ConfigError(
            "the forecaster reads behaviour or pictures beside spikes, and what is decoded would "
            "be told by what is given: take one trained without conditions"
        )
