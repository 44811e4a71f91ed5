"""The OpenAPI document against the app itself: schemathesis asks everything that it allows, in chains of requests."""

from itertools import count

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings

from nexus_api.app import create_app
from nexus_api.schemas import StepName
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.wiring import Parts
from tests.api.conftest import settings as of_home

STREAMS = ["/api/events", "/api/media/{item_id}/events"]
"""They do not end by themselves; tests of their own follow them."""


def test_the_document_names_the_chains_steps():
    assert StepName.__args__ == STEPS


def test_every_operation_is_described(site):
    paths = site.client.get("/openapi.json").json()["paths"]
    operations = [op for path in paths.values() for op in path.values()]
    assert len(operations) > 20
    assert [op["operationId"] for op in operations if not op.get("description")] == []
    ids = [op["operationId"] for op in operations]
    assert len(set(ids)) == len(ids)
    problems = {"application/problem+json"}
    assert all(set(op["responses"]["422"]["content"]) == problems for op in operations)


schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
"""The same requests in every run: what they find is not found by chance."""


BEYOND = [schemathesis.checks.positive_data_acceptance]
"""What is a web address, an engine, a cursor or an id of something that is there, no schema says."""


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The app's own document, asked for in this process."""
    with TestClient(create_app(of_home(tmp_path_factory.mktemp("schema") / "home"))) as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
        yield schema.exclude(path=STREAMS)


def test_every_answer_is_as_the_document_says(document):
    asked = 0
    for found in document.get_all_operations():
        operation = found.ok()

        @FEW
        @given(case=operation.as_strategy())
        def answers(case):
            case.call_and_validate(excluded_checks=BEYOND)

        answers()
        asked += 1
    assert asked > 20


def test_chains_of_requests_are_answered_as_the_document_says(document, tmp_path):
    homes = count()

    class Chains(document.as_state_machine()):
        def setup(self):  # nothing of the chain before it is there
            document.app.state.parts = Parts(of_home(tmp_path / str(next(homes))))

        def validate_response(self, response, case, additional_checks=(), **how):
            case.validate_response(response, additional_checks=additional_checks, excluded_checks=BEYOND, **how)

    Chains.run(settings=settings(FEW, max_examples=25, stateful_step_count=10))
