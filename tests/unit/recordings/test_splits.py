import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import (
    as_intervals,
    dilate,
    intersect,
    regular_origins,
    subtract,
    total_s,
)
from neurohorizon.recordings.schema import Split, Table
from neurohorizon.recordings.splits import (
    PARTS,
    assert_no_leakage,
    hold_out,
    split_by_table,
    split_in_time,
    split_interleaved,
)

CONTEXT_S, HORIZON_S = 0.5, 1.0
GROUPS = {f"r{i:02d}": f"animal{i // 2}" for i in range(20)} | {
    f"s{i:02d}": f"date{i % 4}" for i in range(12)
}
STRATA = {name: name[0] for name in GROUPS}


@st.composite
def domains(draw):
    """Up to four stretches with gaps, 60 s or more in all."""
    lengths = draw(st.lists(st.floats(20, 400), min_size=3, max_size=6))
    gaps = draw(st.lists(st.floats(0.001, 30), min_size=len(lengths), max_size=len(lengths)))
    edges = np.cumsum(np.ravel(np.column_stack([gaps, lengths])))
    return as_intervals(edges.reshape(-1, 2))


def check(split: Split, domain):
    """Place windows as freely as any reader could, and look where they reach."""
    for part in PARTS:
        stretches = split.domain(part)
        assert np.all(stretches[:, 1] > stretches[:, 0])
        assert total_s(intersect(stretches, domain)) == pytest.approx(total_s(stretches))
        for other in PARTS:
            if other == part:
                continue
            # An origin may be anywhere in its stretch: its context and targets reach around.
            reach = stretches + np.array([-CONTEXT_S, HORIZON_S])
            targets = split.domain(other)
            for start, end in reach:
                assert total_s(intersect(np.array([[start, end]]), targets)) < 1e-6
    assert_no_leakage(split, context_s=CONTEXT_S, horizon_s=HORIZON_S)


class TestInTime:
    @given(domains(), st.sampled_from([(0.6, 0.1, 0.3), (0.5, 0.0, 0.5), (0.8, 0.1, 0.1)]))
    @settings(max_examples=100, deadline=None)
    def test_nothing_reaches_another_part(self, domain, fractions):
        split = split_in_time(domain, fractions=fractions, guard_s=CONTEXT_S + HORIZON_S)
        check(split, domain)
        assert not split.interleaved

    @given(domains())
    @settings(max_examples=50, deadline=None)
    def test_order_and_shares(self, domain):
        split = split_in_time(domain, fractions=(0.6, 0.1, 0.3), guard_s=1.5)
        assert split.train.max() < split.valid.min() < split.valid.max() < split.test.min()
        usable = total_s(domain) - 3.0
        for part, share in zip(PARTS, (0.6, 0.1, 0.3), strict=True):
            assert total_s(split.domain(part)) == pytest.approx(share * usable, abs=0.01)
        assert split.train[0, 0] == domain[0, 0]
        assert split.test[-1, 1] == domain[-1, 1]

    def test_gap_is_not_recorded_time(self):
        domain = np.array([[0.0, 50.0], [1000.0, 1050.0]])
        split = split_in_time(domain, fractions=(0.5, 0.0, 0.5), guard_s=0.0)
        assert split.train.tolist() == [[0.0, 50.0]]
        assert split.test.tolist() == [[1000.0, 1050.0]]

    def test_too_short(self):
        with pytest.raises(DataError, match=r"8\.0 s recorded are too short.*valid would have"):
            split_in_time(np.array([[0.0, 8.0]]))
        with pytest.raises(DataError, match="too short"):
            split_in_time(np.empty((0, 2)))

    @pytest.mark.parametrize("fractions", [(0.5, 0.1, 0.3), (1.2, -0.1, -0.1), (0.5, 0.5)])
    def test_fractions_must_sum_to_one(self, fractions):
        with pytest.raises(ConfigError, match="sum to 1"):
            split_in_time(np.array([[0.0, 100.0]]), fractions=fractions)


