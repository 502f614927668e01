"""Spikes that follow pictures, counted; and found again by a bridge."""

from dataclasses import replace

import numpy as np
import pytest

from bridge_worlds import embeddings_of
from neurohorizon.cli.app import main
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.retrieval.result_files import load_retrieval
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.responses_store import open_responses
from neurohorizon.recordings.spike_responses import ResponseWindow, responses_to_pictures
from neurohorizon.recordings.store import write_recording
from worlds import poisson_recording

NUM_PICTURES = 60


def recording(*, repeats=4, interval_s=0.3, seed=0):
    """Return units whose rates follow the picture that came on 50 ms before."""
    generator = np.random.default_rng(seed)
    embeddings = embeddings_of(NUM_PICTURES)
    row = np.concatenate([generator.permutation(NUM_PICTURES) for _ in range(repeats)])
    row[5] = -1  # a blank screen
    start = 1.0 + interval_s * np.arange(len(row))
    weight = np.random.default_rng(3).normal(size=(embeddings.shape[1], 20))
    rates = 20 * np.exp(0.5 * (embeddings - 3) @ weight)
    times, unit = [], []
    for onset, picture in zip(start, row, strict=True):
        if picture >= 0:
            mean = 0.2 * np.minimum(rates[picture], 200)
            for number, count in enumerate(generator.poisson(mean)):
                times.append(onset + 0.05 + 0.2 * generator.random(count))
                unit.append(np.full(count, number))
    times, unit = np.concatenate(times), np.concatenate(unit)
    order = np.argsort(times)
    shown = ShownImages(
        table="scenes",
        start=start,
        end=start + 0.25,
        row=row,
        vectors=embeddings,
        hashes=np.array([f"{number:064x}" for number in range(NUM_PICTURES)]),
        fingerprint="{}",
    )
    made = poisson_recording(num_units=20, duration_s=start[-1] + 1)
    return replace(
        made,
        spike_times=times[order],
        spike_unit_index=unit[order],
        embeddings={"scenes": shown},
    )


def test_counts_are_those_of_counting():
    made = recording()
    window = ResponseWindow(0.04, 0.24, num_bins=4)
    responses, notes = responses_to_pictures(made, "scenes", window)
    shown = made.embeddings["scenes"]
    seen = np.flatnonzero(shown.row >= 0)
    assert notes == []
    values = responses.responses.values
    assert values.shape == (len(seen), 20, 4)
    assert responses.responses.bin_edges_s == pytest.approx([0.04, 0.09, 0.14, 0.19, 0.24])
    for place in (0, 7, len(seen) - 1):
        onset = shown.start[seen[place]]
        for unit in (0, 11):
            times = made.spike_times[made.spike_unit_index == unit] - onset
            expected, _ = np.histogram(times, np.linspace(0.04, 0.24, 5))
            assert values[place, unit].tolist() == expected.tolist()
        one = responses.images.sha256[responses.responses.image[place]]
        assert one == shown.hashes[shown.row[seen[place]]]
    single, _ = responses_to_pictures(made, "scenes", replace(window, num_bins=None))
    assert np.array_equal(single.responses.values, values.sum(axis=2))
    for image in range(NUM_PICTURES):
        repeats = responses.responses.repeat[responses.responses.image == image]
        assert repeats.tolist() == list(range(len(repeats)))


def test_what_the_recording_does_not_cover_is_left_out():
    made = recording()
    onset = made.embeddings["scenes"].start
    gap = np.array([[made.domain[0, 0], onset[9] + 0.1], [onset[10] - 0.01, made.domain[-1, 1]]])
    responses, notes = responses_to_pictures(replace(made, domain=gap), "scenes")
    assert notes == ["1 presentations left out: the recording did not run"]
    assert onset[9] not in responses.responses.start
    assert onset[10] in responses.responses.start
    with pytest.raises(DataError, match="no presentation of scenes lies where"):
        responses_to_pictures(replace(made, domain=np.array([[0.0, 0.5]])), "scenes")


def test_frames_of_a_movie_are_thinned_out_alike():
    responses, _ = responses_to_pictures(recording(), "scenes", ResponseWindow(every=10))
    assert len(responses.images) == 6
    assert np.bincount(responses.responses.image).min() >= 3
    assert "every 10 frames" in responses.metadata["responses"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"start_s": 0.2, "end_s": 0.2}, "is empty"),
        ({"num_bins": 0}, "0 bins"),
        ({"every": 0}, "every 0 frames"),
        ({"end_s": 0.1, "num_bins": 3}, "share evenly"),
    ],
)
def test_windows_that_make_no_sense_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        ResponseWindow(**settings)


def test_a_picture_is_found_by_the_spikes_that_followed_it(tmp_path, capsys):
    write_recording(recording(repeats=8), tmp_path / "spikes" / "one.h5")
    words = ["data", "responses", str(tmp_path / "spikes"), "--out", str(tmp_path / "answers")]
    assert main([*words, "--pictures", "scenes"]) == 0
    assert "479 presentations of 60 pictures, 20 units" in capsys.readouterr().out
    assert open_responses(tmp_path / "answers" / "one.h5").num_units == 20
    assert main([*words, "--pictures", "scenes"]) == 0
    assert "there already" in capsys.readouterr().out
    assert main([*words, "--pictures", "scenes", "--bins", "5"]) == 2
    assert "holds other responses" in capsys.readouterr().err
    elsewhere = [*words[:-1], str(tmp_path / "other")]
    assert main([*elsewhere, "--pictures", "movie"]) == 2
    assert "no pictures 'movie' are attached; there are: scenes" in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "spikes"), "--pictures", "scenes"]) == 2
    assert "holds the spikes: choose another folder" in capsys.readouterr().err
    bank = EmbeddingBank(
        embeddings=embeddings_of(NUM_PICTURES),
        hashes=[f"{number:064x}" for number in range(NUM_PICTURES)],
        names=[str(number) for number in range(NUM_PICTURES)],
        fingerprint=Fingerprint("made up"),
    ).save(tmp_path / "bank")
    run = tmp_path / "run"
    settings = [f"data.recordings={tmp_path / 'answers'}", f"data.bank={bank}", "training.budget=2"]
    settings += ["training.num_folds=2"]
    assert main(["bridge", "align", "allen-natural-scenes", *settings, "--out", str(run)]) == 0
    assert main(["bridge", "retrieve", str(run)]) == 0
    result, by_trials = load_retrieval(run / "results" / "retrieval")
    assert np.mean(result.better["encoding model", result.cases[0].recording, "picture"]) < 2
    assert 4 in by_trials
