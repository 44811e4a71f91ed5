"""Fixtures of several suites. Vendors are imported only where they are used: not every suite wants all of them."""

import pytest


@pytest.fixture(scope="session")
def s3():
    """A real S3 server on loopback, started once."""
    from tests.contracts.s3_server import serving_s3

    with serving_s3() as server:
        yield server


@pytest.fixture
def archive(tmp_path):
    """An archive in which nothing was written."""
    from tests.contracts.archive_parts import open_archive

    return open_archive(tmp_path / "archive")


@pytest.fixture
def filled(archive):
    """An archive with two items of two owners."""
    from tests.contracts.archive_parts import fill

    fill(archive)
    return archive


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with media, made once: tests change copies only."""
    from tests.contracts.media_parts import fill

    folder = tmp_path_factory.mktemp("media")
    fill(folder)
    return folder


@pytest.fixture
def media():
    """The real ffmpeg."""
    from nexus_pipeline.engines.ffmpeg import FFmpeg

    return FFmpeg(max_duration_s=3600, max_bytes=10**9)


@pytest.fixture
def openai():
    """A server that speaks OpenAI's API."""
    from tests.openai_server import serving

    with serving() as server:
        yield server


@pytest.fixture
def gemini():
    """A server on loopback that speaks Gemini's API."""
    from tests.gemini_server import serving

    with serving() as server:
        yield server