class TestInterleaved:
    @given(domains(), st.floats(4, 15), st.integers(0, 5))
    @settings(max_examples=100, deadline=None)
    def test_nothing_reaches_another_part(self, domain, block_s, seed):
        split = split_interleaved(domain, block_s=block_s, guard_s=1.5, seed=seed)
        check(split, domain)
        assert split.interleaved
        parts = [split.domain(part) for part in PARTS]
        assert min(part.min() for part in parts) == domain[0, 0]
        assert max(part.max() for part in parts) == domain[-1, 1]
        for part in PARTS:
            origins = regular_origins(
                split.domain(part), step_s=0.5, before_s=CONTEXT_S, after_s=HORIZON_S
            )
            assert len(origins)

    def test_shares_and_turns(self):
        split = split_interleaved(np.array([[0.0, 4000.0]]), block_s=10.0, guard_s=0.0)
        for part, share in zip(PARTS, (0.6, 0.1, 0.3), strict=True):
            assert total_s(split.domain(part)) == pytest.approx(4000 * share, abs=20)
        # Each tenth of the recording has all parts, so drift hits all alike.
        for start in np.arange(0, 4000, 400.0):
            tenth = np.array([[start, start + 400]])
            assert all(total_s(intersect(split.domain(part), tenth)) for part in PARTS)

    def test_seed_decides(self):
        domain = np.array([[0.0, 2000.0]])
        first, again, other = (split_interleaved(domain, seed=seed) for seed in (0, 0, 1))
        assert np.array_equal(first.test, again.test)
        assert not np.array_equal(first.test, other.test)

    def test_too_few_blocks(self):
        with pytest.raises(DataError, match="give 2 blocks of 20 s, too few for 3 parts"):
            split_interleaved(np.array([[0.0, 50.0]]))

    def test_three_blocks_are_enough(self):
        split = split_interleaved(np.array([[0.0, 60.0]]))
        assert all(len(split.domain(part)) for part in PARTS)

    def test_block_shorter_than_its_guard(self):
        with pytest.raises(ConfigError, match="expected more than 3 s"):
            split_interleaved(np.array([[0.0, 50.0]]), block_s=2.0)


def trials(words, **columns):
    """Rows of 10 s, one after the other."""
    start = np.linspace(0.0, 10.0 * len(words), len(words), endpoint=False)
    return Table(start, start + 10.0, {"part": np.array(words), **columns})


@st.composite
def tables(draw):
    """Rows of any length, some overlapping, some in no part, some outside of the recording."""
    words = draw(st.lists(st.sampled_from(["train", "val", "test", "none"]), min_size=8))
    lengths = draw(st.lists(st.floats(0.5, 30), min_size=len(words), max_size=len(words)))
    gaps = draw(st.lists(st.floats(-3, 8), min_size=len(words), max_size=len(words)))
    start = np.cumsum(np.array(lengths) + gaps) - lengths[0]
    return Table(start, start + lengths, {"part": np.array(words)})


