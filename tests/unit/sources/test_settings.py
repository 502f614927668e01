from dataclasses import replace

import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.sources import npz
from neurohorizon.sources.settings import read_settings
from neurohorizon.sources.source import Setting

SOURCE = replace(
    npz.SOURCE,
    query_settings={"project": Setting("", "of the listing")},
    convert_settings={
        "min_units": Setting(1, "fewest units"),
        "label": Setting(0.5, "lowest quality"),
        "pupil": Setting(True, "whether the pupil is read"),
        "project": Setting("", "named in the recording"),
    },
)


def test_values_have_the_type_of_the_default():
    words = ["min_units=3", "label=1", "pupil=no", "project=a=b"]
    query, convert = read_settings(SOURCE, words)
    assert query == {"project": "a=b"}
    assert convert == {"min_units": 3, "label": 1.0, "pupil": False, "project": "a=b"}
    assert isinstance(convert["label"], float)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("min_units", "expected name=value (project, min_units, label, pupil)"),
        ("min_unit=3", "npz: no setting 'min_unit': did you mean min_units?"),
        ("colour=red", "no setting 'colour' (project, min_units"),
        ("min_units=few", "min_units=few: expected a whole number, as min_units=1"),
        ("label=good", "label=good: expected a number, as label=0.5"),
        ("pupil=maybe", "pupil=maybe: expected true or false"),
    ],
)
def test_nonsense_is_one_line(word, reason):
    with pytest.raises(ConfigError) as caught:
        read_settings(SOURCE, [word])
    assert reason in str(caught.value)


def test_a_source_without_settings_says_so():
    with pytest.raises(ConfigError, match="this source has no settings"):
        read_settings(npz.SOURCE, ["a=1"])
