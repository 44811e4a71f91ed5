"""Labels stay with the voice, run after run."""

import math

from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.labels import labelled
from nexus_pipeline.domain.speaking import Speaking, Turn


def voice(degrees):
    return (math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))


def found(space="m", **voices):
    """Each speaks for ten seconds, one after the other."""
    turns = tuple(Turn(10.0 * n, 10.0 * n + 10, one) for n, one in enumerate(voices))
    return Speaking(turns, {one: voice(v) for one, v in voices.items()} if space else {}, space)


def who(speaking):
    return [t.speaker for t in speaking.turns]


def test_the_first_run_labels_in_order_of_speaking():
    first = labelled(found(b=0, a=90), None)
    assert who(first) == ["S1", "S2"]
    assert first.labels == ("S1", "S2")
    assert first.voices == {"S1": voice(0), "S2": voice(90)}


def test_labels_follow_the_voices_when_they_come_in_another_order():
    first = labelled(found(a=0, b=90), None)
    again = labelled(found(x=85, y=10), first)
    assert who(again) == ["S2", "S1"]


def test_who_is_new_gets_a_label_that_nobody_ever_had():
    first = labelled(found(a=0, b=90), None)
    second = labelled(found(a=0), first)
    assert (who(second), second.labels) == (["S1"], ("S1", "S2"))
    third = labelled(found(new=180, b=92, a=3), second)
    assert who(third) == ["S3", "S2", "S1"]


def test_the_most_alike_comes_first_and_each_label_once():
    first = labelled(found(a=0, b=50), None)
    again = labelled(found(x=45, y=55), first)
    assert sorted(who(again)) == ["S1", "S2"]
    assert who(again) == ["S1", "S2"] or again.voices["S2"] in (voice(45), voice(55))


def test_another_model_or_none_is_matched_by_who_speaks_at_the_same_time():
    first = labelled(found(a=0, b=90), None)
    again = labelled(Speaking((Turn(10.5, 20.2, "left"), Turn(0.3, 9.7, "right"))), first)
    assert {t.start_s: t.speaker for t in again.turns} == {10.5: "S2", 0.3: "S1"}
    other = labelled(found("n", q=0, p=90), again)
    assert who(other) == ["S1", "S2"]
    assert other.space == "n"


def test_a_recording_in_which_nobody_speaks_keeps_the_labels_for_the_next_run():
    first = labelled(found(a=0), None)
    silent = labelled(Speaking(()), first)
    assert (silent.turns, silent.labels) == ((), ("S1",))
    assert who(labelled(found(b=90), silent)) == ["S2"]


@given(st.lists(st.integers(0, 359), min_size=1, max_size=5, unique=True), st.randoms())
def test_the_same_voices_get_the_same_labels_in_any_order(angles, dice):
    voices = {f"v{a}": a for a in angles}
    first = labelled(found(**voices), None)
    mixed = list(voices.items())
    dice.shuffle(mixed)
    again = labelled(found(**dict(mixed)), first)
    assert again.voices == first.voices
    assert again.labels == first.labels
