"""An engine's stream as sentences, however its pieces are cut."""

import pytest

from nexus_api.answering.sentences import sentences

CASES = [
    ("It moved. [1] David knows it [2].", ["It moved. [1]", " David knows it [2]."]),
    ("It moved [1]. David knows.", ["It moved [1].", " David knows."]),
    ("It moved [1][3]? Yes!", ["It moved [1][3]?", " Yes!"]),
    ("Mr. Smith paid 3.50 to J. Doe. Then he left.", ["Mr. Smith paid 3.50 to J. Doe.", " Then he left."]),
    ("In short:\n- It moved [1]\n- David knows [2]", ["In short:", "\n- It moved [1]", "\n- David knows [2]"]),
    ("1. It moved [1].\n2. David knows [2].", ["1. It moved [1].", "\n2. David knows [2]."]),
    ("会议改到星期四[1]。大卫知道[2]。", ["会议改到星期四[1]。", "大卫知道[2]。"]),
    ('He said "we moved it." [1] Then he left', ['He said "we moved it." [1]', " Then he left"]),
    ("  It moved  ", ["It moved"]),
    ("", []),
    (" \n ", []),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_sentences_carry_the_marks_behind_them(text, expected):
    assert list(sentences([text])) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(("text", "expected"), CASES)
def test_however_the_pieces_are_cut_they_are_the_same(text, expected, size):
    assert list(sentences(text[n : n + size] for n in range(0, len(text), size))) == expected


def test_a_sentence_comes_as_soon_as_the_next_one_begins():
    read = []

    def pieces():
        for piece in ("It moved [1].", " Da", "vid knows [2]."):
            read.append(piece)
            yield piece

    told = sentences(pieces())
    assert next(told) == "It moved [1]."
    assert len(read) == 2
