"""Fingerprints: the judgement on made-up numbers, and the whole way on real sound."""

import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.engines.alignment import HOP_S, SPAN_S
from nexus_pipeline.engines.chromaprint import Chromaprint

PRINTS = Chromaprint()
RATE = 11_025
TEXTS = (
    "The meeting began with the budget. Anna will send the report on Monday, and then we bake bread.",
    "Stars are born in clouds of dust and gas. A young star shines blue, an old one red, for a long time.",
    "Bring water to the boil, put in the beans and wait. The kitchen is warm, the window is open wide.",
    "The choir sang in the old church by the river while the rain fell on the roof all the evening long.",
)

lengths = st.integers(100, 900)
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, length: int) -> np.ndarray:
    """Sub-fingerprints of sound that never was."""
    return np.random.default_rng(seed).integers(0, 2**32, length, dtype=np.uint32)


def with_errors(values: np.ndarray, rate: float, seed: int) -> np.ndarray:
    bits = np.random.default_rng(seed).random((len(values), 32)) < rate
    flips = (bits.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(axis=1)
    return values ^ flips.astype(np.uint32)


def begin_and_end(a: np.ndarray, whole: np.ndarray, at: int, size: int) -> tuple[float, float]:
    """Seconds of the piece in the whole, or in itself."""
    start = at if a is whole else 0
    return start * HOP_S, (start + size - 1) * HOP_S + SPAN_S


# ------------------------------------------------------------ properties


@given(seeds, lengths)
def test_everything_is_a_duplicate_of_itself(seed: int, length: int) -> None:
    values = noise(seed, length)
    match = PRINTS.compare(values, values)
    assert (match.relation, match.offset_s, match.error_rate) == ("duplicate", 0.0, 0.0)
    assert match.coverage_a == match.coverage_b == 1.0


@given(seeds, st.integers(300, 900), st.floats(0, 0.1), st.integers(0, 40))
def test_a_noisy_trimmed_copy_is_a_duplicate_at_the_right_place(seed: int, length: int, rate: float, cut: int) -> None:
    values = noise(seed, length)
    match = PRINTS.compare(values, with_errors(values[cut:], rate, seed + 1))
    assert match.relation == "duplicate"
    # time in a = time in b + offset
    assert match.offset_s == pytest.approx(cut * HOP_S)
    turned = PRINTS.compare(values[cut:], values)
    assert turned.offset_s == pytest.approx(-cut * HOP_S)


@given(seeds, st.integers(400, 900), st.data())
def test_a_piece_is_an_excerpt_of_the_whole(seed: int, length: int, data: st.DataObject) -> None:
    values = noise(seed, length)
    size = data.draw(st.integers(100, length // 2))
    at = data.draw(st.integers(0, length - size))
    for a, b, offset in ((values, values[at : at + size], at), (values[at : at + size], values, -at)):
        match = PRINTS.compare(a, with_errors(b, 0.05, seed))
        assert (match.relation, match.excerpt) == ("excerpt", "b" if a is values else "a")
        assert match.offset_s == pytest.approx(offset * HOP_S)
        [stretch] = match.stretches
        assert (stretch.start_s, stretch.end_s) == pytest.approx(begin_and_end(a, values, at, size), abs=1.0)


@given(seeds, lengths, lengths)
def test_different_sounds_never_match(seed: int, one: int, other: int) -> None:
    assert PRINTS.compare(noise(seed, one), noise(seed + 1, other)).relation is None


@given(seeds)
def test_a_jingle_of_both_is_a_shared_stretch(seed: int) -> None:
    jingle = noise(seed, 200)
    a = np.concatenate([noise(seed + 1, 300), jingle, noise(seed + 2, 200)])
    b = np.concatenate([noise(seed + 3, 100), jingle, noise(seed + 4, 400)])
    match = PRINTS.compare(a, b)
    assert match.relation == "shared"
    assert match.offset_s == pytest.approx(200 * HOP_S)
    [stretch] = match.stretches
    assert (stretch.start_s, stretch.end_s) == pytest.approx((300 * HOP_S, 499 * HOP_S + SPAN_S), abs=1.0)
    assert (stretch.other_start_s, stretch.other_end_s) == pytest.approx((100 * HOP_S, 299 * HOP_S + SPAN_S), abs=1.0)


def test_intro_and_outro_are_two_stretches_in_order_of_time() -> None:
    intro, outro = noise(1, 120), noise(2, 150)
    a = np.concatenate([intro, noise(3, 300), outro])
    b = np.concatenate([noise(4, 50), intro, noise(5, 700), outro])
    for one, other in ((a, b), (b, a)):
        match = PRINTS.compare(one, with_errors(other, 0.05, 6))
        assert (match.relation, match.excerpt) == ("shared", None)
        told = [s if one is a else s.turned for s in match.stretches]
        expected = [0, 50, 420, 870]
        assert [s for t in told for s in (t.start_s, t.other_start_s)] == pytest.approx(
            [n * HOP_S for n in expected], abs=1.0
        )


def test_pieces_put_together_are_an_excerpt_of_the_whole_each_at_its_place() -> None:
    values = noise(1, 3000)
    reel = np.concatenate([values[2000:2150], values[300:450], values[1000:1150]])
    match = PRINTS.compare(values, reel)
    assert (match.relation, match.excerpt) == ("excerpt", "b")
    assert [s.start_s for s in match.stretches] == pytest.approx([300 * HOP_S, 1000 * HOP_S, 2000 * HOP_S], abs=1.0)
    assert [s.other_start_s for s in match.stretches] == pytest.approx([150 * HOP_S, 300 * HOP_S, 0.0], abs=1.0)


def test_a_copy_with_a_break_in_the_middle_is_no_duplicate() -> None:
    # a duplicate reads its first's transcript with one shift: after the break it would be wrong
    values = noise(1, 1000)
    match = PRINTS.compare(values, np.concatenate([values[:400], noise(2, 160), values[400:]]))
    assert (match.relation, match.excerpt, len(match.stretches)) == ("excerpt", "a", 2)


def test_a_jingle_that_comes_again_and_again_is_one_stretch_of_what_has_it_once() -> None:
    jingle = noise(1, 120)
    often = np.concatenate([part for n in range(5) for part in (noise(10 + n, 300), jingle)])
    match = PRINTS.compare(often, np.concatenate([noise(2, 200), jingle, noise(3, 200)]))
    assert match.relation == "shared"
    [stretch] = match.stretches
    assert stretch.other_start_s == pytest.approx(200 * HOP_S, abs=1.0)


def test_a_long_pause_within_what_is_shared_moves_nothing() -> None:
    still = np.full(200, 5, np.uint32)
    shared = np.concatenate([noise(1, 150), still, noise(2, 150)])
    match = PRINTS.compare(np.concatenate([shared, noise(3, 900)]), np.concatenate([noise(4, 600), shared]))
    assert match.relation == "shared"
    assert [s.start_s for s in match.stretches] == pytest.approx([0.0, 350 * HOP_S], abs=2.0)
    assert {round(s.other_start_s - s.start_s, 2) for s in match.stretches} == {round(600 * HOP_S, 2)}


def test_what_is_told_of_two_stays_bounded() -> None:
    pieces = [noise(n, 80) for n in range(30)]
    a = np.concatenate([x for n, piece in enumerate(pieces) for x in (piece, noise(100 + n, 90))])
    b = np.concatenate([x for n, piece in enumerate(pieces) for x in (piece, noise(200 + n, 90))])
    match = PRINTS.compare(a, b)
    assert match.relation == "shared"
    assert len(match.stretches) == 20
    assert list(match.stretches) == sorted(match.stretches, key=lambda s: s.start_s)


@given(seeds, st.floats(0, 0.06), st.sampled_from([100, 400, 700, 1500]), st.sampled_from([700, 1500, 4000]))
def test_whatever_their_lengths_a_piece_and_its_whole_find_each_other(seed, rate, size: int, length: int) -> None:
    values = noise(seed, length)
    size = min(size, length // 2)
    # a re-encode changes sub-fingerprints by bits that lie together: two in three stay
    changed = np.random.default_rng(seed + 1).random(size) < 0.33
    piece = np.where(changed, with_errors(values[50 : 50 + size], 0.05 + rate, seed + 2), values[50 : 50 + size])
    for one, other in ((values, piece), (piece, values)):
        assert len(set(PRINTS.probes(one)) & set(PRINTS.keys(other))) >= 2


def test_keys_are_a_tenth_of_a_long_item_and_all_are_among_the_probes() -> None:
    for length in (300, 700, 1500, 30_000):
        values = noise(length, length)
        keys = PRINTS.keys(values)
        assert set(keys) <= set(PRINTS.probes(values))
        assert len(keys) < 520 or len(keys) < length / 7
    assert len(PRINTS.probes(noise(1, 300_000))) <= 300_000


def test_ten_hours_are_compared_within_seconds_and_little_memory() -> None:
    day = noise(1, 290_000)
    other = with_errors(np.concatenate([noise(2, 100_000), day[5_000:5_300], noise(3, 190_000)]), 0.02, 4)
    tracemalloc.start()
    began = time.process_time()
    match = PRINTS.compare(day, other)
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert match.relation == "shared"
    assert match.stretches[0].start_s == pytest.approx(5_000 * HOP_S, abs=1.0)
    assert took < 10
    assert peak < 60_000_000


@given(seeds, st.integers(0, 200))
def test_the_unchanging_matches_nothing_and_is_not_indexed(seed: int, length: int) -> None:
    still = np.full(length, seed, np.uint32)
    assert PRINTS.compare(still, still).relation is None
    assert PRINTS.keys(still) == []
    assert PRINTS.compare(still, noise(seed, 300)).relation is None


@given(seeds, lengths)
def test_keys_are_unique_28_bit_and_shared_by_copies(seed: int, length: int) -> None:
    values = noise(seed, length)
    keys = PRINTS.keys(values)
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**28 for key in keys)
    shared = set(keys) & set(PRINTS.keys(with_errors(values[10:], 0.02, seed)))
    assert len(shared) >= 2


def test_a_jump_of_repeats_stays_bounded() -> None:
    turning = np.tile(noise(1, 100), 3000)
    assert PRINTS.compare(turning, turning).relation in {"duplicate", None}


# ------------------------------------------------------------ real sound


def spoken(text: str, to: Path) -> Path:
    subprocess.run(["espeak-ng", "-s", "150", "-w", to, " ".join([text] * 1)], check=True)
    return to


def samples(*told: str) -> Iterator[bytes]:
    command = ["ffmpeg", "-v", "error", *told, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return iter([data[i : i + 65_536] for i in range(0, len(data), 65_536)])


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("talks")
    return [
        spoken(f"{text} {TEXTS[n - 1][:40]} {text[::-1]} {text} {n}", folder / f"{n}.wav")
        for n, text in enumerate(TEXTS)
    ]


def printed(*told: str) -> np.ndarray:
    return PRINTS.fingerprint(samples(*told), RATE)


def test_the_whole_item_is_fingerprinted(tmp_path: Path) -> None:
    values = printed("-f", "lavfi", "-i", "anoisesrc=d=200:c=pink:seed=1")
    assert values.dtype == np.uint32
    assert len(values) * HOP_S == pytest.approx(200, abs=4)


def test_under_three_seconds_and_nothing_at_all_give_nothing() -> None:
    for told in ("sine=d=0.2", "sine=d=2"):
        assert len(printed("-f", "lavfi", "-i", told)) == 0
    assert len(PRINTS.fingerprint(iter([]), RATE)) == 0


@pytest.mark.parametrize(
    "change",
    [
        ("-b:a", "64k", "-f", "mp3"),
        ("-c:a", "libopus", "-b:a", "32k", "-f", "ogg"),
        ("-af", "volume=0.3", "-f", "wav"),
        ("-ss", "2.06", "-f", "wav"),
        ("-ss", "1.5", "-b:a", "48k", "-f", "mp3"),
    ],
)
def test_a_re_encoded_or_trimmed_copy_is_found_and_is_a_duplicate(talks: list[Path], tmp_path: Path, change) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["ffmpeg", "-v", "error", "-i", talks[0], *change, copy], check=True)
    first, second = printed("-i", str(talks[0])), printed("-i", str(copy))
    match = PRINTS.compare(first, second)
    assert match.relation == "duplicate"
    assert match.error_rate < 0.12
    cut = float(change[1]) if change[0] == "-ss" else 0.0
    assert match.offset_s == pytest.approx(cut, abs=0.13)
    assert len(set(PRINTS.keys(first)) & set(PRINTS.keys(second))) >= 2


def test_different_talks_by_one_voice_do_not_match(talks: list[Path]) -> None:
    found = [printed("-i", str(talk)) for talk in talks]
    relations = {PRINTS.compare(found[i], found[j]).relation for i in range(4) for j in range(i)}
    assert "duplicate" not in relations
    assert "excerpt" not in relations


@pytest.mark.parametrize("told", ["anullsrc", "sine=440", "sine=1000", "anoisesrc=seed=1"])
def test_silence_tones_and_hiss_match_nothing(told: str) -> None:
    first, second = (printed("-f", "lavfi", "-t", "20", "-i", source) for source in (told, told.replace("=1", "=2")))
    assert len(first) > 100
    assert PRINTS.compare(first, first).relation is None
    assert PRINTS.compare(first, second).relation is None
    assert PRINTS.keys(first) == []