class TestByTable:
    @given(domains(), tables())
    @settings(max_examples=200, deadline=None)
    def test_nothing_reaches_another_part(self, domain, table):
        try:
            split = split_by_table(domain, table, "part", guard_s=CONTEXT_S + HORIZON_S)
        except DataError:
            return
        check(split, domain)
        # Test is whole; what the other parts lost lies within the guard of those after them.
        rows = np.column_stack([table.start, table.end])
        words = table.columns["part"]
        asked = {
            part: intersect(as_intervals(rows[words == word]), domain)
            for word, part in (("train", "train"), ("val", "valid"), ("test", "test"))
        }
        np.testing.assert_array_equal(split.test, asked["test"])
        near = {"valid": split.test, "train": np.concatenate([split.valid, split.test])}
        for part, others in near.items():
            assert total_s(subtract(split.domain(part), asked[part])) < 1e-6
            lost = subtract(asked[part], split.domain(part))
            guards = dilate(as_intervals(others), CONTEXT_S + HORIZON_S)
            assert total_s(subtract(lost, guards)) < 1e-4

    def test_parts_and_guard(self):
        table = trials(["train", "train", "val", "train", "none", "test", "train"])
        split = split_by_table(np.array([[0.0, 66.0]]), table, "part", guard_s=1.5)
        assert split.train.tolist() == [[0.0, 18.5], [31.5, 40.0], [61.5, 66.0]]
        assert split.valid.tolist() == [[20.0, 30.0]]
        assert split.test.tolist() == [[50.0, 60.0]]
        assert split.interleaved
        assert_no_leakage(split, context_s=CONTEXT_S, horizon_s=HORIZON_S)

    def test_without_a_guard_rows_stay_whole(self):
        table = trials(["test", "valid", "train", "Validation ", "TRAIN"])
        split = split_by_table(np.array([[0.0, 60.0]]), table, "part", guard_s=0.0)
        assert split.test.tolist() == [[0.0, 10.0]]
        assert split.valid.tolist() == [[10.0, 20.0], [30.0, 40.0]]
        assert split.train.tolist() == [[20.0, 30.0], [40.0, 50.0]]
        assert_no_leakage(split, context_s=0.0, horizon_s=0.0)

    def test_validation_gives_way_to_test(self):
        split = split_by_table(
            np.array([[0.0, 40.0]]), trials(["val", "test", "train"]), "part", guard_s=2.0
        )
        assert split.valid.tolist() == [[0.0, 8.0]]
        assert split.test.tolist() == [[10.0, 20.0]]
        assert split.train.tolist() == [[22.0, 30.0]]

    @pytest.mark.parametrize(
        ("words", "interleaved"),
        [
            (["train", "train", "val", "test"], False),
            (["train", "none", "train", "test"], False),
            (["test"], False),
            (["train", "val", "train"], True),
            (["test", "train"], True),  # training time must not read on from test
        ],
    )
    def test_it_is_interleaved_unless_in_order_of_time(self, words, interleaved):
        table = trials(words)
        split = split_by_table(np.array([[0.0, 99.0]]), table, "part", guard_s=1.0)
        assert split.interleaved is interleaved

    def test_test_rows_alone_make_a_test_domain(self):
        table = trials(["test", "none", "test"])
        split = split_by_table(np.array([[5.0, 25.0]]), table, "part")
        assert split.test.tolist() == [[5.0, 10.0], [20.0, 25.0]]
        assert len(split.train) == len(split.valid) == 0

    def test_rows_without_a_time_belong_to_nothing(self):
        table = trials(["train", "train", "test"])
        table.end[1] = np.nan
        split = split_by_table(np.array([[0.0, 99.0]]), table, "part", guard_s=0.0)
        assert split.train.tolist() == [[0.0, 10.0]]

    @pytest.mark.parametrize(
        ("column", "guard_s", "message"),
        [
            ("split", 1.5, "no column 'split' to split by; columns here: part, number, pairs, far"),
            ("number", 1.5, "'number' names no part, expected .* it has 0, 1, 2"),
            ("pairs", 1.5, "'pairs' names no part, expected one of the words .* a row"),
            ("far", 1.5, "rows of column 'far' lie outside of the recording"),
            ("part", 10.0, "nothing is left of train after the guard of 10 s: .* valid or test"),
        ],
    )
    def test_refusals(self, column, guard_s, message):
        table = trials(
            ["train", "val", "none", "none"],
            number=np.arange(4),
            pairs=np.array([["train", "test"]] * 4),
            far=np.array(["none", "none", "none", "test"]),
        )
        with pytest.raises(DataError, match=message) as caught:
            split_by_table(np.array([[0.0, 25.0]]), table, column, guard_s=guard_s)
        assert "\n" not in str(caught.value)

    def test_no_rows(self):
        with pytest.raises(DataError, match="it has no rows"):
            split_by_table(np.array([[0.0, 25.0]]), trials([]), "part")

    def test_guard_must_be_seconds(self):
        with pytest.raises(ConfigError, match="guard_s is -1"):
            split_by_table(np.array([[0.0, 25.0]]), trials(["train"]), "part", guard_s=-1.0)


