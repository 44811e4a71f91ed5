"""`nexus ask`: the answer as it comes, then what it stands on."""

from nexus_api.cli.asking import told_of
from nexus_api.local import Local
from nexus_pipeline.settings import Settings
from tests.commands import added, document, heard, nexus


class Answering(Local):
    """Answers what it is given, event by event, as a chat does."""

    def __init__(self, *args, said, **more):
        super().__init__(*args, **more)
        self.said, self.asked = said, []

    def chatting(self, question, **asked):
        self.asked.append((question, asked))
        yield from self.said


def token(text, *, supported=True):
    return {"event": "token", "data": {"text": text, "supported": supported, "citations": []}}


def done(**told):
    body = {"chat_id": "c1", "answer": "", "citations": [], "refused": False, "sentences": [], "nearest": []}
    return {"event": "done", "data": body | told}


def test_an_answer_is_printed_as_it_comes_with_its_sources(parts, talk, capsys):
    [item] = added(talk)
    heard(parts, item["id"])
    cited = {"n": 1, "item_id": item["id"], "start_s": 64.0, "end_s": 70.0, "quote": "seven apple trees\x1b[2J"}
    nexus = Answering(Settings(), said=[token("Seven [1]."), token("\n\x1b[31mMany."), done(citations=[cited])])
    told = told_of(nexus, "How many?", {"chat_id": None, "item_ids": [], "filters": None})
    out, err = capsys.readouterr()
    assert out == f"Seven [1].\n [31mMany.\n\n[1]\t1:04\tA talk\tseven apple trees[2J\t{item['id']}\n"
    assert "nexus ask --chat c1" in err
    assert told["chat_id"] == "c1"


def test_sentences_on_which_no_quote_stands_are_told(parts, capsys):
    sentences = [{"text": "It rained.", "supported": False, "citations": []}]
    told_of(Answering(Settings(), said=[token("It rained."), done(sentences=sentences)]), "Did it?", {})
    assert "No quote stands for: It rained." in capsys.readouterr().err


def test_a_refusal_shows_what_comes_nearest(parts, talk, capsys):
    [item] = added(talk)
    heard(parts, item["id"])
    near = Local(Settings()).search("apple", mode="words", limit=1, filters={})["hits"]
    told_of(Answering(Settings(), said=[token("It does not say."), done(refused=True, nearest=near)]), "Why?", {})
    out = capsys.readouterr().out
    assert out.startswith("It does not say.\n")
    assert "1:04" in out


def test_an_archive_answers_and_a_chat_goes_on(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    told = document("ask", "How", "many", "apple", "trees", "will", "we", "buy?", "--item", item["id"][:4])
    assert (told["refused"], [c["start_s"] for c in told["citations"]]) == (False, [64.0])
    again = document("ask", "Will we buy apple trees?", "--chat", told["chat_id"])
    assert again["chat_id"] == told["chat_id"]
    lines = nexus("ask", "How many apple trees will we buy?").stdout.splitlines()
    assert lines[0] == "We will buy seven apple trees. [1]"
    assert lines[2].split("\t")[:3] == ["[1]", "1:04", "A talk"]


def test_where_the_archive_does_not_say_it_ends_with_1(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    told = nexus("ask", "What did the president say about tax?", code=1)
    assert "The archive does not say." in told.stdout
    assert document("ask", "What did the president say about tax?", code=1)["refused"]
