"""Chat on the embedded default: sentences that were said, with their seconds, or a refusal that offers what is near."""

import pytest

from nexus_api.answering.reading import read
from nexus_api.client import Remote
from nexus_api.local import Local
from nexus_pipeline import upkeep
from nexus_pipeline.domain.errors import BadInput, NotFound
from tests.api.server import Server
from tests.running import srt

MOVED = "The budget meeting moved from Tuesday to Thursday because of the storm."
SHARED = "Sara and David will share the schedule with the client in Vienna."
RICE = "Add two spoons of butter and stir the rice for ten minutes."
COMET = "A small comet was near the moon last night, said the telescope's director."
QUESTION = "To which day did the budget meeting move?"


@pytest.fixture
def talks(site, tmp_path):
    """Two items: work and kitchen."""
    return [write(site, tmp_path, "work", MOVED, SHARED), write(site, tmp_path, "kitchen", RICE, COMET)]


def write(site, tmp_path, name, *sentences):
    path = tmp_path / f"{name}.srt"
    path.write_bytes(srt(*sentences))
    item = site.send(path).json()["id"]
    site.work(item)
    return item


def ask(site, question=QUESTION, **about):
    answer = site.client.post("/api/chat", json={"question": question, **about})
    assert answer.status_code == 200, answer.text
    return answer.json()


def streamed(site, question=QUESTION, **about):
    headers = {"accept": "text/event-stream"}
    with site.client.stream("POST", "/api/chat", json={"question": question, **about}, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(read(answer.iter_lines()))


def test_an_answer_is_what_was_said_with_its_item_and_seconds(site, talks):
    told = ask(site)
    assert told["answer"].startswith(f"{MOVED} [1]")
    assert told["citations"][0] == {"n": 1, "item_id": talks[0], "start_s": 0.0, "end_s": 3.5, "quote": MOVED}
    assert told["sentences"][0] == {"text": f"{MOVED} [1]", "supported": True, "citations": [1]}
    assert "".join(s["text"] for s in told["sentences"]) == told["answer"]
    assert (told["refused"], told["engine"], told["ended"], told["nearest"]) == (False, "extractive", "whole", [])
    assert told["usage"] is None
    second = ask(site, "With whom will Sara share the schedule?")["citations"][0]
    assert (second["start_s"], second["end_s"], second["quote"]) == (4.0, 7.5, SHARED)


@pytest.mark.parametrize(
    "question",
    ["Who won the chess tournament in Reykjavik?", "What did Sara say about the warranty of the submarine?"],
)
def test_what_the_archive_does_not_say_is_refused_with_what_comes_nearest(site, talks, question):
    told = ask(site, question)
    assert (told["refused"], told["citations"], told["sentences"]) == (True, [], [])
    assert told["looked_for"] == question
    assert question in told["answer"]
    assert {hit["item_id"] for hit in told["nearest"]} <= set(talks)
    assert told["nearest"][0]["play_url"]


def test_an_empty_archive_refuses(site):
    told = ask(site)
    assert (told["refused"], told["nearest"], told["engine"]) == (True, [], None)


def test_only_chosen_items_and_filters_are_asked(site, talks):
    assert ask(site, item_ids=[talks[0]])["citations"][0]["item_id"] == talks[0]
    elsewhere = ask(site, item_ids=[talks[1]])
    assert elsewhere["refused"]
    assert "in these items" in elsewhere["answer"]
    assert {hit["item_id"] for hit in elsewhere["nearest"]} == {talks[1]}
    assert ask(site, item_ids=talks)["citations"][0]["item_id"] == talks[0]
    assert ask(site, filters={"item_id": talks[1]})["refused"]
    assert ask(site, filters={"item_id": talks[1]}, item_ids=[talks[0]])["nearest"] == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"question": "   "}, (422, "bad_request")),
        ({}, (422, "bad_request")),
        ({"question": "x", "other": 1}, (422, "bad_request")),
        ({"question": "x", "filters": {"nonsense": 1}}, (422, "bad_input")),
        ({"question": "x", "filters": {"owner": "somebody"}}, (422, "bad_input")),
        ({"question": "x", "item_ids": ["nobody"]}, (404, "not_found")),
        ({"question": "x", "chat_id": "nobody"}, (404, "not_found")),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_what_cannot_be_asked_is_a_problem_before_anything_is_answered(site, body, told, accept):
    answer = site.client.post("/api/chat", json=body, headers={"accept": accept})
    assert (answer.status_code, answer.json()["code"]) == told
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_stream_says_the_same_as_the_body(site, talks):
    events = streamed(site)
    names = [name for name, _ in events]
    assert names[-1] == "done"
    assert names[:2] == ["citation", "token"]
    body = events[-1][1]
    assert "".join(data["text"] for name, data in events if name == "token") == body["answer"]
    assert [data for name, data in events if name == "citation"] == body["citations"]
    whole = ask(site)
    for volatile in ("chat_id", "took_ms"):
        del whole[volatile], body[volatile]
    assert body == whole