class TestHoldOut:
    @given(st.integers(0, 1000), st.floats(0.1, 0.6))
    @settings(max_examples=50, deadline=None)
    def test_no_group_on_both_sides(self, seed, fraction):
        train, held_out = hold_out(GROUPS, strata=STRATA, fraction=fraction, seed=seed)
        assert sorted(train + held_out) == sorted(GROUPS)
        assert not {GROUPS[r] for r in train} & {GROUPS[r] for r in held_out}
        for stratum, size in (("r", 20), ("s", 12)):
            num_held = sum(STRATA[r] == stratum for r in held_out)
            assert abs(num_held - fraction * size) <= 3
            assert 0 < num_held < size

    def test_order_of_the_mapping_does_not_matter(self):
        backwards = dict(reversed(GROUPS.items()))
        assert hold_out(GROUPS, seed=3) == hold_out(backwards, seed=3)

    def test_another_stratum_changes_nothing(self):
        more = GROUPS | {f"t{i}": f"new{i}" for i in range(6)}
        strata = {name: name[0] for name in more}
        before = set(hold_out(GROUPS, strata=STRATA, seed=1)[1])
        after = set(hold_out(more, strata=strata, seed=1)[1])
        assert {name for name in after if name[0] != "t"} == before

    def test_lone_group_stays_in_training(self):
        train, held_out = hold_out(
            {"a": "1", "b": "2", "c": "3"}, strata={"a": "x", "b": "x", "c": "y"}, fraction=0.5
        )
        assert "c" in train
        assert len(held_out) == 1

    def test_nothing_to_hold_out(self):
        with pytest.raises(DataError, match="nothing can be held out: 2 recordings of 1 groups"):
            hold_out({"a": "rat", "b": "rat"})

    def test_fraction(self):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            hold_out(GROUPS, fraction=1.0)


class TestLeakage:
    def split(self, **change):
        parts = {
            "train": np.array([[0.0, 10.0], [40.0, 50.0]]),
            "valid": np.array([[12.0, 20.0]]),
            "test": np.array([[22.0, 30.0]]),
        }
        return Split(**(parts | change))

    def test_enough_room_passes(self):
        assert_no_leakage(self.split(), context_s=1.0, horizon_s=1.0)

    def test_too_close(self):
        with pytest.raises(DataError, match=r"train and valid are 2 s apart at 12\.000 s"):
            assert_no_leakage(self.split(), context_s=1.0, horizon_s=1.5)

    def test_overlap(self):
        split = self.split(test=np.array([[45.0, 60.0]]))
        with pytest.raises(DataError, match="train and test overlap at 45"):
            assert_no_leakage(split, context_s=0.5, horizon_s=1.0)

    def test_stretch_hidden_inside_another_part(self):
        split = self.split(train=np.array([[0.0, 10.0], [40.0, 90.0]]), test=np.array([[60, 70.0]]))
        with pytest.raises(DataError, match="overlap at 60"):
            assert_no_leakage(split, context_s=0.5, horizon_s=1.0)

    def test_part_that_overlaps_itself(self):
        split = self.split(train=np.array([[0.0, 10.0], [9.0, 10.5]]))
        with pytest.raises(DataError, match="train and train overlap"):
            assert_no_leakage(split, context_s=0.5, horizon_s=1.0)

    def test_backward_stretch(self):
        split = self.split(valid=np.array([[20.0, 12.0]]))
        with pytest.raises(DataError, match="valid domain has an empty or endless stretch"):
            assert_no_leakage(split, context_s=0.5, horizon_s=1.0)
