"""The table of predicted embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from neurohorizon.evaluation.retrieval.predicted import PredictionScore, Share

_PARTS = {"out_of_fold": "training, out of fold", "test": "test"}


def format_predictions(rows: Sequence[tuple[str, str, str, PredictionScore]]) -> str:
    """Return predicted embeddings' scores as text, by recording.

    Parameters
    ----------
    rows : sequence of (recording, row, part, score)
        Part is "out_of_fold" or "test".
    """
    lines = []
    wide = max(len(row) for _, row, _, _ in rows)
    for recording in dict.fromkeys(each[0] for each in rows):
        lines += [
            recording,
            f"  {'':{wide}}  {'':21}  {'pictures':>8}  {'cosine, own':>13}  {'another':>7}  "
            f"{'variance explained':>18}  {'two-way':>13}  {'nearest':>20}",
        ]
        for _, row, part, score in (each for each in rows if each[0] == recording):
            nearest = f"{_percent(score.top)} of {score.gallery}"
            lines.append(
                f"  {row:{wide}}  {_PARTS[part]:21}  {score.num_pictures:8,}  "
                f"{score.right.value:6.3f} ± {score.right.error:.3f}  {score.other.value:7.3f}  "
                f"{score.explained:18.3f}  {_percent(score.two_way):>13}  {nearest:>20}"
            )
    lines.append("± one standard error over pictures; chance: two-way 50 %, nearest 1 in so many")
    return "\n".join(lines)


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ± {100 * share.error:.1f} %"
