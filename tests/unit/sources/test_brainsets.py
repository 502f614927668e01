import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import nlb_world
from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.recordings.schema import Split
from neurohorizon.sources import allen_ophys, brainsets, nlb, perich_miller

pytest.importorskip("pynwb")
PERICH = "perich_miller_population_2018"
ALLEN = "allen_visual_coding_ophys_2016"


def make_pipeline(folder, monkeypatch, text):
    """Put a pipeline where torch_brain's would be."""
    folder.mkdir()
    (folder / "pipeline.py").write_text(text)
    monkeypatch.setattr(brainsets, "pipeline_folder", lambda name: folder)
    return folder


class TestLoading:
    def test_the_class_is_torch_brains(self):
        from torch_brain.pipeline import BrainsetPipeline

        pipeline = brainsets.load_pipeline(PERICH)
        assert issubclass(pipeline, BrainsetPipeline)
        assert pipeline.brainset_id == PERICH

    def test_each_call_gives_its_own(self):
        first = brainsets.load_pipeline(PERICH)
        first.dandiset_id = "changed"
        assert brainsets.load_pipeline(PERICH).dandiset_id == "DANDI:000688/draft"

    def test_unknown(self):
        with pytest.raises(DataError, match=r"nobody_2000: torch_brain has no such pipeline"):
            brainsets.load_pipeline("nobody_2000")

    def test_a_library_that_cannot_live_here(self):
        if "allensdk" in sys.modules:
            pytest.skip("AllenSDK is installed")
        with pytest.raises(DataError, match=f"needs allensdk.*run `brainsets prepare {ALLEN}`"):
            brainsets.load_pipeline(ALLEN)

    def test_a_library_of_an_extra(self, tmp_path, monkeypatch):
        make_pipeline(tmp_path / "p", monkeypatch, "import dandi.api_of_the_future\n")
        with pytest.raises(MissingExtraError, match=r"dandi is needed .*neurohorizon\[nwb\]"):
            brainsets.load_pipeline("p")

    def test_modules_beside_it_are_found_and_forgotten(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "split", kept := type(sys)("split"))
        folder = make_pipeline(
            tmp_path / "p",
            monkeypatch,
            "from split import NUMBER\nclass Pipeline: found = NUMBER\n",
        )
        (folder / "split.py").write_text("NUMBER = 7\n")
        before = list(sys.path)
        assert brainsets.load_pipeline("p").found == 7
        assert sys.modules["split"] is kept
        assert sys.path == before


class TestConverting:
    def test_nothing_is_left_and_nothing_printed(self, tmp_path, monkeypatch, capfd):
        path, trains, _ = nlb_world.write_perich(tmp_path)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        recording = brainsets.convert_file(PERICH, path, link_name="CO.nwb", not_in_path="QQ")
        assert not list(scratch.iterdir())
        assert capfd.readouterr().out == ""
        assert not isinstance(recording.spike_times, np.memmap)
        assert len(recording.spike_times) == sum(len(times) for times in trains)

    def test_where_links_cannot_be_made_the_file_is_copied(self, tmp_path, monkeypatch):
        path, trains, _ = nlb_world.write_perich(tmp_path)

        def refuse(self, target):
            raise OSError("not allowed")

        monkeypatch.setattr(Path, "symlink_to", refuse)
        recording = brainsets.convert_file(PERICH, path, link_name="CO.nwb", not_in_path="QQ")
        assert recording.num_units == len(trains)
        assert path.is_file()

    def test_a_scratch_folder_that_would_mislead_the_pipeline(self, tmp_path, monkeypatch):
        path, _, _ = nlb_world.write_perich(tmp_path)
        (tmp_path / "CO").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "CO"))
        with pytest.raises(DataError, match="set TMPDIR to a folder without it"):
            brainsets.convert_file(PERICH, path, link_name="RT.nwb", not_in_path="CO")

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            brainsets.convert_file(PERICH, tmp_path / "a", link_name="a", not_in_path="CO")

    def test_no_nwb(self, tmp_path):
        (tmp_path / "a.nwb").write_text("words")
        with pytest.raises(DataError, match=f"pipeline {PERICH} cannot read it") as caught:
            brainsets.convert_file(PERICH, tmp_path / "a.nwb", link_name="a", not_in_path="CO")
        assert "\n" not in str(caught.value)

    def test_a_pipeline_that_skips_a_file(self, tmp_path, monkeypatch):
        make_pipeline(
            tmp_path / "p",
            monkeypatch,
            "from argparse import ArgumentParser\n"
            "class Pipeline:\n"
            "    brainset_id, parser = 'p', ArgumentParser()\n"
            "    def __init__(self, **arguments): pass\n"
            "    def process(self, path): self.update_status('skipped')\n",
        )
        pipeline = brainsets.load_pipeline("p")
        with pytest.raises(DataError, match="made no recording of it; leave it out"):
            brainsets.process(pipeline, "x", tmp_path / "out", where="x")
        assert not list((tmp_path / "out").iterdir())


class TestManifest:
    def test_without_dandi(self, tmp_path, monkeypatch):
        from torch_brain.utils import dandi

        monkeypatch.setattr(dandi, "DANDI_AVAILABLE", False)
        with pytest.raises(MissingExtraError, match=r"dandi is needed .*neurohorizon\[nwb\]"):
            brainsets.list_manifest(brainsets.load_pipeline(PERICH), tmp_path)

    def test_an_archive_that_does_not_answer(self, tmp_path, monkeypatch):
        pipeline = brainsets.load_pipeline(PERICH)

        def fail(dandiset):
            raise RuntimeError("no route\nto host")

        names = pipeline.get_manifest.__func__.__globals__
        monkeypatch.setitem(names, "get_nwb_asset_list", fail)
        with pytest.raises(DataError, match=r"cannot be asked for its files \(no route\)"):
            brainsets.list_manifest(pipeline, tmp_path)


def test_split_becomes_a_table_in_time_order():
    split = Split(
        train=np.array([[5.0, 6.0], [0.0, 1.0], [1.0, 2.0]]),
        valid=np.array([[2.0, 3.0]]),
        test=np.empty((0, 2)),
        interleaved=True,
    )
    table = brainsets.split_as_table(split)
    assert table.start.tolist() == [0.0, 1.0, 2.0, 5.0]  # neighbours stay apart: they are trials
    assert table.end.tolist() == [1.0, 2.0, 3.0, 6.0]
    assert table.columns["part"].tolist() == ["train", "train", "valid", "train"]


@pytest.mark.parametrize("source", [nlb.SOURCE, perich_miller.SOURCE, allen_ophys.SOURCE])
def test_sources_can_go_to_other_processes(source):
    assert pickle.loads(pickle.dumps(source)) == source
