"""From responses to drawn pictures and their scores, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from bridge_worlds import NUM_DIMENSIONS, embeddings_of, write_world
from diffusion_world import TOKEN_WIDTH, write_base, write_ip_adapter
from neurohorizon.cli.app import main
from neurohorizon.configs import reconstruction_rows
from neurohorizon.configs.reconstruction_judges import Judges, default_network, labels_of
from neurohorizon.configs.reconstruction_plan import ReconstructionPlan
from neurohorizon.configs.reconstruction_rows import slug
from neurohorizon.configs.run_embeddings import Reading, predict_rows
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.pictures.judge import Judge
from neurohorizon.evaluation.pictures.result_files import load_reconstruction
from neurohorizon.evaluation.pictures.summary import estimate
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.open import open_generator
from neurohorizon.imaging.layout import LayoutEncoder
from neurohorizon.imaging.pictures import open_pictures
from neurohorizon.imaging.stable_diffusion import find_base
from neurohorizon.models.pictures.files import load_adapter, save_adapter
from neurohorizon.models.pictures.judge import JudgeNetwork
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.simulate.ventral import VentralPlan, load_ventral_truth, write_ventral_stream
from neurohorizon.training.generator import flow_prior

NUM, TEST = 180, 30
ROWS = [
    "direct, from responses",
    "low-level path",
    "blended with the low-level path",
    "retrieved, moved to what is drawn",
    "retrieved picture",
    "mean of the 10 nearest",
    "random training picture of the category",
    "from true embeddings",
    "true pictures, as small",
    "mean training picture",
    "random training picture",
]


def draw(folder):
    """Draw pictures that show their embeddings: colours of four quarters."""
    folder.mkdir()
    shown = np.clip(128 + 60 * (embeddings_of(NUM) - 3), 0, 255).astype(np.uint8)
    for number, levels in enumerate(shown):
        quarters = levels.reshape(2, 2, 3)
        pixels = quarters.repeat(8, axis=0).repeat(8, axis=1)
        Image.fromarray(pixels).save(folder / f"picture{number:03d}.png")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    draw(folder / "pictures")
    hashes = open_pictures(folder / "pictures").hashes()
    write_world(folder, num_pictures=NUM, num_test=TEST, hashes=hashes)
    names = [f"picture{number:03d}.png" for number in range(TEST)]
    (folder / "test.txt").write_text("\n".join(names))
    return folder


@pytest.fixture(scope="module")
def run(world):
    words = ["model.rows=[ridge, encoding model]", "model.grey_rows=[]", "data.grey_bank=null"]
    words += ["data.source=null", "training.budget=2", "training.num_folds=2"]
    words += [f"data.recordings={world / 'recordings'}", f"data.bank={world / 'bank.npz'}"]
    assert main(["bridge", "align", "macaque-v4", *words, "--out", str(world / "run")]) == 0
    return world / "run"


def train(world, out, *more):
    words = ["--bank", str(world / "bank.npz"), "--out", str(out), "--size", "16"]
    words += ["--exclude", str(world / "test.txt"), "--batch-size", "32", *more]
    return main(["bridge", "train-generator", str(world / "pictures"), *words])


@pytest.fixture(scope="module")
def direct(world):
    path = world / "direct.safetensors"
    assert train(world, path, "--kind", "direct", "--steps", "100") == 0
    return path


def reconstruct(run, world, generator, *more):
    given = ["--generator", str(generator), "--pictures", str(world / "pictures")]
    return main(["bridge", "reconstruct", str(run), *given, *more])


def test_pictures_are_drawn_scored_and_kept(run, world, direct, capsys):
    assert reconstruct(run, world, direct, "--seeds", "1") == 0
    told = capsys.readouterr().out
    assert "direct, from responses" in told
    folder = run / "results" / "reconstruction" / "direct"
    result = load_reconstruction(folder / "scores")
    assert [row.name for row in result.rows] == ROWS
    gate = result.gates["direct"]
    assert gate.passed
    assert gate.network == "layout"
    assert gate.from_true.value > 0.95
    assert abs(gate.from_shuffled.value - 0.5) < 0.15

    def score(row, minus=None):
        return estimate(result, row, "layout two-way", minus=minus)

    assert score("direct, from responses").low > 0.7
    assert score("mean training picture").value == pytest.approx(0.5, abs=0.02)
    assert score("from true embeddings", minus="direct, from responses").above
    assert score("true pictures, as small").value == 1
    drawn = folder / "pictures" / "one"
    assert len(list((drawn / "direct-from-responses" / "0").glob("*.png"))) == TEST
    assert (drawn / "direct-from-responses.embeddings.npz").is_file()
    assert len(list((drawn / "retrieved-picture" / "0").glob("*.png"))) == TEST
    assert {each.name for each in (folder / "figures").glob("*.png")} == {
        "reconstruction_scores.png",
        "reconstruction_grid_one.png",
    }
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Oracle gate, direct: passed" in page
    assert page.count("data:image/png;base64") == 1
    assert f"report: {folder / 'index.html'}" in told
    summary = json.loads((folder / "scores" / "reconstruction.json").read_text())
    assert summary["differences_to"] == "retrieved picture"
    # Drawn again, nothing changes; a picture that is missing is drawn as it was.
    one = next((drawn / "direct-from-responses" / "0").glob("*.png"))
    before, when = one.read_bytes(), {path: path.stat().st_mtime_ns for path in drawn.rglob("0/*")}
    one.unlink()
    assert reconstruct(run, world, direct, "--seeds", "1", "--network", "layout") == 0
    assert load_reconstruction(folder / "scores").networks == result.networks
    assert one.read_bytes() == before
    kept = [path for path in when if "from-responses" in str(path) and path != one]
    assert all(path.stat().st_mtime_ns == when[path] for path in kept)


def test_a_generator_that_does_not_read_its_embedding_is_not_reported(run, world, tmp_path, capsys):
    path = tmp_path / "untrained.safetensors"
    assert train(world, path, "--kind", "direct", "--steps", "1", "--learning-rate", "1e-6") == 0
    folder = run / "results" / "reconstruction" / "untrained"
    for earlier in ("scores/scores.csv", "figures/grid.png", "index.html", "pictures/gate/kept"):
        (folder / earlier).parent.mkdir(parents=True, exist_ok=True)
        (folder / earlier).touch()
    assert reconstruct(run, world, path, "--seeds", "1") == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert "no result is reported, the oracle gate failed: two-way identification" in error
    # Nor does what another generator of that name was reported to draw stay beside its pictures.
    assert [each.name for each in folder.iterdir()] == ["pictures"]
    assert (folder / "pictures" / "gate" / "kept").is_file()


def test_bad_input_is_one_line(run, world, direct, tmp_path, capsys):
    def refused(told, *words, generator=direct, pictures=None):
        given = ["--generator", str(generator), "--pictures", str(pictures or world / "pictures")]
        assert main(["bridge", "reconstruct", str(run), *given, *words]) == 2
        *_, error = capsys.readouterr().err.splitlines()
        assert told in error

    refused("has no row 'MLP InfoNCE': there are", "--row", "MLP InfoNCE")
    refused("--other-row without --other-run", "--other-row", "ridge")
    refused("draws from 1 of the spaces of 2 runs", "--other-run", str(run))
    refused("a direct decoder, which knows no steps and no base", "--steps", "4", "--base", "x")
    refused("expected 1 or more", "--seeds", "0")
    refused("5 trials of each test picture: expected 1 to 4", "--trials", "5")
    refused("the network layout is named twice", "--network", "layout", "--network", "layout")
    refused("unknown image encoder 'alexnet'", "--network", "alexnet")
    refused("expected 2 or more, or 1 to leave it out", "--best-of", "0")
    refused("say of how many with --best-of", "--checkpoint", "small.safetensors")
    refused("no encoder that more pictures could be embedded by", "--best-of", "4")
    (tmp_path / "few").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "few" / "other.png")
    refused(f"{NUM} of {NUM} pictures are not there", pictures=tmp_path / "few")
    refused("no checkpoint there", generator=tmp_path / "nothing.safetensors")
    leaky = tmp_path / "leaky.safetensors"
    words = ["--bank", str(world / "bank.npz"), "--out", str(leaky), "--size", "16"]
    words += ["--kind", "direct", "--steps", "1", "--batch-size", "32"]
    assert main(["bridge", "train-generator", str(world / "pictures"), *words]) == 0
    refused(f"was trained on {TEST} of the {TEST} pictures that are tested on", generator=leaky)


def test_fewer_trials_tell_less(run, world, direct, monkeypatch):
    short = replace(flow_prior.SETTINGS, steps=40)
    quick = partial(flow_prior.fit_flow_prior, settings=short)
    monkeypatch.setattr(reconstruction_rows, "fit_flow_prior", quick)
    explained = {}
    for num_trials in (1, 2, 4, None):
        every = predict_rows(run, ["ridge"], num_trials=num_trials)
        training, test = every
        explained[num_trials] = test.score.explained
    assert explained[1] < explained[2] < explained[4] == explained[None]
    assert training.score == predict_rows(run, ["ridge"])[0].score
    given = ["--trials", "1", "--prior", "flow", "--low-level", "network", "--seeds", "2"]
    assert reconstruct(run, world, direct, *given) == 0
    results = run / "results" / "reconstruction"
    asked = "direct-flow-prior-1-trials-a-picture-low-level-network"
    few = load_reconstruction(results / asked / "scores")
    every = load_reconstruction(results / "direct" / "scores")
    for row in ("direct, from responses", "low-level path"):
        of_few, of_every = (estimate(each, row, "PixCorr").value for each in (few, every))
        assert of_few < of_every
    # A flow draws another embedding from each seed, and the direct decoder another picture.
    about = {row.name: row.about for row in few.rows}
    assert "convolutional decoder" in about["low-level path"]
    drawn = results / asked / "pictures" / "one" / "direct-from-responses"
    for one in (drawn / "0").glob("*.png"):
        assert one.read_bytes() != (drawn / "1" / one.name).read_bytes()
    assert (drawn.parent / "direct-from-responses-1.embeddings.npz").is_file()
    # A generator that learned from predictions is given them as they are.
    assert reconstruct(run, world, direct, "--row", "ridge", "--prior", "none", "--seeds", "1") == 0
    plain = results / "direct-no-prior" / "pictures" / "one"
    told = EmbeddingBank.load(plain / "direct-from-responses.embeddings")
    every = predict_rows(run, ["ridge"], readings=get_args(Reading))
    said = [each.bank.select(told.hashes) for each in every if each.part == "test"]
    assert any(np.array_equal(told.embeddings, each) for each in said)


@pytest.fixture(scope="module")
def other_run(world):
    """Bridges to another space, of the same recordings."""
    out = str(world / "layout.npz")
    assert (
        main(["data", "embed", str(world / "pictures"), "--encoder", "layout", "--out", out]) == 0
    )
    words = ["model.rows=[ridge]", "model.grey_rows=[]", "data.grey_bank=null"]
    words += ["data.source=null", "training.budget=2", "training.num_folds=2"]
    words += [f"data.recordings={world / 'recordings'}", f"data.bank={out}"]
    assert main(["bridge", "align", "macaque-v4", *words, "--out", str(world / "other")]) == 0
    return world / "other"


def test_a_flow_told_of_two_spaces_that_starts_at_pictures(
    run, other_run, world, direct, tmp_path, capsys
):
    flow = tmp_path / "flow.safetensors"
    begun = ["--start", str(direct), "--start-noise", "0.2", "--steps", "60"]
    assert train(world, flow, *begun, "--bank", str(world / "layout.npz")) == 0
    assert reconstruct(run, world, flow) == 2
    assert "flow.safetensors was made with other embeddings" in capsys.readouterr().err
    told = ["--other-run", str(run), "--seeds", "1", "--steps", "2", "--best-of", "3"]
    assert reconstruct(other_run, world, flow, *told) == 0
    folder = other_run / "results" / "reconstruction" / "flow"
    result = load_reconstruction(folder / "scores")
    names = [row.name for row in result.rows]
    assert names[:3] == ["flow, from responses", "flow, from responses, best of 3", "its start"]
    moved = "retrieved, moved to what is drawn"
    assert moved in names
    start, oracle, chance = (
        estimate(result, row, "pixels two-way").value
        for row in ("its start", "its start, from true embeddings", "mean training picture")
    )
    assert chance < start < oracle
    assert not (other_run / "results" / "embeddings").exists()  # of `bridge embed` alone
    # The best are among what there is to choose from, and it is said which they are.
    drawn = folder / "pictures" / "one"
    for row in ("flow, from responses", moved):
        best = drawn / slug(f"{row}, best of 3")
        chosen = json.loads((best / "chosen.json").read_text())
        assert len(chosen) == TEST
        assert set(chosen.values()) == {0, 1, 2}
        for one, number in chosen.items():
            candidate = drawn / slug(row) / str(number) / f"{one}.png"
            if candidate.is_file():  # of what was moved, the first alone
                assert (best / "0" / f"{one}.png").read_bytes() == candidate.read_bytes()


@pytest.fixture(scope="module")
def base(world):
    pytest.importorskip("diffusers")
    return write_base(world / "base", clear=True)


@pytest.fixture(scope="module")
def adapter(world, base):
    network = TokenAdapter(
        num_dimensions=NUM_DIMENSIONS, num_outputs=TOKEN_WIDTH, num_tokens=2, width=32
    )
    made = {"base": find_base(base).digest, "size_px": 64}
    needs = Fingerprint("made up").to_json()
    save_adapter(network, world / "adapter.safetensors", needs=needs, **made)
    return world / "adapter.safetensors"


def test_a_diffusion_starts_at_what_the_embedding_retrieves(run, world, base, adapter):
    words = ["--base", str(base), "--start", "retrieved", "--strength", "0.1", "--steps", "10"]
    words += ["--seeds", "1", "--scheduler", "ddim", "--guidance", "1"]
    assert reconstruct(run, world, adapter, *words) == 0
    folder = run / "results" / "reconstruction" / "adapter"
    result = load_reconstruction(folder / "scores")
    assert [row.name for row in result.rows] == ["adapter, from responses", *ROWS[1:]]
    told = {row.name: row.about for row in result.rows}
    for row in ("adapter, from responses", "from true embeddings"):
        assert told[row].endswith(", started at the retrieved picture")
    # The denoiser knows nothing, the start alone shows a picture: shuffled embeddings are at chance
    # because they retrieve others.
    gate = result.gates["adapter"]
    assert gate.passed
    assert abs(gate.from_shuffled.value - 0.5) < 0.1
    shown = folder / "pictures" / "one"
    drawn, starts = (
        [np.asarray(Image.open(each)).astype(float) for each in sorted(where.glob("0/*.png"))]
        for where in (shown / "adapter-from-responses", shown / "retrieved-picture")
    )
    assert {each.shape for each in (*drawn, *starts)} == {(64, 64, 3)}
    like = [np.corrcoef(*map(np.ravel, pair))[0, 1] for pair in zip(drawn, starts, strict=True)]
    unlike = [
        np.corrcoef(*map(np.ravel, pair))[0, 1] for pair in zip(drawn[1:], starts[:-1], strict=True)
    ]
    assert np.mean(like) > 0.8
    assert np.mean(unlike) < 0.4
    assert (folder / "index.html").is_file()


def test_true_embeddings_are_not_helped_by_what_responses_drew(run, world, base, adapter, capsys):
    words = ["--base", str(base), "--start", "low-level", "--strength", "0.5", "--steps", "2"]
    # That start would show the picture whatever the embedding says; from noise nothing does.
    assert reconstruct(run, world, adapter, *words, "--seeds", "1") == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert "no result is reported, the oracle gate failed: two-way identification" in error
    gate = run / "results" / "reconstruction" / "adapter" / "pictures" / "gate"
    for each in ("true", "shuffled-0"):
        made = json.loads((gate / each / "made_by.json").read_text())
        assert json.loads(made["generator"])["settings"]["strength"] is None


def test_an_adapter_trained_end_to_end_draws_from_responses(run, world, base, tmp_path, capsys):
    out = tmp_path / "heard.safetensors"
    words = ["--bank", str(world / "bank.npz"), "--base", str(base), "--out", str(out)]
    words += ["--size", "64", "--tokens", "2", "--batch-size", "4", "--run", str(run)]
    words += ["--exclude", str(world / "test.txt")]

    def fit(*more):
        return main(["bridge", "train-adapter", str(world / "pictures"), *words, *more])

    capsys.readouterr()
    assert fit("--steps", "1") == 0
    assert f"trained on {NUM - TEST} pictures, {TEST} left out" in capsys.readouterr().out
    assert fit("--steps", "1") == 0
    assert "is trained already" in capsys.readouterr().out
    given = ["--base", str(base), "--start", "retrieved", "--strength", "0.1", "--steps", "10"]
    given += ["--seeds", "1", "--scheduler", "ddim", "--guidance", "1"]
    assert reconstruct(run, world, out, *given) == 0
    folder = run / "results" / "reconstruction" / "heard"
    rows = {row.name: row.about for row in load_reconstruction(folder / "scores").rows}
    assert rows["heard, from responses"].startswith("from responses, end to end")
    told = EmbeddingBank.load(folder / "pictures" / "one" / "heard-from-responses.embeddings")
    true = EmbeddingBank.load(world / "bank.npz").select(told.hashes)
    # One step from a ridge regression: what it hears is near to the truth.
    assert np.corrcoef(told.embeddings.ravel(), true.ravel())[0, 1] > 0.8

    def refused(told, *more, verb=reconstruct):
        line = verb(*more) if verb is fit else verb(run, world, out, *given, *more)
        assert line == 2
        *_, error = capsys.readouterr().err.splitlines()
        assert told in error

    refused("reads responses: there is no prediction", "--prior", "flow")
    refused("has no recording two: there are one", "--recording", "two", verb=fit)
    said = predict_rows(run, ["ridge"])[0].bank
    said.save(tmp_path / "said")
    words[1] = str(tmp_path / "said.npz")
    refused("hears the responses themselves", verb=fit)
    words[1] = str(world / "bank.npz")
    saved = load_adapter(out)
    assert saved.head is not None
    made = {"base": saved.base, "size_px": 64, "needs": saved.needs}
    saved.head.recording = "two"
    save_adapter(saved.network, out, head=saved.head, **made)
    refused("trained end to end with responses of two, and the run has one: draw from a run of two")
    saved.head.recording, saved.head.units = "one", "others"
    save_adapter(saved.network, out, head=saved.head, **made)
    refused("of other electrodes or bins than the")
    words.remove("--run")
    words.remove(str(run))
    refused("--recording without --run", "--recording", "one", verb=fit)


def test_bad_input_of_adapters_is_one_line(run, world, base, adapter, tmp_path, capsys):
    def refused(told, *words, generator=adapter, through=base):
        given = [] if through is None else ["--base", str(through)]
        assert reconstruct(run, world, generator, *given, *words) == 2
        *_, error = capsys.readouterr().err.splitlines()
        assert told in error

    refused("draws through Stable Diffusion: give its base, a folder or a hub id", through=None)
    refused("expected were the files unet/config.json, unet/diffusion_", through=tmp_path)
    refused("tried was the hub id no/body, that of Stable Diffusion 1.5 is", through="no/body")
    refused("through another diffusion model", through=write_base(tmp_path / "other", seed=1))
    refused("strength is 0.5 without a start", "--strength", "0.5")
    refused("size_px is 100: expected a multiple of 64", "--size", "100")
    refused("offload moves parts off a GPU, and the device is cpu", "--offload")
    refused("draws from 1 of the spaces of 2 runs", "--other-run", str(run))
    network = TokenAdapter(num_dimensions=5, num_outputs=TOKEN_WIDTH, num_tokens=2, width=32)
    of_others = tmp_path / "of_others.safetensors"
    made = {"base": find_base(base).digest, "size_px": 64, "needs": Fingerprint("other").to_json()}
    save_adapter(network, of_others, **made)
    refused("was made with other embeddings: encoder other against made", generator=of_others)
    prompt = write_ip_adapter(tmp_path / "ip-adapter_sd15.safetensors", base)
    refused("embeddings of clip-vit-h14, the bank holds None ones of made up", generator=prompt)
    assert not (run / "results" / "reconstruction" / "of_others").exists()


def test_what_made_the_embeddings_does_not_judge_them(run, world, direct):
    generator = open_generator(direct)
    assert default_network(generator).name == "layout"
    generator.needs = LayoutEncoder().fingerprint
    assert default_network(generator).name == "pixels"


def test_a_judge_is_asked_what_it_is_right_about(tmp_path):
    world = VentralPlan(
        num_categories=12, images_per_category=2, num_test=6, num_repeats=2, size_px=32
    )
    write_ventral_stream(world, tmp_path)
    truth = load_ventral_truth(tmp_path)
    pictures = open_pictures(tmp_path / "object_images")
    bank = EmbeddingBank(
        np.eye(len(pictures), dtype=np.float32),
        pictures.hashes(),
        pictures.names,
        Fingerprint("made up"),
    )
    # A judge with its words in another order.
    words = {name: truth["words"][name].tolist()[::-1] for name in ("shape", "texture")}
    accuracy = json.dumps({"shape": 0.95, "texture": 0.14})
    judge = Judge(JudgeNetwork(words), about={"accuracy": accuracy})
    plan = ReconstructionPlan(tmp_path / "none", [tmp_path])
    codes = labels_of(judge, plan, bank, bank.hashes)
    assert list(codes) == ["shape"]
    row_of = {name: row for row, name in enumerate(truth["image"]["path"].tolist())}
    for name, code in zip(bank.names, codes["shape"], strict=True):
        right = truth["words"]["shape"][truth["image"]["shape"][row_of[name]]]
        assert judge.words["shape"][code] == right
    assert Judges([judge], judge, codes).notes() == [
        "texture is not scored: the judge is right about 14 % of true pictures"
    ]
    assert labels_of(None, plan, bank, bank.hashes) == {}
    with pytest.raises(ConfigError, match="--judge is for the pictures of a drawn world"):
        labels_of(judge, replace(plan, places=[tmp_path / "nowhere"]), bank, bank.hashes)
    # Published numbers are not of drawn pictures, nor of another number.
    told = replace(plan, reported="tvsd")
    with pytest.raises(ConfigError, match="these are drawn ones"):
        told.reported_rows([100])
    photographs = replace(told, places=[tmp_path / "photographs"])
    with pytest.raises(ConfigError, match="of 100 test pictures, and these are 30 others"):
        photographs.reported_rows([30])
    assert [row.name for row in photographs.reported_rows([100, 100])] == [
        "TVSD, published",
        "MonkeySee, published",
    ]
    assert not plan.reported_rows([30])
