"""An app over stores of its own, and the chain's steps in this process: what a worker would do."""

from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from nexus_api.app import create_app
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import Item
from nexus_pipeline.flow import Flow
from nexus_pipeline.machine import widths
from nexus_pipeline.settings import Settings
from nexus_pipeline.steps import CHAIN
from nexus_pipeline.turns import Run
from nexus_pipeline.wiring import Parts
from tests.ready import made_once
from tests.speech import MODELS, SENTENCES, SPEECH, speak

__all__ = ["made_once"]


@dataclass
class Site:
    """A client of the app, and its stores."""

    client: TestClient
    parts: Parts
    runs: int = 0

    def work(self, *item_ids: str) -> list[Item]:
        """What runs do with these items, or with all that wait; the items then."""
        ids = list(item_ids) or [item.id for item in self.parts.catalog.page(_waiting()).items]
        self.runs += 1
        run = Run(f"run-{self.runs}", f"run-{self.runs}", frozenset(STEPS))
        list(Flow(CHAIN, self.parts, run, widths(self.parts.settings)).land(ids))
        return list(self.parts.catalog.find(ids).values())

    def send(self, path, **fields):
        """Upload a file, as a form does."""
        with path.open("rb") as file:
            return self.client.post("/api/media/file", files={"file": (path.name, file)}, data=fields)


def _waiting():
    from nexus_pipeline.domain.listing import ItemQuery
    from nexus_pipeline.domain.states import ItemState

    return ItemQuery(states=(ItemState.WAITING,), limit=1000)


def settings(home, **more):
    return Settings(home=home, speech=SPEECH, models=MODELS, _env_file=None, **more)


@pytest.fixture
def site(tmp_path):
    """An empty one."""
    with TestClient(create_app(settings(tmp_path / "home"))) as client:
        yield Site(client, client.app.state.parts)


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """Three files with a sentence each."""
    folder = tmp_path_factory.mktemp("spoken")
    return [speak(folder / f"talk {n}.wav", [SENTENCES[n], SENTENCES[n + 3]]) for n in range(3)]


@pytest.fixture(scope="module")
def full(tmp_path_factory, spoken):
    """One with three heard items; tests of a module share it and leave it as it was."""
    with TestClient(create_app(settings(tmp_path_factory.mktemp("site") / "home"))) as client:
        found = Site(client, client.app.state.parts)
        for path in spoken:
            assert found.send(path, tags="talks").status_code == 202
        assert {item.state.value for item in found.work()} == {"done"}
        yield found
