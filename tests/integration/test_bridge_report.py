"""The page of a run of bridges, through the command line."""

from __future__ import annotations

import base64
import csv
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from bridge_worlds import write_world
from neurohorizon.cli.app import main
from neurohorizon.configs.run_retrieval_views import load_retrieval_views
from neurohorizon.evaluation.pictures.result_files import save_reconstruction
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.result_files import load_retrieval, load_summary
from neurohorizon.recordings.pictures import picture_hash
from picture_results import make_picture_result

NUM_PICTURES, NUM_TEST = 100, 36
SMALL = [
    "model.rows=[ridge,encoding model,linear InfoNCE]",
    "model.grey_rows=[ridge]",
    "data.source=null",
    "training.budget=2",
    "training.num_folds=2",
    "training.num_seeds=2",
    "training.max_steps=20",
]


def drawn(number):
    """Return a picture that no other is."""
    return np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Write a world whose pictures are files: half of them in a folder, half in an archive."""
    folder = tmp_path_factory.mktemp("world")
    hashes = [picture_hash(drawn(number)) for number in range(NUM_PICTURES)]
    write_world(
        folder,
        names=("one", "two"),
        num_pictures=NUM_PICTURES,
        num_test=NUM_TEST,
        hashes=hashes,
        num_categories=4,
    )
    (folder / "pictures").mkdir()
    with zipfile.ZipFile(folder / "pictures" / "rest.zip", "w") as archive:
        for number in range(NUM_PICTURES):
            file = folder / "pictures" / f"picture{number}.png"
            Image.fromarray(drawn(number)).save(file)
            if number % 2:
                archive.write(file, f"other name {number}.png")
                file.unlink()
    return folder


@pytest.fixture(scope="module")
def run(world):
    bank = world / "bank.npz"
    data = [f"data.recordings={world / 'recordings'}", f"data.bank={bank}"]
    data.append(f"data.grey_bank={bank}")
    words = ["bridge", "align", "macaque-v4", *SMALL, *data, "--out", str(world / "run")]
    assert main(words) == 0
    write_reconstruction(world / "run" / "results" / "reconstruction" / "tiny")
    # Nothing was scored yet: the page does it.
    places = [str(world / "pictures" / "rest.zip"), "--pictures", str(world / "pictures")]
    assert main(["report", str(world / "run"), "--pictures", *places]) == 0
    return world / "run"


def write_reconstruction(folder):
    """Write what `bridge reconstruct` leaves: scores, a page, and a grid."""
    save_reconstruction(make_picture_result({"one": 40}), folder / "scores")
    (folder / "index.html").write_text("")
    (folder / "figures").mkdir()
    Image.fromarray(drawn(0)).save(folder / "figures" / "reconstruction_grid_one.png")
    for kind in ("svg", "csv"):
        (folder / "figures" / f"reconstruction_grid_one.{kind}").write_text("")


def test_the_page_shows_what_was_drawn_and_where_more_of_it_is(run):
    page = (run / "report" / "index.html").read_text()
    assert '<h2 id="drawn">' in page
    link = "../results/reconstruction/tiny/index.html"
    assert f'href="{link}"' in page
    assert (run / "report" / link).is_file()
    copied = run / "report" / "figures" / "tiny_reconstruction_grid_one.png"
    assert base64.b64encode(copied.read_bytes()).decode() in page


def read(run, name):
    with (run / "report" / "figures" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_page_holds_every_section(run):
    page = (run / "report" / "index.html").read_text()
    for part in ("scores", "recordings", "ranks", "trials", "pictures", "categories"):
        assert f'<h2 id="{part}">' in page
    for part in ("similarity", "units", "tuning", "provenance"):
        assert f'<h2 id="{part}">' in page
    assert '<h2 id="regions">' not in page, "nothing was scored by region"
    assert "finds the one that was seen" in page
    assert "excludes 0" in page or "does not exclude 0" in page
    assert page.count("data:image/png;base64,") == 5, "two grids, two matrices, what was drawn"
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "ridge, grey pictures" in page
    names = {each.stem for each in (run / "report" / "figures").glob("*.csv")}
    for name in ("scores", "recordings", "ranks", "trials", "pairs", "reliability", "tuning"):
        assert f"retrieval_{name}" in names
        assert (run / "report" / "figures" / f"retrieval_{name}.svg").is_file()


def test_numbers_beside_figures_are_those_of_the_results(run):
    results = run / "results" / "retrieval"
    summary = load_summary(results)
    told = {(row["row"], row["looked_for"]): row for row in summary["rows"]}
    table = read(run, "retrieval_scores")
    assert {(row["row"], row["looked_for"]) for row in table} == set(told)
    for row in table:
        expected = told[row["row"], row["looked_for"]][row["metric"]]
        assert [float(row[key]) for key in ("value", "low", "high")] == pytest.approx(
            [expected[key] for key in ("value", "low", "high")]
        )
    for row in read(run, "retrieval_recordings"):
        expected = told[row["row"], "picture"]["recordings"][row["recording"]][row["metric"]]
        assert float(row["value"]) == pytest.approx(expected["value"])
    result, _ = load_retrieval(results)
    better = result.better["encoding model", "two", "picture"]
    curve = [
        float(row["share"])
        for row in read(run, "retrieval_ranks")
        if row["panel"] == "two" and row["row"] == "encoding model"
    ]
    assert curve == pytest.approx([np.mean(better < first) for first in range(1, NUM_TEST + 1)])
    tried = read(run, "retrieval_tuning")
    assert len(tried) == 2 * 4 * 2, "recordings, rows, candidates"
    assert sum(int(row["chosen"]) for row in tried) == 2 * 4
    assert len(read(run, "retrieval_categories")) == 4


def test_similarities_are_those_that_were_scored(run):
    views = load_retrieval_views(run)
    result, _ = load_retrieval(run / "results" / "retrieval")
    for row in ("ridge", "encoding model", "linear InfoNCE", "ridge, grey pictures"):
        found = views.similarity(row, "one")
        counted = count_better(found.values, np.arange(NUM_TEST))
        assert counted == pytest.approx(result.better[row, "one", "picture"][0]), row
    assert set(views.areas) == {"one", "two"}


def test_grids_are_of_the_pictures_that_the_rule_names(run):
    views = load_retrieval_views(run)
    table = read(run, "retrieval_grid_two")
    found = views.similarity(table[0]["row"], "two")
    place = {name: number for number, name in enumerate(found.hashes.tolist())}
    better = count_better(found.values, np.arange(NUM_TEST))
    order = sorted(range(NUM_TEST), key=lambda each: (better[each], found.hashes[each]))
    seen = list(dict.fromkeys(row["seen"] for row in table))
    assert [place[each] for each in seen[:3]] == order[:3]
    assert [place[each] for each in seen[-3:]] == order[-3:]
    for one in seen:
        rows = [row for row in table if row["seen"] == one]
        best = np.argsort(-found.values[place[one]], kind="stable")[:5]
        assert [place[row["found"]] for row in rows] == best.tolist()
        assert [int(row["right"]) for row in rows] == [int(b == place[one]) for b in best]


def test_a_second_page_needs_neither_pictures_nor_recordings(run, world, tmp_path, capsys):
    moved = tmp_path / "run"
    shutil.copytree(run, moved)
    assert main(["report", str(moved), "--out", str(tmp_path / "page" / "again.html")]) == 0
    page = (tmp_path / "page" / "again.html").read_text()
    assert "--pictures FOLDER_OR_ZIP" in page
    assert page.count("data:image/png;base64,") == 3, "matrices, what was drawn, no grids"
    assert "rows scored" not in capsys.readouterr().err, "nothing is scored again"
    again = main(["report", str(run), "--pictures", str(world / "pictures" / "rest.zip")])
    assert again == 2, "half of the pictures are elsewhere"
    assert "pictures that are to be shown" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("results/retrieval/retrieval.json", "{}", "bridge retrieve"),
        ("results/retrieval/retrieval.json", "{", "bridge retrieve"),
        ("results/retrieval/retrieval.json", None, "bridge retrieve"),
        ("results/retrieval/retrieval.npz", "nothing", "bridge retrieve"),
        ("results/retrieval/two.places.npz", None, "bridge retrieve"),
        ("bridges/one/ridge/tuning.json", '{"tried": 3}', "fit the row again"),
    ],
)
def test_damage_is_one_line(run, tmp_path, capsys, name, content, told):
    damaged = tmp_path / "run"
    shutil.copytree(run, damaged)
    if content is None:
        (damaged / name).unlink()
    else:
        (damaged / name).write_text(content)
    assert main(["report", str(damaged)]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert told in error
    assert name.rpartition("/")[2] in error


def test_the_option_is_for_bridges_alone(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--pictures", str(tmp_path)]) == 2
    assert "--pictures is for runs of bridges" in capsys.readouterr().err
