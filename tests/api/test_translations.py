"""A transcript in another language: over HTTP, by the command line here, and by the command line of another machine."""

import json
import os
import subprocess
import sys
from contextlib import closing

import pysubs2
import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_pipeline.engines import TRANSLATORS
from tests.api.conftest import Site, settings
from tests.api.server import Server
from tests.commands import ROOT, nexus
from tests.running import srt
from tests.speech import SENTENCES
from tests.translators import ENTRY, GERMAN

SAID = SENTENCES[:3]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("translated") / "home"


@pytest.fixture(scope="module")
def told(home, tmp_path_factory):
    """A site with one item, in English and German; French could not be had."""
    path = tmp_path_factory.mktemp("talk") / "talk.srt"
    path.write_bytes(srt(*SAID))
    with pytest.MonkeyPatch.context() as patch, TestClient(create_app(settings(
        home, translate_to="de,fr", translator="phrasebook:refuses-fr"
    ))) as client:  # fmt: skip
        for name, entry in ENTRY.items():
            patch.setitem(TRANSLATORS, name, entry)
        site = Site(client, client.app.state.parts)
        assert site.send(path).status_code == 202
        [item] = site.work()
        yield site, item.id


def ask(told, query="", code=200):
    site, item_id = told
    answer = site.client.get(f"/api/media/{item_id}/transcript{query}")
    assert answer.status_code == code
    return answer


def test_the_json_says_which_languages_there_are(told):
    spoken = ask(told).json()
    assert (spoken["language"], spoken["languages"]) == ("en", ["en", "de"])
    german = ask(told, "?language=de").json()
    assert (german["language"], german["languages"], german["engine"]) == ("de", ["en", "de"], "phrasebook:refuses-fr")
    assert [s["text"] for s in german["segments"]] == [GERMAN[text] for text in SAID]
    for a, b in zip(spoken["segments"], german["segments"], strict=True):
        assert (a["id"], a["start_s"], a["end_s"]) == (b["id"], b["start_s"], b["end_s"])
    assert ask(told, "?language=EN-us").json() == spoken
    assert ask(told, "?language=de-AT").json() == german


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_a_track_of_each_language_has_the_same_times(told, form):
    spoken, german = (
        pysubs2.SSAFile.from_string(ask(told, f"?format={form}&language={language}").text, format_=form)
        for language in ("en", "de")
    )
    assert [(cue.start, cue.end) for cue in german] == [(cue.start, cue.end) for cue in spoken]
    assert [cue.plaintext for cue in german] == [GERMAN[text] for text in SAID]


def test_a_language_that_is_not_there_says_which_are_and_why_not(told):
    detail = ask(told, "?language=fr", 404).json()["detail"]
    assert "spoken in en and translated into de" in detail
    assert "refuses-fr will not do it" in detail
    detail = ask(told, "?language=ja", 404).json()["detail"]
    assert "spoken in en and translated into de" in detail
    assert "NEXUS_TRANSLATE_TO" in detail
    ask(told, "?language=%20", 422)


def test_a_search_says_in_which_language_it_found(told):
    site, item_id = told

    def hits(query, **filters):
        asked = {"query": query, "mode": "words", "filters": filters}
        return [(h["item_id"], h["language"]) for h in site.client.post("/api/search", json=asked).json()["hits"]]

    assert hits("Klavier") == [(item_id, "de")]
    assert hits("piano") == [(item_id, "en")]
    assert hits("museum") in ([(item_id, "de")], [(item_id, "en")])
    assert hits("museum", language="de") == [(item_id, "de")]
    assert hits("Klavier", language="en") == []


def test_the_command_line_has_it_here_and_from_a_server(told, home, monkeypatch):
    _, item_id = told
    german = ask(told, "?format=srt&language=de").text
    monkeypatch.setenv("NEXUS_HOME", str(home))
    monkeypatch.chdir(home)
    here = nexus("transcript", item_id[:6], "--language", "de", "--format", "srt").stdout
    missing = nexus("transcript", item_id, "--language", "ja", code=1).stderr
    with closing(Server(home).start()) as server:

        def there(*arguments, code=0):
            """The command line of another machine."""
            argv = [sys.executable, "-m", "nexus_api.cli", "transcript", *arguments]
            environment = os.environ | {"NEXUS_URL": server.url, "NEXUS_HOME": str(home / "nowhere")}
            done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stderr
            return done.stderr if code else done.stdout

        assert here == there(item_id[:6], "--language", "de", "--format", "srt") == german
        assert there(item_id, "--language", "ja", code=1) == missing
        assert json.loads(there(item_id, "--json"))["languages"] == ["en", "de"]
