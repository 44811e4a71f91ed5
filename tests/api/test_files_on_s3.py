"""Where blobs lie on S3, the store itself serves them: by an address that is signed for an hour."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from tests.api.conftest import Site, settings
from tests.contracts.s3_server import BUCKET, serving_s3


@pytest.fixture
def on_s3(tmp_path, monkeypatch):
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with serving_s3() as server:
        blobs = {"blobs": f"s3://{BUCKET}/nexus", "inbox": f"s3://{BUCKET}/inbox", "s3_endpoint": server.endpoint}
        with TestClient(create_app(settings(tmp_path / "home", **blobs)), follow_redirects=False) as client:
            yield Site(client, client.app.state.parts)


def test_an_upload_is_heard_and_played_from_the_store_itself(on_s3, spoken):
    item = on_s3.send(spoken[0]).json()["id"]
    assert [done.state for done in on_s3.work(item)] == ["done"]
    for path, kind in (("play", "audio/wav"), ("file?which=speech", "audio/flac"), ("file", "audio/x-wav")):
        answer = on_s3.client.get(f"/api/media/{item}/{path}")
        assert (answer.status_code, answer.content) == (307, b"")
        signed = parse_qs(urlsplit(answer.headers["location"]).query)
        assert signed["X-Amz-Expires"] == ["3600"]
        assert signed["response-content-type"] == [kind]
        assert "test" not in signed.get("X-Amz-Signature", [""])[0]
        part = httpx.get(answer.headers["location"], headers={"range": "bytes=0-3"}, trust_env=False)
        assert (part.status_code, part.content) == (206, b"fLaC" if "speech" in path else b"RIFF")
    whole = httpx.get(on_s3.client.get(f"/api/media/{item}/file").headers["location"], trust_env=False)
    assert whole.content == spoken[0].read_bytes()
    on_s3.client.delete(f"/api/media/{item}")
    assert list(on_s3.parts.blobs.under("items/")) == []
