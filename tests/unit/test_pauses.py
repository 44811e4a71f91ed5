"""Where speech is cut: nothing voiced is lost or heard twice, and looks are no longer than the model's."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.engines.pauses import FRAME, PAD, RATE, Pack, Packer, Run, Runs

LIMIT = 10 * RATE

_gaps = st.sampled_from([0, 4 * FRAME, RATE // 2, RATE, 3 * RATE, 20 * RATE])
_spans = st.lists(st.tuples(_gaps, st.integers(RATE // 10, LIMIT - 2 * PAD)), max_size=40)


def _packed(runs: list[Run], end: int) -> list[Pack]:
    packer = Packer(LIMIT)
    return [pack for run in runs for pack in packer.add(run)] + list(packer.flush(end))


@given(_spans)
def test_every_run_is_in_exactly_one_pack_of_at_most_one_look(spans: list[tuple[int, int]]) -> None:
    runs, now = [], 0
    for gap, length in spans:
        runs.append(Run(now + gap, now + gap + length))
        now += gap + length
    packs = _packed(runs, now + RATE)
    pieces = [piece for pack in packs for piece in pack.pieces]
    assert all(a < b for a, b in pieces)
    assert all(before[1] <= after[0] for before, after in pairwise(pieces))
    assert all(any(a <= run.start and run.end <= b for a, b in pieces) for run in runs)
    assert all(sum(b - a for a, b in pack.pieces) <= LIMIT for pack in packs)
    assert sum(pack.voiced for pack in packs) == sum(run.end - run.start for run in runs)


def test_a_pack_ends_at_the_longest_pause_of_its_second_half() -> None:
    s = RATE
    runs = [Run(0, 3 * s), Run(int(3.2 * s), 6 * s), Run(7 * s, 8 * s), Run(int(8.2 * s), 12 * s)]
    first, second = _packed(runs, 13 * s)
    assert first.voiced == 3 * s + (6 * s - int(3.2 * s))
    assert second.voiced == s + (12 * s - int(8.2 * s))


def test_runs_far_apart_are_not_heard_together() -> None:
    assert len(_packed([Run(0, RATE), Run(15 * RATE, 16 * RATE)], 17 * RATE)) == 2


def test_a_silence_inside_a_word_does_not_end_a_run_and_a_click_is_none() -> None:
    runs = Runs(LIMIT)
    probabilities = [0.1] * 5 + [0.9] * 10 + [0.2] * 2 + [0.9] * 10 + [0.1] * 10 + [0.9] + [0.1] * 10
    assert list(runs.feed(probabilities)) == [Run(5 * FRAME, 27 * FRAME)]
    assert list(runs.end()) == []


@given(st.lists(st.floats(0, 1), max_size=400), st.integers(1, 50))
def test_runs_do_not_depend_on_how_the_stream_is_cut(probabilities: list[float], piece: int) -> None:
    whole, parts = Runs(40 * FRAME), Runs(40 * FRAME)
    expected = [*whole.feed(probabilities), *whole.end()]
    pieces = [probabilities[i : i + piece] for i in range(0, len(probabilities), piece)]
    assert [run for p in pieces for run in parts.feed(p)] + list(parts.end()) == expected
    assert all(run.end - run.start <= 40 * FRAME for run in expected)
    assert all(a.end <= b.start for a, b in pairwise(expected))


def test_speech_without_a_pause_is_cut_at_its_least_voiced_frame() -> None:
    runs = Runs(100 * FRAME)
    probabilities = [0.9] * 80 + [0.6] + [0.9] * 60
    assert list(runs.feed(probabilities)) == [Run(0, 80 * FRAME)]
    assert runs.open == 80 * FRAME
