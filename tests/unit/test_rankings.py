"""Rankings that later pages are cut from: few, and not for long."""

from nexus_pipeline.archive import paging
from nexus_pipeline.archive.paging import Rankings


def test_the_last_ones_are_remembered(monkeypatch):
    monkeypatch.setattr(paging, "RANKINGS", 2)
    rankings = Rankings()
    for asked in ("a", "b", "a", "c"):
        rankings.keep(asked, asked.upper())
    assert [rankings.of(asked) for asked in "abcd"] == ["A", None, "C", None]


def test_what_is_old_is_not_shown_and_goes_with_the_next_search(monkeypatch):
    rankings = Rankings()
    rankings.keep("a", "A")
    monkeypatch.setattr(paging, "FOR_S", -1.0)
    assert rankings.of("a") is None
    rankings.keep("b", "B")
    assert not rankings._kept
