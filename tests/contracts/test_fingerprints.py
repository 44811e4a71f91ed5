"""Fingerprints: the judgement on made-up numbers, and the whole way on real sound."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.engines.chromaprint import HOP_S, Chromaprint

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
        assert match.relation == "excerpt"
        assert match.offset_s == pytest.approx(offset * HOP_S)


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
    assert match.start_a_s == pytest.approx(300 * HOP_S, abs=10)
    assert match.end_a_s == pytest.approx(500 * HOP_S, abs=10)


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
