"""Whom a server without sign-in answers, and what a stranger's page cannot do."""

import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_api.guards import own_name
from tests.api.conftest import settings


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "nas", "192.168.1.5", "x.localhost:80"])
def test_an_address_or_a_name_without_a_dot_is_ours(host):
    assert own_name(host, ())


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000"])
def test_a_name_that_somebody_else_may_lead_here_is_not(host):
    assert not own_name(host, ())
    assert not own_name(host, ("nexus.example",))


def test_the_name_of_the_site_is_ours(tmp_path):
    with TestClient(create_app(settings(tmp_path, site="https://nexus.example"))) as client:
        assert client.get("/api/media", headers={"host": "nexus.example"}).status_code == 200
        assert client.get("/api/media", headers={"host": "other.example"}).status_code == 403
        origin = {"host": "127.0.0.1:8000", "origin": "https://nexus.example"}
        assert client.post("/api/asks", json={"ask": "retry", "ids": []}, headers=origin).status_code == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/asks"), ("POST", "/api/media/file"), ("DELETE", "/api/media/x"), ("PATCH", "/api/media/x")],
)
def test_a_page_of_another_site_changes_nothing(site, method, path):
    for origin in ("https://evil.example", "null", "http://testserver.evil.example", "http://localhost:9999"):
        answer = site.client.request(method, path, headers={"origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_page"), origin


def test_our_own_pages_may(site):
    own = {"origin": "http://testserver"}
    assert site.client.post("/api/asks", json={"ask": "retry", "ids": []}, headers=own).status_code == 202


def test_what_goes_wrong_inside_is_a_problem_without_details(tmp_path):
    app = create_app(settings(tmp_path))

    @app.get("/api/broken")
    def broken():
        raise RuntimeError("secret inside")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/api/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "unexpected")
    assert "secret" not in answer.text
