"""A collection of made sounds: every re-encode, trim and excerpt is found, and nothing else is."""

import itertools
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench import sounds
from nexus_pipeline.engines.chromaprint import Chromaprint

PRINTS = Chromaprint()
RATE = 11_025
MUST_S, MAY_S = 9.0, 3.0
"""So much two sounds must share to be found, and so much that it is not false to find them."""


def heard(path: Path) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        return PRINTS.fingerprint(iter(lambda: child.stdout.read(65_536), b""), RATE)


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> dict[sounds.Sound, np.ndarray]:
    folder = tmp_path_factory.mktemp("sounds")
    made = sounds.collection(40, long_s=180.0)
    for stretch in {s.source: s for sound in made for s in sound.stretches}.values():
        sounds.source(stretch.source, folder)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(made, pool.map(lambda s: heard(sounds.written(s, folder)), made), strict=True))


def pairs(collection, least: float, most: float = float("inf")) -> Iterator[tuple[sounds.Sound, sounds.Sound]]:
    for one, other in itertools.combinations(collection, 2):
        if least <= sounds.shared_s(one, other) < most:
            yield one, other


def test_what_shares_sound_is_found_whoever_came_first(collection) -> None:
    kin = list(pairs(collection, MUST_S))
    assert len({name for pair in kin for name in (pair[0].kind, pair[1].kind)}) == 14
    for one, other in kin:
        assert PRINTS.compare(collection[one], collection[other]).relation, (one, other)
        for a, b in ((one, other), (other, one)):
            both = set(PRINTS.probes(collection[a])) & set(PRINTS.keys(collection[b]))
            assert len(both) >= 2, (a, b)


def test_re_encodes_and_trims_are_duplicates_and_lie_at_the_right_second(collection) -> None:
    named = {sound.name: sound for sound in collection}
    copies = [s for s in collection if s.kind in {*sounds.RE_ENCODED, "trimmed", "trimmed mp3", "noise 10 dB"}]
    assert len(copies) >= 14
    for copy in copies:
        match = PRINTS.compare(collection[named[copy.of]], collection[copy])
        assert match.relation == "duplicate", copy
        assert match.offset_s == pytest.approx(copy.stretches[0].start_s, abs=0.13), copy


def test_excerpts_are_excerpts_and_lie_at_the_right_second(collection) -> None:
    named = {sound.name: sound for sound in collection}
    excerpts = [s for s in collection if s.kind.startswith("excerpt")]
    assert len(excerpts) >= 5
    for piece in excerpts:
        match = PRINTS.compare(collection[named[piece.of]], collection[piece])
        assert (match.relation, match.excerpt) == ("excerpt", "b"), piece
        assert match.stretches[0].start_s == pytest.approx(piece.stretches[0].start_s, abs=1.5), piece


def test_nothing_else_is_related(collection) -> None:
    strangers = list(pairs(collection, float("-inf"), MAY_S))
    assert len(strangers) > 700
    false = [pair for pair in strangers if PRINTS.compare(collection[pair[0]], collection[pair[1]]).relation]
    assert false == []
