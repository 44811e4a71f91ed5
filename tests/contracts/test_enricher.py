"""What every enricher holds to, and what the local one finds; test_language_enricher.py has the others'."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript
from nexus_pipeline.engines import EMBEDDERS, ENRICHERS, build
from nexus_pipeline.engines.extractive import CATEGORIES, MOST_SENTENCES, OTHER
from nexus_pipeline.engines.language_enricher import LanguageEnricher
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Embedder, Enricher
from tests.language import Scripted

MEETING = [
    "Welcome to the budget meeting of the team.",
    "Sara and David will share the schedule with the client.",
    "Anna must send the invoice to finance by Friday.",
    "The budget meeting moved from Tuesday to Thursday.",
    "Please review the contract before Monday.",
    "I will prepare the report tomorrow.",
    "The customer wants a simple design.",
]
LECTURE = [
    "The temperature on Venus is very hot.",
    "A small comet was near the moon last night.",
    "Jupiter has many moons, and Saturn has large bright rings.",
    "The telescope finds a new planet every week.",
    "The sun is a star, and the earth moves around the sun.",
]
RECIPE = [
    "Add two spoons of butter and stir the rice.",
    "Bake the bread in the oven for forty minutes.",
    "The soup needs salt, pepper, onion and garlic.",
    "Chop the tomato and pour lemon over the chicken.",
]


def never() -> bool:
    """Nobody cancels."""
    return False


@pytest.fixture(scope="module")
def enricher(tmp_path_factory: pytest.TempPathFactory) -> Enricher:
    cache = tmp_path_factory.mktemp("cache")
    embedders: list[Embedder] = []

    def embedder() -> Embedder:
        if not embedders:
            embedders.append(build(EMBEDDERS, "minilm", site))
        return embedders[0]

    site = EngineSite(models=None, cache=cache, threads=1, embedder=embedder)
    made: Enricher = build(ENRICHERS, "local", site)
    return made


@pytest.fixture(scope="module", params=["local", "language"])
def any_enricher(request: pytest.FixtureRequest, enricher: Enricher) -> Enricher:
    """Those of vendors are built over the same class as the second one."""
    return enricher if request.param == "local" else LanguageEnricher(Scripted())


def _said(
    lines: Sequence[str], language: str | None = "en", speaker: str | None = None, each_s: float = 4
) -> Transcript:
    segments = (Segment(i, i * each_s, (i + 1) * each_s - 0.5, line, speaker) for i, line in enumerate(lines))
    return Transcript(language, "test", tuple(segments), Coverage(0, 0), {"A": "Elena"})


@pytest.mark.parametrize("lines", [[], [""], ["...", "!"]])
def test_a_transcript_without_words_is_enriched_with_nothing(any_enricher: Enricher, lines: list[str]) -> None:
    made = any_enricher.enrich(_said(lines), title="Memo", duration_s=None, cancelled=never)
    assert (made.summary, made.tags, made.chapters, made.action_items) == ("", (), (), ())
    assert (made.category, made.sentiment.label, made.suggested_title) == (OTHER, "neutral", "Memo")


def test_a_summary_is_made_of_what_was_said_in_order_of_time(enricher: Enricher) -> None:
    made = enricher.enrich(_said(MEETING), title="Monday", duration_s=30, cancelled=never)
    short = [line for line in MEETING if line in made.summary]
    long = [line for line in MEETING if line in made.summary_long]
    assert made.summary == " ".join(short)
    assert made.summary_long == " ".join(long)
    assert 0 < len(short) < len(long)


@pytest.mark.parametrize(
    ("lines", "category"), [(MEETING, "business"), (LECTURE, "science"), (RECIPE, "food"), (["Hm hm hm."], OTHER)]
)
def test_the_category_is_what_it_is_about(enricher: Enricher, lines: list[str], category: str) -> None:
    made = enricher.enrich(_said(lines), title="x", duration_s=None, cancelled=never)
    assert made.category == category
    assert made.category in {*CATEGORIES, OTHER}


def test_tags_and_topics_are_phrases_of_the_text_none_part_of_another(enricher: Enricher) -> None:
    made = enricher.enrich(_said(LECTURE), title="x", duration_s=None, cancelled=never)
    text = " ".join(LECTURE).lower()
    assert {"jupiter", "telescope"} & set(made.tags)
    for phrases in (made.tags, made.topics):
        assert phrases
        assert all(phrase in text for phrase in phrases)
        assert not any(a != b and set(a.split()) <= set(b.split()) for a in phrases for b in phrases)


def test_action_items_say_who_does_what_and_when_it_was_said(enricher: Enricher) -> None:
    made = enricher.enrich(_said(MEETING, speaker="A"), title="x", duration_s=None, cancelled=never)
    assert [(a.n, a.task, a.assignee, a.priority, a.at_s) for a in made.action_items] == [
        (1, "Share the schedule with the client", "Sara and David", "medium", 4),
        (2, "Send the invoice to finance by Friday", "Anna", "high", 8),
        (3, "Review the contract before Monday", None, "medium", 16),
        (4, "Prepare the report tomorrow", "Elena", "medium", 20),
    ]
    assert made.action_items[1].context == MEETING[2]


def test_a_lecture_and_a_recipe_ask_nobody_to_do_anything(enricher: Enricher) -> None:
    for lines in (LECTURE, RECIPE):
        assert enricher.enrich(_said(lines), title="x", duration_s=None, cancelled=never).action_items == ()


def test_sentiment_follows_the_words_in_english_and_is_neutral_elsewhere(enricher: Enricher) -> None:
    good, bad = ["I love this wonderful garden.", "Great, thanks!"], ["This is terrible.", "I hate the awful noise."]
    assert enricher.enrich(_said(good), title="x", duration_s=None, cancelled=never).sentiment.label == "positive"
    assert enricher.enrich(_said(bad), title="x", duration_s=None, cancelled=never).sentiment.label == "negative"
    assert enricher.enrich(_said(bad, "de"), title="x", duration_s=None, cancelled=never).sentiment.score == 0
    assert enricher.enrich(_said(bad, None), title="x", duration_s=None, cancelled=never).sentiment.label == "negative"


def test_names_and_dates_are_found(enricher: Enricher) -> None:
    found = enricher.enrich(_said(MEETING), title="x", duration_s=None, cancelled=never).entities
    assert {e.name for e in found if e.kind == "name"} == {"Sara", "David", "Anna"}
    assert {e.name for e in found if e.kind == "date"} == {"Friday", "Tuesday", "Thursday", "Monday"}


def test_chapters_begin_where_the_subject_changes_and_cover_the_item(enricher: Enricher) -> None:
    lines = [line for part in (MEETING, LECTURE, RECIPE) for line in (part * 5)[:20]]
    chapters = enricher.enrich(_said(lines, each_s=10), title="x", duration_s=600, cancelled=never).chapters
    assert [round(c.start_s, -1) for c in chapters] == [0, 200, 400]
    assert [c.end_s for c in chapters] == [*(c.start_s for c in chapters[1:]), 600]
    assert len({c.title for c in chapters}) == 3


def test_a_short_item_has_no_chapters(enricher: Enricher) -> None:
    short = _said([*MEETING, *LECTURE, *RECIPE])
    assert enricher.enrich(short, title="x", duration_s=70, cancelled=never).chapters == ()


def test_enriching_twice_gives_the_same(any_enricher: Enricher) -> None:
    lines = [*MEETING, *LECTURE, *RECIPE]
    made = [any_enricher.enrich(_said(lines), title="x", duration_s=None, cancelled=never) for _ in range(2)]
    assert made[0] == made[1]


def test_half_a_minute_costs_little(enricher: Enricher) -> None:
    """0.04 CPU seconds measured; the bound leaves room for a machine that is five times slower."""
    enricher.enrich(_said(LECTURE), title="x", duration_s=30, cancelled=never)  # loads the model
    began = time.thread_time()
    enricher.enrich(_said(MEETING), title="x", duration_s=30, cancelled=never)
    assert time.thread_time() - began < 0.2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text("abcÄß今日。 .?!,'-\nAI", max_size=60), max_size=8), st.sampled_from([None, "en", "ja"]))
def test_no_text_makes_it_fail(any_enricher: Enricher, lines: list[str], language: str | None) -> None:
    made = any_enricher.enrich(_said(lines, language), title="x", duration_s=None, cancelled=never)
    assert made.engine == any_enricher.name
    assert -1 <= made.sentiment.score <= 1


def test_a_very_long_transcript_is_looked_at_evenly(enricher: Enricher) -> None:
    lines = [f"Planet {i}." for i in range(3 * MOST_SENTENCES)]
    made = enricher.enrich(_said(lines), title="x", duration_s=None, cancelled=never)
    assert len(made.summary_long.split(".")) <= 12


def test_parameters_are_text(any_enricher: Enricher) -> None:
    assert all(isinstance(v, str) for v in any_enricher.parameters().values())


def test_parameters_name_the_embedder_too(enricher: Enricher) -> None:
    assert enricher.parameters()["embedder_engine"] == "minilm"