def test_a_refusal_streams_too(site, talks):
    events = streamed(site, "Who won the chess tournament in Reykjavik?")
    assert [name for name, _ in events] == ["token", "done"]
    assert events[0][1] == {"text": events[1][1]["answer"], "supported": False, "citations": []}


def test_a_question_that_leans_on_the_one_before_is_put_together(site, talks):
    first = ask(site, "Who will share the schedule with the client?")
    again = ask(site, "And where?", chat_id=first["chat_id"])
    assert again["chat_id"] == first["chat_id"]
    assert again["looked_for"] == "And where? (share schedule client)"
    assert again["citations"][0]["quote"] == SHARED


def test_a_chat_goes_on_about_its_own_items(site, talks):
    first = ask(site, item_ids=[talks[1]], question="How much butter goes into the rice?")
    assert ask(site, "To which day did the budget meeting move?", chat_id=first["chat_id"])["refused"]
    assert not ask(site, QUESTION, chat_id=first["chat_id"], item_ids=talks)["refused"]


def test_history_has_titles_messages_and_pages(site, talks):
    first = ask(site, item_ids=[talks[0]])
    ask(site, "Why?", chat_id=first["chat_id"])
    ask(site, "How much butter goes into the rice?")
    told = site.client.get("/api/chats?limit=1").json()
    assert [chat["title"] for chat in told["items"]] == ["How much butter goes into the rice?"]
    rest = site.client.get("/api/chats", params={"cursor": told["next_cursor"]}).json()
    assert [(chat["id"], chat["title"]) for chat in rest["items"]] == [(first["chat_id"], QUESTION)]
    assert rest["next_cursor"] is None
    chat = site.client.get(f"/api/chats/{first['chat_id']}").json()
    assert [(m["role"], m["text"]) for m in chat["messages"]][:2] == [
        ("user", QUESTION),
        ("assistant", first["answer"]),
    ]
    assert chat["messages"][1]["citations"] == first["citations"]
    assert chat["messages"][1]["sentences"] == first["sentences"]
    assert chat["messages"][0]["item_ids"] == [talks[0]]
    assert chat["messages"][0]["at"].endswith("Z")
    page = site.client.get(f"/api/chats/{first['chat_id']}?limit=3").json()
    assert (len(page["messages"]), page["more"]) == (3, "3")
    last = site.client.get(f"/api/chats/{first['chat_id']}?cursor=3").json()
    assert [m["n"] for m in last["messages"]] == [4]


def test_a_chat_can_be_forgotten(site, talks):
    chat = ask(site)["chat_id"]
    assert site.client.delete(f"/api/chats/{chat}").status_code == 204
    assert site.client.get(f"/api/chats/{chat}").status_code == 404
    assert site.client.delete(f"/api/chats/{chat}").status_code == 404
    assert site.client.get("/api/chats").json() == {"items": [], "next_cursor": None}


def test_quotes_go_with_the_item(site, talks):
    chat = ask(site)["chat_id"]
    upkeep.bury(site.parts, talks[0])
    told = site.client.get(f"/api/chats/{chat}").json()
    assert (told["title"], told["messages"][1]["text"], told["messages"][1]["citations"]) == (QUESTION, "", [])
    assert ask(site)["refused"]


def test_nobody_reaches_what_is_somebody_elses(site, talks):
    stranger = Local(site.parts.settings, parts=site.parts, owner="stranger")
    told = stranger.chat(QUESTION)
    assert (told["refused"], told["nearest"], told["citations"]) == (True, [], [])
    with pytest.raises(NotFound):
        stranger.chat(QUESTION, item_ids=[talks[0]])
    own = ask(site)["chat_id"]
    for look in (
        lambda: stranger.chat(QUESTION, chat_id=own),
        lambda: stranger.chat_messages(own),
        lambda: stranger.forget_chat(own),
    ):
        with pytest.raises(NotFound):
            look()
    assert [chat["id"] for chat in stranger.chats()["items"]] == [told["chat_id"]]
    with pytest.raises(BadInput):
        stranger.chat(QUESTION, filters={"owner": "local"})


def test_the_command_lines_client_says_the_same_as_the_stores_here(site, talks):
    server = Server(site.parts.settings.root).start()
    here, there = Local(site.parts.settings, parts=site.parts), Remote(server.url, None)

    def plain(body):
        return {name: told for name, told in body.items() if name not in {"chat_id", "took_ms", "nearest"}}

    try:
        assert plain(there.chat(QUESTION)) == plain(here.chat(QUESTION))
        a, b = list(there.chatting(QUESTION, item_ids=talks)), list(here.chatting(QUESTION, item_ids=talks))
        assert a[:-1] == b[:-1]
        assert plain(a[-1]["data"]) == plain(b[-1]["data"])
        for both in (lambda n: n.chats(), lambda n: n.chat_messages(n.chats()["items"][0]["id"])):
            assert both(here) == both(there)
        for refused in (lambda: there.chat("x", chat_id="nobody"), lambda: list(there.chatting("x", chat_id="nobody"))):
            with pytest.raises(NotFound, match="no chat nobody"):
                refused()
        there.forget_chat(there.chats()["items"][0]["id"])
        assert len(here.chats()["items"]) == 3
    finally:
        there._http.close()
        server.end()
