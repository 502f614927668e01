"""Is it worth learning from responses alone? Bridges from few labelled pictures; kinds of masks.

    python benchmarks/masked_pretraining.py ventral_stream macaque_v4    # a day on one core
    python benchmarks/masked_pretraining.py ventral_stream --quick       # to see that it works

A label is a picture's embedding. Each study pretrains on the responses to all training pictures,
then fits bridges to shares of the labels: rows that know the labelled pictures alone, a Perceiver
that starts untrained, and Perceivers that start pretrained (frozen, thawed part by part, tuned).
Then masks are compared: kinds and shares, on reconstruction and on the frozen row from one share of
the labels. All rows learn the scale of responses from all training responses, so that what differs
is the trunk. Every run is kept under ``runs/bench-masked/``, so the script can be stopped and
started again; tables go to ``benchmarks/results/masked_pretraining_<study>.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.bridge_sessions import BridgeSessions, open_bridge_sessions
from neurohorizon.configs.load import load_bridges, load_pretraining
from neurohorizon.configs.run_bridges import align_run, check_parts
from neurohorizon.configs.run_masked import pretrain_run, read_scores
from neurohorizon.configs.run_retrieval import retrieve_run
from neurohorizon.errors import DataError
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.retrieval.results import RetrievalResult
from neurohorizon.evaluation.retrieval.summary import common_metrics, estimate
from neurohorizon.models.bridge.masks import KINDS, applicable_kinds
from neurohorizon.report.filling_table import format_filling

RUNS = Path("runs/bench-masked")
SCRATCH, FROZEN = "Perceiver", "Perceiver, pretrained, frozen"
ROWS = (
    "encoding model",
    "linear InfoNCE",
    SCRATCH,
    FROZEN,
    "Perceiver, pretrained, gradual",
    "Perceiver, pretrained",
)
SHARES = (0.01, 0.05, 0.1, 0.5, 1.0)
MASK_SHARES = (0.15, 0.25, 0.5)


@dataclass(frozen=True)
class Study:
    """Recordings, and how bridges of them are pretrained and fitted.

    Parameters
    ----------
    title, align, pretrain : str
        The recipes are those of bridges and of masked pretraining.
    categories : bool
        Pretrain with categories as well, beside reconstruction alone.
    fitted : tuple of str
        What bridges are fitted with: how many settings are tried, on how many folds, and seeds.
        With few labels three folds would hold out too few to choose settings by.
    mask_labels : float
        Share of the labels from which masks are compared.
    """

    title: str
    align: str
    pretrain: str
    fitted: tuple[str, ...]
    categories: bool = False
    mask_labels: float = 0.1


STUDIES = {
    "ventral_stream": Study(
        title="Masked pretraining: V1, V4 and IT of a simulated monkey",
        align="ventral-stream",
        pretrain="ventral-stream-masked",
        fitted=("training.budget=2", "training.num_folds=1", "training.num_seeds=5"),
        categories=True,
    ),
    "macaque_v4": Study(
        title="Masked pretraining: macaque V4, six sessions of two animals",
        align="macaque-v4",
        pretrain="macaque-v4-masked",
        fitted=("training.budget=3", "training.num_folds=2", "training.num_seeds=5"),
        mask_labels=0.5,
    ),
}
QUICK_FITTED = (
    "training.budget=1",
    "training.num_folds=2",
    "training.num_seeds=1",
    "training.max_steps=20",
)
QUICK_PRETRAINED = ("training.max_steps=20", "model.width=32", "model.num_layers=1")


def main() -> None:
    """Run the studies that are named."""
    parser = argparse.ArgumentParser(description="Pretrain, fit, score, and write the tables.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    parser.add_argument("--data", type=Path, default=Path("data"), help="prepared recordings")
    parser.add_argument("--banks", type=Path, default=Path("banks"), help="banks of the pictures")
    parser.add_argument("--device", default="cpu", help="where networks are trained")
    parser.add_argument("--quick", action="store_true", help="a few steps; print, write no table")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"unknown study {', '.join(unknown)}: choose from {', '.join(STUDIES)}")
    for name in arguments.studies:
        where = (
            f"data.recordings={arguments.data / name}",
            f"data.bank={arguments.banks / name}.npz",
            f"training.device={arguments.device}",
        )
        with StageProgress() as progress:
            bench = Bench(name, STUDIES[name], where, arguments.quick, progress)
            lines, content = bench.tables()
        if arguments.quick:
            print("\n".join(lines))
        else:
            write_results(f"masked_pretraining_{name}", bench.study.title, lines, content)


@dataclass(frozen=True)
class Bench:
    """One study's runs."""

    name: str
    study: Study
    where: tuple[str, ...]
    quick: bool
    progress: StageProgress

    @property
    def folder(self) -> Path:
        """Where its runs are kept."""
        return RUNS / (self.name + "-quick" * self.quick)

    def pretrained(self, name: str, *overrides: str) -> Path:
        """Return a folder of pretrained models."""
        quick = QUICK_PRETRAINED if self.quick else ()
        loaded = load_pretraining(
            self.study.pretrain,
            [*self.where, *quick, *overrides],
            folder=self.folder / "pretrained" / name,
        )
        pretrain_run(loaded, resume=True, command_line=sys.argv, progress=self.progress)
        return loaded.config.run.folder

    def retrieved(
        self, name: str, rows: Sequence[str], pretrained: Path, share: float
    ) -> RetrievalResult | str:
        """Return scores of rows fitted to a share of the labels, or why there are none."""
        quoted = ", ".join(f"'{row}'" for row in rows)
        loaded = load_bridges(
            self.study.align,
            [
                *self.where,
                *(QUICK_FITTED if self.quick else self.study.fitted),
                f"model.rows=[{quoted}]",
                "model.grey_rows=[]",
                "data.grey_bank=null",
                f"model.pretrained={pretrained}",
                f"training.label_share={share}",
            ],
            folder=self.folder / "aligned" / name,
        )
        found = open_bridge_sessions(loaded.config)
        try:
            check_parts(loaded.config, loaded.config.run.folder, found)
        except DataError as error:
            return str(error)  # so few labels that no settings can be chosen by them
        align_run(loaded, resume=True, command_line=sys.argv, progress=self.progress)
        return retrieve_run(loaded.config.run.folder, progress=self.progress).result

    def tables(self) -> tuple[list[str], dict[str, Any]]:
        """Return the tables as Markdown and as numbers."""
        base = self.pretrained("base")
        scores = read_scores(base)
        lines = ["## What is hidden, said from the rest", "", "```text"]
        lines += [*format_filling(scores).splitlines(), "```", ""]
        shares = SHARES[2:4] if self.quick else SHARES
        curve = {share: self.retrieved(f"labels-{share:g}", ROWS, base, share) for share in shares}
        told, curves = self._curve(curve)
        masks, compared = self._masks()
        content = {
            "study": self.name,
            "hidden": plain({name: each["score"] for name, each in scores.items()}),
            "curve": curves,
            "masks": compared,
        }
        return [*lines, *told, *masks], content

    def _curve(self, curve: dict[float, RetrievalResult | str]) -> tuple[list[str], dict[str, Any]]:
        """Return the label-fraction curve, and pretrained rows minus others."""
        done = {share: each for share, each in curve.items() if isinstance(each, RetrievalResult)}
        lines = ["## By the share of the training pictures whose embeddings are known", ""]
        for share, each in curve.items():
            if isinstance(each, str):
                lines += [f"{100 * share:g} %: not fitted; {each}.", ""]
        if not done:
            return lines, {}
        metric = common_metrics(next(iter(done.values())))[0]
        lines += [f"{metric.name}, percent, mean of recordings [95 % over pictures and seeds].", ""]
        lines += _header("", [f"{100 * share:g} %" for share in done])
        content: dict[str, Any] = {"metric": metric.name}
        counts = [
            " / ".join(str(case.num_training) for case in each.cases) for each in done.values()
        ]
        lines.append("| labelled pictures | " + " | ".join(counts) + " |")
        for row in ROWS:
            lines.append(f"| {row} | " + " | ".join(self._cells(done, row, None, content)) + " |")
        for reference in (SCRATCH, "encoding model"):
            lines += ["", f"Minus {reference}, points, paired.", ""]
            lines += _header("", [f"{100 * share:g} %" for share in done])
            for row in ROWS[ROWS.index(SCRATCH) + 1 :]:
                cells = self._cells(done, row, reference, content)
                lines.append(f"| {row} | " + " | ".join(cells) + " |")
        return [*lines, ""], content

    def _cells(
        self,
        done: dict[float, RetrievalResult],
        row: str,
        minus: str | None,
        content: dict[str, Any],
    ) -> list[str]:
        cells = []
        for share, result in done.items():
            found = estimate(result, row, common_metrics(result)[0], minus=minus)
            key = row if minus is None else f"{row} - {minus}"
            content.setdefault(key, {})[f"{share:g}"] = asdict(found)
            cells.append(_percent(found.value, found.low, found.high, signed=minus is not None))
        return cells

    def _masks(self) -> tuple[list[str], dict[str, Any]]:
        """Compare masks, and reconstruction alone with categories besides."""
        share = self.study.mask_labels
        config = load_pretraining(self.study.pretrain, self.where).config
        kinds = _kinds(open_bridge_sessions(config))
        plans = [
            (f"{kind} {part:g}", [f"masks.kind={kind}", f"masks.share={part}"])
            for kind in kinds
            for part in MASK_SHARES
            if kind != "whole_region"
        ]
        if "whole_region" in kinds:
            plans.append(("whole_region", ["masks.kind=whole_region"]))
        if self.study.categories:
            plans.append(("and categories", ["training.category_weight=0.5"]))
        if self.quick:
            plans = plans[:1] + plans[-2:]
        lines = [
            "## Masks",
            "",
            f"`{FROZEN}` from {100 * share:g} % of the labels, beside explained variance of what "
            "the pretraining hides: under masks of its own, so to be compared with the linear "
            "model's under the same.",
            "",
            *_header("masks", ["explained variance", "linear", "found"]),
        ]
        content: dict[str, Any] = {}
        for name, overrides in plans:
            folder = self.pretrained(name.replace(" ", "-"), *overrides)
            result = self.retrieved(f"masks-{name.replace(' ', '-')}", [FROZEN], folder, share)
            scores = [each["score"] for each in read_scores(folder).values()]
            model, linear = (_mean(scores, key) for key in ("model", "linear"))
            cells = [_number(model), _number(linear), "-"]
            content[name] = {"model": model, "linear": linear}
            if isinstance(result, RetrievalResult):
                found = estimate(result, FROZEN, common_metrics(result)[0])
                cells[-1] = _percent(found.value, found.low, found.high)
                content[name]["found"] = asdict(found)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return [*lines, ""], content


def _kinds(found: BridgeSessions) -> list[str]:
    """Return the kinds of masks that all recordings allow."""
    allowed = [
        applicable_kinds(each.areas, each.pairs.values[0, 0].size) for each in found.sessions
    ]
    kinds: list[str] = [kind for kind in KINDS if all(kind in some for some in allowed)]
    return [*kinds, "mixed"] if len(kinds) > 1 else kinds


def _mean(scores: Sequence[dict[str, Any]], key: str) -> float | None:
    """Return the mean over recordings; None where one has none."""
    if any(each[key] is None for each in scores):
        return None
    return sum(each[key]["value"] for each in scores) / len(scores)


def _header(first: str, names: Sequence[str]) -> list[str]:
    return [f"| {first} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]


def _percent(value: float, low: float, high: float, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return "{:{sign}.1f} [{:{sign}.1f}, {:{sign}.1f}]".format(
        100 * value, 100 * low, 100 * high, sign=sign
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
