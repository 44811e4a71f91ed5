"""URLs through the chain: what comes with a page is used, and every way to a thing ends at one item."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from nexus_api.adding import Said, add_url
from nexus_pipeline.chain import build_chain
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.domain.timeline import Chapter, Enrichment, Transcript
from nexus_pipeline.results import read
from nexus_pipeline.settings import Settings
from nexus_pipeline.sources.fetching import follow
from nexus_pipeline.wiring import Parts
from tests.contracts.site_parts import serving
from tests.ready import dagster_at
from tests.running import Runs
from tests.speech import MODELS, SPEECH


class Named(Parts):
    """The real parts, but that names of shorteners resolve to this machine."""

    def leads_to(self, url, cancelled):
        """Where a short link leads."""
        if not self.source(url).short(url):
            return super().leads_to(url, cancelled)
        return follow(url, self.limits, cancelled, child="tests.contracts.named_child")


@pytest.fixture
def parts(tmp_path):
    home = tmp_path / "home"
    return Named(Settings(home=home, speech=SPEECH, models=MODELS, allow_hosts="127.0.0.1"))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    with serving(tmp_path / "site") as (url, handler):
        yield url, handler


@pytest.fixture
def runs(parts, tmp_path):
    with dagster_at(tmp_path / "dagster") as instance:
        yield Runs(build_chain(64), parts, instance)


def of(parts, url):
    """A new item, as it is made of an address."""
    address = parts.followed(url)
    return NewItem("local", address, "url", address, platform=parts.source(address).name)


def test_words_subtitles_and_chapters_of_a_page_are_those_of_the_item(runs, site):
    url, handler = site
    said = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": "A talk about bread",
        "description": "How it rises. #Sourdough",
        "uploadDate": "2024-03-01T10:00:00Z",
        "author": "A baker",
        "hasPart": [{"@type": "Clip", "name": n, "startOffset": s} for n, s in (("Flour", 0), ("Oven", 10))],
        "duration": "PT20S",
    }
    (handler.folder / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:04.000\nGood morning, we bake bread.\n")
    (handler.folder / "page.html").write_text(
        f"<html><head><script type='application/ld+json'>{json.dumps(said)}</script></head><body>"
        "<video src='/talk.mp3'><track kind='subtitles' srclang='en' src='/a.vtt'></video></body></html>"
    )
    [item] = runs.add(of(runs.parts, f"{url}/page.html?utm_source=x"))
    assert runs.go([item]).success
    now = runs.now(item)
    assert now.state is ItemState.DONE
    assert (now.title, now.author, now.platform) == ("A talk about bread", "A baker", "web")
    assert now.description == "How it rises. #Sourdough"
    assert now.published_at == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert "sourdough" in now.tags
    heard = read(now, "transcript", Transcript, runs.parts)
    assert heard.engine == "file:vtt"
    assert [(s.start_s, s.text) for s in heard.segments] == [(1.0, "Good morning, we bake bread.")]
    chapters = read(now, "enrichment", Enrichment, runs.parts).chapters
    assert chapters == (Chapter(0.0, 10.0, "Flour"), Chapter(10.0, 20.0, "Oven"))


def test_a_short_link_and_what_it_stands_for_are_one_item(parts, site):
    url, handler = site
    handler.links = {"a": f"{url}/talk.mp3?utm_source=x"}
    link = f"http://bit.ly:{url.rpartition(':')[2]}/link/a"
    long = add_url(parts, f"{url}/talk.mp3", Said())
    short = add_url(parts, link, Said())
    assert short.item.id == long.item.id
    assert (long.new, short.new) == (True, False)
    assert handler.asked == []  # nothing is asked but the shortener


def test_a_short_link_that_could_not_be_followed_ends_linked_to_the_item_of_its_address(runs, site, caplog):
    url, handler = site
    caplog.set_level("INFO")
    link = f"http://bit.ly:{url.rpartition(':')[2]}/link/a"
    first, late = runs.add(of(runs.parts, f"{url}/talk.mp3"), of(runs.parts, link))
    assert late.origin == link
    assert "a short link is followed later" in caplog.text
    handler.links = {"a": f"{url}/talk.mp3"}
    steps = ["raw", "fingerprint"]
    assert runs.go([first], selection=steps).success
    handler.asked.clear()
    assert runs.go([late], selection=steps).success
    assert handler.asked == []  # its bytes are the other's
    now = runs.now(late)
    assert now.duplicate_of == first.id
    assert now.title == "talk"
    assert not list((runs.parts.settings.cache / "fetching").iterdir())


def test_a_site_that_asks_to_wait_is_left_alone_for_so_long(runs, site):
    url, _ = site
    [item] = runs.add(of(runs.parts, f"{url}/status/429?after=4000"))
    runs.go([item], selection=["raw"])
    step = runs.now(item).step("raw")
    assert (step.state, step.error_code) == (State.FAILED, "source_busy")
    assert timedelta(seconds=3900) < step.next_attempt_at - datetime.now(UTC) <= timedelta(seconds=4000)
