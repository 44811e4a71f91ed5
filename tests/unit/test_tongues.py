"""Which language a recording is in, and which of its segments are in another one."""

from nexus_pipeline.domain import tongues
from nexus_pipeline.domain.timeline import Segment, Window
from nexus_pipeline.engines.languages import detect

ENGLISH = (
    "The budget meeting moved from Tuesday to Thursday.",
    "Anna will send the invoice to the client tomorrow.",
    "Everybody who wants to come should tell her by noon.",
)
GERMAN = (
    "Die Besprechung wurde auf den Donnerstag verschoben.",
    "Anna schickt dem Kunden morgen die Rechnung zu.",
    "Wer kommen will, soll es ihr bis zum Mittag sagen.",
)


def said(*texts, language=None):
    return [Segment(n, 3.0 * n, 3.0 * n + 2.5, text, language=language) for n, text in enumerate(texts)]


def read(segments, language):
    return [s.language for s in tongues.read(segments, language, detect)]


def test_a_text_that_changes_its_language_tells_so():
    assert read(said(*ENGLISH, *GERMAN), "en") == [None] * 3 + ["de"] * 3
    assert read(said(*GERMAN, *ENGLISH), "de") == [None] * 3 + ["en"] * 3


def test_a_text_in_one_language_is_in_that_one():
    assert read(said(*ENGLISH * 5), "en") == [None] * 15
    assert read(said(*GERMAN), "de-AT") == [None] * 3


def test_a_few_foreign_words_are_no_other_language():
    assert read(said(*ENGLISH, "Auf Wiedersehen!", *ENGLISH), "en") == [None] * 7


def test_what_cannot_be_told_stays_as_it_is():
    assert read(said("Ok.", "Hm.", "12345"), "en") == [None] * 3
    assert read([], None) == []


def test_a_segment_that_says_its_language_keeps_it():
    assert read(said(*GERMAN, language="nl"), "en") == ["nl"] * 3


def test_the_recordings_language_is_that_of_most_of_its_seconds():
    segments = [*said(*ENGLISH, language="en"), *said(*GERMAN[:2], language="de")]
    assert tongues.mostly(segments, None) == "en"
    assert tongues.mostly(said("a"), "fr") == "fr"
    assert tongues.mostly([], None) is None


def test_the_language_that_a_person_told_counts_where_anything_is_said_in_it():
    segments = [*said(*ENGLISH, language="en"), *said(*GERMAN[:1], language="de")]
    assert tongues.mostly(segments, "de-AT") == "de"
    assert tongues.mostly(segments, "fr") == "en"


def test_segments_of_a_window_have_its_language_and_only_others_say_theirs_in_the_end():
    window = Window(0.0, 9.0, (*said("a"), *said("b", language="de")), 9.0, "en")
    each = tongues.each(window)
    assert [s.language for s in each] == ["en", "de"]
    assert [s.language for s in tongues.settled(each, "en")] == [None, "de"]
    assert [s.language for s in tongues.settled(each, None)] == ["en", "de"]
