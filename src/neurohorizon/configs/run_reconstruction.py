"""Draw what was seen from the responses of a run, and score what was drawn.

A run folder holds, besides what `align` wrote::

    results/reconstruction/NAME/pictures/RECORDING/ROW/SEED/HASH.png   every picture that was drawn
    results/reconstruction/NAME/pictures/RECORDING/ROW.embeddings.npz  what it was drawn from
    results/reconstruction/NAME/pictures/RECORDING/ROW/chosen.json     of the best of several, which
    results/reconstruction/NAME/scores/                                scores, see `result_files`

NAME is that of the generator's file, with what else was asked: another prior, fewer trials.
``gate``, beside the recordings, holds what the gate judged: ``true``, and ``shuffled-0`` and so on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neurohorizon.configs.reconstruction_judges import Judges, features_of
from neurohorizon.configs.reconstruction_pictures import RunPictures
from neurohorizon.configs.reconstruction_plan import ReconstructionPlan, Sources, open_ranking
from neurohorizon.configs.reconstruction_rows import TRUE_EMBEDDING, RowDrawer, hashes_of, slug
from neurohorizon.configs.reconstruction_starts import Starts
from neurohorizon.configs.run_bridges import open_finished
from neurohorizon.configs.run_end_to_end import require_heard
from neurohorizon.configs.run_retrieval import case_of
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.pictures.distributions import DistributionScore, distribution_scores
from neurohorizon.evaluation.pictures.features import FeatureNetwork
from neurohorizon.evaluation.pictures.gate import (
    OracleGate,
    oracle_gate,
    require_passed,
    shuffled_order,
)
from neurohorizon.evaluation.pictures.result_files import (
    RECONSTRUCTION,
    SCORES_FOLDER,
    save_reconstruction,
)
from neurohorizon.evaluation.pictures.results import PictureMetric, ReconstructionResult
from neurohorizon.evaluation.run_results import RESULTS_FOLDER
from neurohorizon.imaging.generators.drawn import draw_to_folder, is_drawn_by
from neurohorizon.imaging.generators.generator import Generator
from neurohorizon.imaging.generators.open import open_generator
from neurohorizon.imaging.generators.stable_diffusion import StableDiffusionGenerator
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.recordings.schema import FloatArray

Progress = Callable[[str, int, int], None]
PICTURES, GATE = "pictures", "gate"
#: Pictures that the gate looks at, at most.
MOST_GATED = 300
#: Orders of shuffled embeddings: one alone may put like beside like, or beside unlike.
NUM_ORDERS = 3


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """What `reconstruct_run` found.

    Parameters
    ----------
    result : ReconstructionResult
    row : str
        Whose embeddings were drawn from.
    seen : dict of str to list of picture
        By recording.
    drawn : dict of (recording, row) to list of picture
        Of the first seed.
    folder : Path
    """

    result: ReconstructionResult
    row: str
    seen: dict[str, list[Pixels]]
    drawn: dict[tuple[str, str], list[Pixels]]
    folder: Path


def reconstruct_run(
    folder: Path, plan: ReconstructionPlan, *, progress: Progress | None = None
) -> Reconstructed:
    """Draw the test pictures of a run from the responses to them, and score what was drawn.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If something does not fit together, pictures are missing, or the generator fails the
        oracle gate: then nothing is reported.
    """
    run, found = open_finished(folder)
    generator = open_generator(
        plan.generator,
        device=plan.device,
        settings=plan.drawing,
        embeddings=found.bank.fingerprint,
    )
    name = plan.generator.stem
    hashes = sorted({one for each in found.sessions for one in hashes_of(each, "test")})
    _require_unseen(generator, hashes, plan.generator)
    head = generator.head if isinstance(generator, StableDiffusionGenerator) else None
    if head is not None:
        require_heard(head, found.sessions, what=str(plan.generator))
        if plan.prior != "ridge":
            raise ConfigError(
                f"{plan.generator}: was trained end to end, and reads responses: there is no "
                "prediction that a prior could map: leave --prior out"
            )
    judges = Judges.open(plan, generator, found.bank, hashes)
    reported = plan.reported_rows([len(hashes_of(each, "test")) for each in found.sessions])
    ranking = open_ranking(plan, found.bank)
    sources = Sources.of(folder, plan, generator, progress)
    for bank in sources.true:
        bank.check_unseen([one for one in hashes if one in bank])
    train = {one for each in found.sessions for one in hashes_of(each, "train")} - set(hashes)
    pictures = RunPictures.find(
        plan.places, found.bank, {*hashes, *train}, size_px=generator.size_px, progress=progress
    )
    seen = pictures.read(hashes)
    asked = {"ridge": "", "flow": ", flow prior", "none": ", no prior"}[plan.prior]
    asked += "" if plan.num_trials is None else f", {plan.num_trials} trials a picture"
    asked += "" if plan.low_level == "ridge" else f", low-level {plan.low_level}"
    into = folder / RESULTS_FOLDER / RECONSTRUCTION / (name + slug(asked))
    starts = Starts(plan.drawing.start, generator, sources.true[0], sorted(train), plan.places)
    drawer = RowDrawer(
        name=name,
        generator=generator,
        sources=sources,
        pictures=pictures,
        starts=starts,
        num_seeds=plan.num_seeds,
        folder=into / PICTURES,
        prior=plan.prior,
        low_level=plan.low_level,
        num_trials=plan.num_trials,
        head=head,
        ranking=ranking,
    )
    true, begun = drawer.true(hashes), starts.of_true(hashes)
    drawn_true = into / PICTURES / GATE / "true"
    if not is_drawn_by(starts.judged, true, hashes, drawn_true, starts_ISS3=begun):
        _forget_result(into)
    oracle = draw_to_folder(
        starts.judged,
        true,
        hashes,
        drawn_true,
        num_seeds=plan.num_seeds,
        starts_ISS3=begun,
        progress=progress,
    )
    gate = _gate(drawer, judges.first, hashes, seen, oracle, progress)
    require_passed(gate, str(plan.generator))
    row_of = {one: number for number, one in enumerate(hashes)}
    scores: dict[tuple[str, str, str], FloatArray] = {}
    metrics: dict[str, PictureMetric] = {}
    distributions: dict[tuple[str, str, str], DistributionScore] = {}
    drawn: dict[tuple[str, str], list[Pixels]] = {}
    truth: dict[str, list[Pixels]] = {}
    for session in found.sessions:
        recording, test = session.pairs.id, hashes_of(session, "test")
        mine = drawer.draw(session, progress=progress)
        mine[TRUE_EMBEDDING] = [[each[row_of[one]] for one in test] for each in oracle]
        truth[recording] = [seen[one] for one in test]
        true_features = judges.see(truth[recording])
        rows = [row_of[one] for one in test]
        for number, (each, by_seed) in enumerate(mine.items()):
            found_here, features = judges.score(by_seed, truth[recording], true_features, rows)
            for metric, values in found_here.items():
                metrics.setdefault(metric.name, metric)
                scores[each, recording, metric.name] = values
            for what, score in distribution_scores(features, true_features[0]).items():
                distributions[each, recording, what] = score
            drawn[recording, each] = by_seed[0]
            if progress:
                progress(f"{recording}: rows scored", number + 1, len(mine))
    there = {each for each, *_ in scores}
    told = f"what {sources.row} predicts" if head is None else "responses, end to end"
    result = ReconstructionResult(
        title=f"{run.config.run.name}: drawn by {name} from {told}{asked}",
        rows=[each for each in drawer.rows() if each.name in there],
        cases=[
            replace(case, notes=(*case.notes, *judges.notes()))
            for case in map(case_of, found.sessions)
        ],
        metrics=list(metrics.values()),
        scores=scores,
        distributions=distributions,
        networks=judges.fingerprints,
        gates={name: gate},
        reported=reported,
    )
    save_reconstruction(result, into / SCORES_FOLDER)
    return Reconstructed(result, sources.row, truth, drawn, into)


def _gate(
    drawer: RowDrawer,
    network: FeatureNetwork,
    hashes: Sequence[str],
    seen: Mapping[str, Pixels],
    oracle: Sequence[Sequence[Pixels]],
    progress: Progress | None,
) -> OracleGate:
    """Judge what is drawn from true and from shuffled embeddings."""
    every = range(len(hashes))
    rows = every[:: -(-len(every) // MOST_GATED)]
    some = [hashes[row] for row in rows]
    shuffled = []
    for order in range(NUM_ORDERS):
        moved = [some[each] for each in shuffled_order(len(some), seed=order).tolist()]
        shuffled += draw_to_folder(
            drawer.starts.judged,
            drawer.true(moved),
            some,
            drawer.folder / GATE / f"shuffled-{order}",
            starts_ISS3=drawer.starts.of_true(moved),
            progress=progress,
        )
    truth = features_of(network, [seen[one] for one in some])
    return oracle_gate(
        truth,
        [features_of(network, [each[row] for row in rows]) for each in oracle],
        [features_of(network, each) for each in shuffled],
        network=network.fingerprint,
        conditioning=drawer.generator.needs,
    )


def _forget_result(folder: Path) -> None:
    """Take away what an earlier generator of the same name was reported to draw."""
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.is_dir() and each.name != PICTURES:
            shutil.rmtree(each)
        elif each.is_file():
            each.unlink()


def _require_unseen(generator: Generator, hashes: Sequence[str], path: Path) -> None:
    known = generator.known & set(hashes)
    if known:
        raise DataError(
            f"{path}: was trained on {len(known)} of the {len(hashes)} pictures that are tested on "
            "here: train it without them (--exclude)"
        )
