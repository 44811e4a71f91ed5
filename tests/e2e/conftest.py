"""A home of its own for each test, what is in it, and a file to add."""

import os

import pytest

from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts
from tests.ready import made_once

__all__ = ["made_once"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("NEXUS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def parts(home):
    return Parts(Settings())


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "A talk.mp3"
    path.write_bytes(b"some sound")
    return path
