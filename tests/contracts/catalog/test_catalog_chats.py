"""Chats: kept for their owner, listed by when they were last spoken in, and without words of items that are erased."""

import pytest

from nexus_pipeline.domain.chats import ASSISTANT, DOES_NOT_SAY, USER, Citation, Message, Sentence, title_of
from nexus_pipeline.domain.errors import BadInput, NotFound

ME, OTHER = "local", "somebody"


def asked(question="Who moved the meeting?", *item_ids):
    return Message(USER, question, item_ids)


def told(*quotes, **fields):
    """An answer of a sentence for each (item, words)."""
    citations = tuple(Citation(n, item, 4.0, 7.5, quote) for n, (item, quote) in enumerate(quotes, 1))
    sentences = tuple(Sentence(f"{c.quote} [{c.n}]", supported=True, citations=(c.n,)) for c in citations)
    return Message(
        ASSISTANT,
        "".join(s.text for s in sentences),
        citations=citations,
        sentences=sentences,
        reached=frozenset(item for item, _ in quotes),
        **{"engine": "extractive", **fields},
    )


@pytest.fixture
def item(add):
    return add()


def test_what_was_said_comes_back_as_it_was(catalog, item):
    answer = told((item.id, "Sara moved it."), usage={"tokens_in": 11, "tokens_out": 7}, ended="stopped")
    chat = catalog.say("c1", ME, [asked("Who moved\0 it?", item.id), answer], new=True)
    assert catalog.chat("c1", ME).title == "Who moved\ufffd it?"
    first, second = catalog.messages("c1", ME)
    assert (first.role, first.text, first.item_ids, first.n) == (USER, "Who moved\ufffd it?", (item.id,), 1)
    assert (second.role, second.text, second.citations) == (ASSISTANT, answer.text, answer.citations)
    assert (second.sentences, second.engine, second.ended) == (answer.sentences, "extractive", "stopped")
    assert second.usage == {"tokens_in": 11, "tokens_out": 7}
    assert (second.n, second.at) == (2, chat.created_at)


def test_a_chat_goes_on_and_keeps_its_title(catalog, item):
    catalog.say("c1", ME, [asked(), told((item.id, "Sara."))], new=True)
    chat = catalog.say("c1", ME, [asked("Why?"), told()], new=False)
    assert chat.title == "Who moved the meeting?"
    assert chat.updated_at > chat.created_at
    assert [m.n for m in catalog.messages("c1", ME)] == [1, 2, 3, 4]
    assert [m.n for m in catalog.messages("c1", ME, after=1, limit=2)] == [2, 3]
    assert [m.text for m in catalog.last_messages("c1", ME, 2)] == ["Why?", ""]


def test_somebody_elses_chat_is_not_there(catalog):
    catalog.say("c1", ME, [asked(), told()], new=True)
    for look in (
        lambda: catalog.chat("c1", OTHER),
        lambda: catalog.messages("c1", OTHER),
        lambda: catalog.last_messages("c1", OTHER, 2),
        lambda: catalog.say("c1", OTHER, [asked()], new=False),
        lambda: catalog.forget_chat("c1", OTHER),
        lambda: catalog.chat("none", ME),
    ):
        with pytest.raises(NotFound, match="no chat"):
            look()
    assert catalog.chats(OTHER).items == ()
    assert len(catalog.messages("c1", ME)) == 2


def test_a_listing_has_pages_the_one_last_spoken_in_first(catalog):
    for n in range(5):
        catalog.say(f"c{n}", ME, [asked(f"Question {n}?")], new=True)
    catalog.say("other", OTHER, [asked()], new=True)
    catalog.say("c1", ME, [asked()], new=False)
    seen, cursor = [], None
    while True:
        page = catalog.chats(ME, limit=2, cursor=cursor)
        seen += [chat.id for chat in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["c1", "c4", "c3", "c2", "c0"]


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA==", "WzEsMl0=", "W251bGwsICJhIl0="])
def test_what_is_no_cursor_is_refused(catalog, cursor):
    with pytest.raises(BadInput, match="cursor"):
        catalog.chats(ME, cursor=cursor)


def test_a_chat_that_is_forgotten_leaves_no_row(catalog, item, rows):
    catalog.say("c1", ME, [asked(), told((item.id, "Sara."))], new=True)
    catalog.forget_chat("c1", ME)
    assert [rows(table) for table in ("chats", "messages", "message_items")] == [0, 0, 0]
    with pytest.raises(NotFound):
        catalog.say("c1", ME, [asked()], new=False)


def test_an_erased_items_words_go_from_answers_and_those_of_others_stay(catalog, add):
    gone, left = add(), add()
    answer = told((gone.id, "Sara moved it."), (left.id, "The piano is old."))
    catalog.say("c1", ME, [asked(), answer], new=True)
    catalog.bury(gone.id)
    question, after = catalog.messages("c1", ME)
    assert question.text == "Who moved the meeting?"
    assert after.text == "The piano is old. [2]"
    assert [c.item_id for c in after.citations] == [left.id]
    assert [s.citations for s in after.sentences] == [(2,)]


def test_what_is_not_proven_goes_with_an_item_that_the_engine_was_shown(catalog, add):
    gone = add()
    answer = Message(
        ASSISTANT,
        "Sara whispered it.",
        sentences=(Sentence("Sara whispered it.", supported=False),),
        reached=frozenset({gone.id}),
    )
    refusal = Message(ASSISTANT, "I looked for Sara", refused=True, reached=frozenset({gone.id}))
    catalog.say("c1", ME, [asked(), answer, asked(), refusal], new=True)
    catalog.bury(gone.id)
    assert [m.text for m in catalog.messages("c1", ME)][1::2] == ["", DOES_NOT_SAY]


def test_an_answer_about_an_item_that_was_erased_meanwhile_is_kept_without_its_words(catalog, add, rows):
    gone, left = add(), add()
    catalog.bury(gone.id)
    catalog.say("c1", ME, [asked(), told((gone.id, "Sara."), (left.id, "Piano."))], new=True)
    assert catalog.messages("c1", ME)[1].text == "Piano. [2]"
    assert rows("message_items") == 1
    catalog.forget(gone.id)
    assert catalog.messages("c1", ME)[1].text == "Piano. [2]"


def test_erasing_counts_what_went_and_leaves_no_row_that_names_the_item(catalog, item, rows, sql):
    catalog.say("c1", ME, [asked(), told((item.id, "Sara."))], new=True)
    catalog.bury(item.id)
    assert rows("message_items") == 0
    catalog.forget(item.id)
    assert sql("SELECT text || citations || sentences FROM messages WHERE n = 2") == "[][]"


def test_a_title_is_the_first_question_cut_at_a_word():
    assert title_of(" Who \n moved it? ") == "Who moved it?"
    long = title_of("word " * 40)
    assert len(long) <= 81
    assert long.endswith("word…")
    assert title_of("x" * 200) == "x" * 79 + "…"
