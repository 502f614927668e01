"""What POYO, POYO+ and CaPOYO share: tokens, latents, queries, readouts.

Shapes: W windows, U units of the batch, Y token types, E tokens, M latents, S steps of their grid,
Q queries, G tasks, n the queries of all windows, P outputs of a task, D width, K keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.task_decoder import TaskDecoder, refuse_tasks
from neurohorizon.nn.identity import Standardise
from neurohorizon.nn.perceiver import Perceiver
from neurohorizon.nn.ragged import parts_of_windows
from neurohorizon.nn.vocabulary import Vocabulary
from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.tasks import Task

UnitMode = Literal["vocabulary", "identity"]


class UnitIdentity(nn.Module):
    """Embed units by what their reference says, so that new ones need no gradient.

    Parameters
    ----------
    num_features : int
        Numbers that the reference gives of a unit.
    width : int
    scale : float
        Standard deviation of what comes out, before training.
    """

    def __init__(self, num_features: int, width: int, *, scale: float) -> None:
        super().__init__()
        self.standardise = Standardise(num_features)
        norm = nn.LayerNorm(width)
        nn.init.constant_(norm.weight, scale)
        self.layers = nn.Sequential(
            nn.Linear(num_features, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
            norm,
        )

    def forward(self, features_UF: Tensor) -> Tensor:
        """Return embeddings, (U, D)."""
        return self.layers(self.standardise(features_UF))


class PopulationDecoder(TaskDecoder):
    """Decode tasks from what a population does; a base of POYO, POYO+ and CaPOYO.

    A subclass says whether tasks share the cross-attention that answers (`one_task`) and, where
    tokens carry values, what a token is (:meth:`project_units`, :meth:`place_tokens`).

    Parameters
    ----------
    tasks : sequence of Task
        What is decoded; a batch's `query_task_WQ` points to them.
    width, num_layers : int
    length_s : float
        Of a window.
    latent_step_s : float
        Of the grid of times that latents stand on.
    num_latents_per_step : int
    head_width, num_cross_heads, num_self_heads : int
    units : {"vocabulary", "identity"}
        How a unit is known: by a learned row, or by what its reference says. In the second no
        recording has a row of its own either: all share one learned session embedding, so a new
        recording needs no gradient.
    num_unit_features : int
        Of a unit's reference, for ``identity``.
    dropout, layer_dropout, attention_dropout : float
        In feed-forward networks; on what a layer adds; on what attention attends to.
    shortest_s, longest_s : float
        Range of the periods by which time is told.
    scale : float
        Standard deviation of embeddings at initialisation.

    Notes
    -----
    Readouts are zero at initialisation: an untrained model answers with the training mean, or
    with equal classes.
    """

    one_task = False
    """Whether there is but one, so that a query need not say which it asks for."""
    unit_share = 1.0
    """Of a token's features, those that say which unit it is of."""

    def __init__(
        self,
        *,
        tasks: Sequence[Task],
        width: int = 64,
        num_layers: int = 6,
        length_s: float = 1.0,
        latent_step_s: float = 0.125,
        num_latents_per_step: int = 16,
        head_width: int = 64,
        num_cross_heads: int = 2,
        num_self_heads: int = 8,
        units: UnitMode = "vocabulary",
        num_unit_features: int = 33,
        dropout: float = 0.2,
        layer_dropout: float = 0.4,
        attention_dropout: float = 0.0,
        shortest_s: float = 1e-4,
        longest_s: float = 2.0627,
        scale: float = 0.02,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "width": width,
            "num_layers": num_layers,
            "length_s": length_s,
            "latent_step_s": latent_step_s,
            "num_latents_per_step": num_latents_per_step,
            "head_width": head_width,
            "num_cross_heads": num_cross_heads,
            "num_self_heads": num_self_heads,
            "units": units,
            "num_unit_features": num_unit_features,
            "dropout": dropout,
            "layer_dropout": layer_dropout,
            "attention_dropout": attention_dropout,
            "shortest_s": shortest_s,
            "longest_s": longest_s,
            "scale": scale,
        }
        _refuse_impossible(tasks, self.settings)
        if self.one_task and len(tasks) > 1:
            raise ConfigError(
                f"tasks: {self.system} decodes one, got {len(tasks)}: take poyo_plus for several"
            )
        unit_width = round(width * self.unit_share)
        self.tasks = tuple(tasks)
        self.length_s = length_s
        self.units = Vocabulary(unit_width, scale=scale, what="units")
        self.sessions = Vocabulary(width, scale=scale, what="sessions")
        self.identity: UnitIdentity | None = None
        self.any_session: nn.Parameter | None = None
        if units == "identity":
            self.identity = UnitIdentity(num_unit_features, unit_width, scale=scale)
            self.any_session = nn.Parameter(scale * torch.randn(width))
            for vocabulary in (self.units, self.sessions):
                vocabulary.requires_grad_(False)
        self.task_embedding: nn.Parameter | None = None
        if not self.one_task:
            self.task_embedding = nn.Parameter(scale * torch.randn(len(tasks), width))
        self.token_type = nn.Parameter(scale * torch.randn(len(TokenType), width))
        self.perceiver = Perceiver(
            width=width,
            num_layers=num_layers,
            length_s=length_s,
            latent_step_s=latent_step_s,
            num_latents_per_step=num_latents_per_step,
            head_width=head_width,
            num_cross_heads=num_cross_heads,
            num_self_heads=num_self_heads,
            dropout=dropout,
            layer_dropout=layer_dropout,
            attention_dropout=attention_dropout,
            shortest_s=shortest_s,
            longest_s=longest_s,
            scale=scale,
        )
        self.readouts = self.make_readouts(width)

    @property
    def knows_new_units(self) -> bool:
        """Whether units are known by a reference alone, so that new ones need no gradient."""
        return self.identity is not None

    def forward(self, batch: DecodeBatch) -> dict[str, Tensor]:
        """Decode every task that the batch asks for.

        Returns
        -------
        dict of str to Tensor
            By task, (n, P): standardised values or logits, a row for each of its queries,
            window after window. A task that is not asked for is absent.
        """
        rows_nD = self.perceiver.answer(
            self.encode(batch),
            self.embed_queries(batch),
            kind_WQ=batch.query_task_WQ,
            times_WQ=batch.query_time_WQ,
            mask_WQ=batch.query_mask_WQ,
        )
        return self.read_out(rows_nD, batch)

    def encode(self, batch: DecodeBatch) -> Tensor:
        """Return the latents that have read the windows, (W, M, D)."""
        windows, read = [], []
        for window_W, *tokens in self._parts(batch):
            windows.append(window_W)
            read.append(self.perceiver.read(*tokens))
        order_W = torch.cat(windows)
        return self.perceiver.work(torch.cat(read).index_select(0, order_W.argsort()))

    @property
    def has_attention(self) -> bool:
        """Whether there is attention over the tokens of units to look at."""
        return True

    @torch.no_grad()
    def latent_states(self, batch: DecodeBatch) -> tuple[Tensor, Tensor]:
        """Return the latents after all layers, the mean over those of one step of their grid.

        Returns
        -------
        states_WSD : Tensor
            (W, S, D).
        times_S : Tensor
            (S,) the middle of each step, in seconds since the window's start.
        """
        num_steps = self.perceiver.num_steps
        states_WSD = self.encode(batch).unflatten(1, (num_steps, -1)).mean(dim=2)
        return states_WSD, self.perceiver.latent_times_M.unflatten(0, (num_steps, -1))[:, 0]

    @torch.no_grad()
    def unit_vectors(self, batch: DecodeBatch) -> Tensor:
        """Return what stands for each unit, (U, D): learned rows, or what a reference says."""
        return self.embed_units(batch)

    @torch.no_grad()
    def attention_over_units(self, batch: DecodeBatch) -> Tensor:
        """Return how much of the latents' attention each unit's tokens get, (W, U).

        The mean over latents and heads; a window's units sum to 1. A unit with many tokens gets
        much of it whatever they say: permute it to see what it is worth.
        """
        shares_WU = batch.token_time_WE.new_zeros(len(batch), len(batch.unit_row_U))
        for window_W, *tokens in self._parts(batch):
            attended_WE = self.perceiver.attended(*tokens)
            unit_WE = batch.token_unit_WE[window_W, : attended_WE.shape[1]]
            empty_WU = shares_WU.new_zeros(len(window_W), shares_WU.shape[1])
            shares_WU[window_W] = empty_WU.scatter_add(1, unit_WE, attended_WE.to(shares_WU))
        return shares_WU

    def _parts(self, batch: DecodeBatch) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield windows with about as many tokens, and keys and values, times, mask of those."""
        projected = self.project_units(batch)
        place_WE = batch.token_unit_WE * len(TokenType) + batch.token_type_WE
        for window_W, num_slots in parts_of_windows(batch.token_mask_WE):
            value_WE = batch.token_value_WE[window_W, :num_slots]
            yield (
                window_W,
                self.place_tokens(projected, place_WE[window_W, :num_slots], value_WE),
                batch.token_time_WE[window_W, :num_slots],
                batch.token_mask_WE[window_W, :num_slots],
            )

    def project_units(self, batch: DecodeBatch) -> tuple[Tensor, ...]:
        """Return keys and values of each unit and type, (U Y, K): all that they depend on."""
        tokens_UYD = self.embed_units(batch)[:, None] + self.token_type
        return (self.perceiver.reading.project(tokens_UYD).flatten(0, 1),)

    def place_tokens(
        self, projected: tuple[Tensor, ...], place_WE: Tensor, value_WE: Tensor
    ) -> Tensor:
        """Return keys and values of tokens, (W, E, K), from where their units and types stand."""
        del value_WE
        return functional.embedding(place_WE, projected[0])

    def embed_units(self, batch: DecodeBatch) -> Tensor:
        """Return what stands for each unit, (U, D)."""
        if self.identity is not None:
            return self.identity(batch.unit_features_UF)
        return self.units(batch.unit_row_U)

    def embed_sessions(self, batch: DecodeBatch) -> Tensor:
        """Return what stands for each window's recording, (W, D)."""
        if self.any_session is not None:
            return self.any_session.expand(len(batch), -1)
        return self.sessions(batch.session_row_W)

    def embed_queries(self, batch: DecodeBatch) -> Tensor:
        """Return what a query of each task asks, (W, G, D)."""
        sessions_WGD = self.embed_sessions(batch)[:, None]
        if self.task_embedding is None:
            return sessions_WGD
        return sessions_WGD + self.task_embedding


def _refuse_impossible(tasks: Sequence[Task], settings: dict[str, Any]) -> None:
    """Raise where settings make no model."""
    refuse_tasks(tasks)
    if settings["units"] not in ("vocabulary", "identity"):
        raise ConfigError(f"units is {settings['units']!r}: expected vocabulary or identity")
    for key in ("length_s", "latent_step_s", "shortest_s"):
        if not settings[key] > 0:
            raise ConfigError(f"{key} is {settings[key]}: expected more than 0")
    if settings["latent_step_s"] > settings["length_s"]:
        raise ConfigError(
            f"latent_step_s is {settings['latent_step_s']}: expected at most the window's "
            f"length_s, {settings['length_s']}"
        )
    if settings["shortest_s"] >= settings["longest_s"]:
        raise ConfigError(
            f"shortest_s is {settings['shortest_s']}: expected less than longest_s, "
            f"{settings['longest_s']}"
        )
    if settings["head_width"] % 4:
        raise ConfigError(f"head_width is {settings['head_width']}: expected a multiple of 4")
