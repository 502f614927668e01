"""AdamW that leaves alone the rows of a vocabulary that a batch did not read.

Shapes: R rows, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from neurohorizon.nn.vocabulary import Vocabulary


class RowAdamW(torch.optim.Optimizer):
    r"""AdamW; in groups with ``lazy_rows`` a row whose gradient is zero is not updated at all.

    Parameters
    ----------
    params : iterable of Parameter or dict
        Parameters, or groups of them; a group may say ``lazy_rows=True`` (see
        :func:`row_groups`).
    lr : float
    betas : tuple of float
        Decay of the moments.
    eps : float
    weight_decay : float
        Decoupled.

    Notes
    -----
    AdamW moves and shrinks a row of an embedding at every step, also where the batch held
    nothing of that unit: old momentum goes on, weight decay pulls the row to zero, and the second
    moment fades, so that a rarely seen unit jumps when it returns. Here moments, decay and bias
    correction of a row count its own updates t alone:

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        w \leftarrow (1 - \eta \lambda) w
            - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Where every row has a gradient at every step, that is AdamW. When a parameter has grown by
    rows (:meth:`neurohorizon.nn.vocabulary.Vocabulary.extend`), their moments start at zero.

    References
    ----------
    Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "lazy_rows": False,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update the parameters that have a gradient; return what `closure` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learned = [p for p in group["params"] if p.grad is not None]
            if group["lazy_rows"]:
                for parameter in learned:
                    self._update_rows(parameter, group)
            elif learned:
                self._update(learned, group)
        return loss

    def _update(self, learned: list[nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in learned:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in learned]
        beta1, beta2 = group["betas"]
        adamw(
            list[Tensor](learned),
            [parameter.grad for parameter in learned if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _update_rows(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["row_step"] = parameter.new_zeros(0)
            state["exp_avg"] = parameter.new_zeros(0, *parameter.shape[1:])
            state["exp_avg_sq"] = parameter.new_zeros(0, *parameter.shape[1:])
        num_rows, known = len(parameter), len(state["row_step"])
        if known > num_rows:
            raise ValueError(f"a table of {num_rows} rows, and moments of {known}: it shrank")
        if known < num_rows:
            for name, moments in state.items():
                grown = moments.new_zeros(num_rows, *moments.shape[1:])
                grown[:known] = moments
                state[name] = grown
        assert parameter.grad is not None
        touched = parameter.grad.flatten(1).ne(0).any(dim=1).nonzero()[:, 0]
        gradient_RD = parameter.grad[touched]
        beta1, beta2 = group["betas"]
        step_R = state["row_step"][touched] + 1
        mean_RD = state["exp_avg"][touched].lerp(gradient_RD, 1 - beta1)
        square_RD = state["exp_avg_sq"][touched] * beta2
        square_RD.addcmul_(gradient_RD, gradient_RD, value=1 - beta2)
        across = (-1, *[1] * (parameter.ndim - 1))
        corrections = [
            (1 - beta ** step_R.double()).to(parameter.dtype).view(across)
            for beta in group["betas"]
        ]
        scale_RD = square_RD.sqrt() / corrections[1].sqrt() + group["eps"]
        moved_RD = parameter[touched] * (1 - group["lr"] * group["weight_decay"])
        moved_RD -= group["lr"] * (mean_RD / corrections[0]) / scale_RD
        parameter[touched] = moved_RD
        state["row_step"][touched] = step_R
        state["exp_avg"][touched] = mean_RD
        state["exp_avg_sq"][touched] = square_RD


def row_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return groups for `RowAdamW`: the tables of vocabularies by row, and all else.

    Parameters that are frozen are in neither, nor is an empty group returned.
    """
    tables = {
        id(module.weight): module.weight
        for module in model.modules()
        if isinstance(module, Vocabulary)
    }
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rows = [parameter for parameter in learned if id(parameter) in tables]
    others = [parameter for parameter in learned if id(parameter) not in tables]
    groups = [{"params": others, "lazy_rows": False}, {"params": rows, "lazy_rows": True}]
    return [group for group in groups if group["params"]]
