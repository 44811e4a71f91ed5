"""While an item is heard, each window is told of in `changes` as soon as its segments can be read."""

from tests.running import drop
from tests.speech import speak


def test_every_window_that_is_heard_is_a_line_between_the_transcripts_beginning_and_its_landing(runs, parts, tmp_path):
    [item] = runs.add(drop(parts, "talk.wav", speak(tmp_path / "talk.wav")))
    assert runs.go([item]).success
    lines = parts.catalog.changes(0, item_id=item.id)
    heard = [n for n, line in enumerate(lines) if line.kind == "segments"]
    assert [lines[n].phase for n in heard] == ["0"]
    began, *_, landed = (n for n, line in enumerate(lines) if (line.kind, line.step) == ("step", "transcript"))
    assert began < heard[0] < landed
