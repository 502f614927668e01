"""What conditions are worth, as a user asks: permuted, withheld, and trained without."""

import pytest

from neurohorizon.cli.app import main
from neurohorizon.evaluation.run_results import load_run_results
from overrides import SMALL_RUN


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("driven")
    data = f"data.folder={folder / 'simulated'}"
    small = [words for words in SMALL_RUN if "observer" not in words]
    for name, words in (("both", []), ("blind", ["conditions.behavior=[]"])):
        command = ["train", "driven", *small, data, *words, "--out", str(folder / name)]
        assert main(command) == 0
    return folder


def test_a_run_trained_without_is_set_beside_the_others(runs, capsys, only_error):
    command = ["evaluate", str(runs / "both"), "--set", "held-out"]
    assert main([*command, "--without-behavior", str(runs / "blind")]) == 0
    assert "behaviour retrained" in capsys.readouterr().out
    (found,) = load_run_results(runs / "both" / "results").sets["held-out"].contributions
    assert list(found.way) == ["permuted", "withheld"] * 2 + ["retrained"]
    assert main(["report", str(runs / "both")]) == 0
    page = (runs / "both" / "report" / "index.html").read_text()
    assert "behaviour retrained, after a picture" in page
    capsys.readouterr()
    assert main([*command, "--without-images", str(runs / "blind")]) == 2
    assert "was trained with images: name one that was not" in only_error()
    other = ["evaluate", str(runs / "blind"), "--without-behavior", str(runs / "both")]
    assert main(other) == 2
    assert "reads no behavior" in only_error()
