"""torch_brain's own pipelines, run in this process: from a file to a recording.

torch_brain ships one ``pipeline.py`` a public data set and runs each in an environment of its
own. Here the class is loaded by its path and its three steps are called directly, without uv
and without ray actors: `list_manifest`, `download` and `process`. What comes out is HDF5 that
`recordings.store` opens; what it lacks is for the source to mend.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neurohorizon.errors import DataError, MissingExtraError, NeuroHorizonError
from neurohorizon.recordings.schema import Recording, Split, Table
from neurohorizon.recordings.store import open_recording

Pipeline = Any  # a class that torch_brain defines when its file is run
EXTRA_OF = {"dandi": "nwb", "pynwb": "nwb"}
SPLIT_TABLE = "torch_brain_split"


def pipeline_folder(name: str) -> Path:
    """Return where torch_brain keeps a pipeline; raises DataError if it has none of this name."""
    spec = importlib.util.find_spec("torch_brain")
    assert spec is not None
    folder = Path(str(spec.origin)).parent / "pipeline" / "brainsets-pipelines" / name
    if not (folder / "pipeline.py").is_file():
        raise DataError(
            f"{name}: torch_brain has no such pipeline; install torch_brain>=0.2.1,<0.3"
        )
    return folder


def load_pipeline(name: str) -> Pipeline:
    """Load the class of one of torch_brain's pipelines.

    Parameters
    ----------
    name : str
        Its brainset, such as ``"perich_miller_population_2018"``.

    Returns
    -------
    type
        A class of its own at each call: changing its attributes changes no other's.

    Raises
    ------
    MissingExtraError
        If it imports what one of our extras would install.
    DataError
        If this torch_brain has no such pipeline, or the pipeline needs a library that
        cannot live beside ours.
    """
    folder = pipeline_folder(name)
    path = folder / "pipeline.py"
    try:
        with _modules_beside(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _run_module(path, f"_brainsets_{name}").Pipeline
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in EXTRA_OF:
            raise MissingExtraError(
                library, extra=EXTRA_OF[library], purpose=f"prepare {name}"
            ) from error
        raise DataError(
            f"{name}: torch_brain's pipeline needs {library or error}, which is not installed: "
            f"run `brainsets prepare {name}`, which brings it in an environment of its own"
        ) from error


def _run_module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _modules_beside(folder: Path) -> Iterator[None]:
    """Let a pipeline import the modules beside it, and forget them afterwards."""
    names = {file.stem for file in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names & set(sys.modules):
            del sys.modules[name]
        sys.modules.update(before)


def list_manifest(pipeline: Pipeline, folder: Path) -> list[Any]:
    """Return the rows of a pipeline's manifest; the session's id is ``row.Index``.

    Raises
    ------
    MissingExtraError
        If dandi is not installed.
    DataError
        If the archive cannot be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _asking(pipeline.brainset_id):
        manifest = pipeline.get_manifest(raw_dir=folder, args=pipeline.parser.parse_args([]))
    return sorted(manifest.itertuples(), key=lambda row: str(row.Index))


@contextlib.contextmanager
def _asking(whom: str) -> Iterator[None]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except NeuroHorizonError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            "dandi", extra="nwb", purpose=f"list the files of {whom}"
        ) from error
    except Exception as error:  # dandi raises its own errors, requests' and pydantic's
        raise DataError(
            f"{whom}: the archive cannot be asked for its files ({first_line(error)}); try again "
            "later, or prepare files that were downloaded by other means"
        ) from error


def download(pipeline: Pipeline, row: Any, folder: Path) -> Any:
    """Download one row of the manifest in the pipeline's own way; return what `process` takes."""
    with _asking(pipeline.brainset_id):
        return _instance(pipeline, folder, folder).download(row)


def process(pipeline: Pipeline, downloaded: Any, folder: Path, *, where: str) -> Path:
    """Let a pipeline write its HDF5 file into a folder.

    Parameters
    ----------
    pipeline : type
        From `load_pipeline`.
    downloaded : object
        What its `download` returned: usually the path of a file.
    folder : path
        Where the file shall be; anything of the same name is replaced.
    where : str
        What to call the input in an error.

    Raises
    ------
    DataError
        If it fails or writes nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".process-") as fresh:
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _instance(pipeline, folder, Path(fresh)).process(downloaded)
        except Exception as error:  # a pipeline checks little: it fails wherever it trips
            raise DataError(
                f"{where}: torch_brain's pipeline {pipeline.brainset_id} cannot read it "
                f"({type(error).__name__}: {first_line(error)}); is it a file of this data set?"
            ) from error
        written = sorted(Path(fresh).glob("*.h5"))
        if len(written) != 1:
            raise DataError(
                f"{where}: torch_brain's pipeline {pipeline.brainset_id} made no recording of it; "
                "leave it out"
            )
        target = folder / written[0].name
        os.replace(written[0], target)
    return target


def _instance(pipeline: Pipeline, raw: Path, processed: Path) -> Any:
    made = pipeline(raw_dir=raw, processed_dir=processed, args=pipeline.parser.parse_args([]))
    # It would print, and report to a ray actor that does not exist here.
    made.update_status = lambda status: None
    return made


def convert_file(name: str, path: Path, *, link_name: str, not_in_path: str) -> Recording:
    """Convert one file through a pipeline; nothing is left on disk.

    Parameters
    ----------
    name : str
        The pipeline's brainset.
    path : path
        The downloaded file.
    link_name : str
        Under what name the pipeline sees it.
    not_in_path : str
        A word that the pipeline looks for in the whole path, folders included, to tell kinds
        of files apart: the file is shown to it in a folder without that word.

    Returns
    -------
    Recording
        As the file says, in memory, with the pipeline's split.

    Raises
    ------
    DataError
        If it is missing or the pipeline cannot read it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    pipeline = load_pipeline(name)
    with tempfile.TemporaryDirectory(prefix="neurohorizon-") as scratch:
        if not_in_path in scratch:
            raise DataError(
                f"{scratch}: torch_brain's pipeline {name} takes {not_in_path!r} in a path for a "
                "kind of file; set TMPDIR to a folder without it"
            )
        link = Path(scratch) / link_name
        try:
            link.symlink_to(path.resolve())
        except OSError:  # not everybody may make links
            shutil.copyfile(path, link)
        recording = open_recording(process(pipeline, link, Path(scratch) / "out", where=str(path)))
        # The file goes away: no memory map of it may stay.
        return replace(
            recording,
            spike_times=np.array(recording.spike_times),
            spike_unit_index=np.array(recording.spike_unit_index),
        )


def split_as_table(split: Split) -> Table:
    """Return a split as a table with the column ``part``: recordings get their own split later."""
    rows = [
        (start, end, part)
        for part in ("train", "valid", "test")
        for start, end in split.domain(part).tolist()
    ]
    rows.sort()
    return Table(
        start=np.array([row[0] for row in rows], dtype=np.float64),
        end=np.array([row[1] for row in rows], dtype=np.float64),
        columns={"part": np.array([row[2] for row in rows], dtype=np.str_)},
    )


def first_line(error: Exception) -> str:
    """Return the first line of what another library's error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
