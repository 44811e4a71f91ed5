"""The HTTP side as it is today: an item's page and JSON, problem documents, health."""

import json

import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.settings import Settings


@pytest.fixture
def client(tmp_path):
    with TestClient(create_app(Settings(home=tmp_path))) as client:
        yield client


@pytest.fixture
def item(client):
    new = NewItem("local", "inbox:a@1", "inbox", "Bread & <b>butter</b>")
    return client.app.state.parts.catalog.add([new])[0]


def test_health_says_that_it_lives_and_can_work(client):
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_an_item_is_the_contracts_json(client, item):
    told = client.get(f"/api/media/{item.id}").json()
    assert (told["id"], told["title"], told["state"]) == (item.id, item.title, "waiting")
    assert [step["step"] for step in told["steps"]] == list(STEPS)


def test_the_page_that_dagster_links_to_shows_the_item_and_escapes_what_people_wrote(client, item):
    page = client.get(f"/items/{item.id}")
    assert page.headers["content-type"].startswith("text/html")
    assert "Bread &amp; &lt;b&gt;butter" in page.text
    assert "<b>butter" not in page.text


def test_an_unknown_item_is_a_problem_document(client):
    answer = client.get("/api/media/nosuchitem")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.text)["code"] == "not_found"
