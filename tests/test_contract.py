"""The contract against what there is: routes and fields by the OpenAPI document, commands by the command line's help.

What is not there must stand in one of two lists: `LATER` is this version's own and is emptied as it lands, `EXEMPT` is
another version's and says why. A line of either that has landed fails: it must go.
"""

import re

import pytest
from fastapi.testclient import TestClient
from starlette.routing import WebSocketRoute

from nexus_api.app import create_app
from nexus_pipeline.domain.items import Kind
from nexus_pipeline.domain.states import ItemState, State
from nexus_pipeline.settings import Settings
from nexus_pipeline.sources import SOURCES
from tests import contract
from tests.api.conftest import settings
from tests.commands import nexus
from tests.contract import ROOT, Route

LATER: set[str] = set()
"""Of this version, and not there yet."""

_SUBSCRIPTIONS = "subscriptions come with the sources that can be followed"
_ABROAD = "import and export come with portability"
_SIGN_IN = "keys and roles come with sign-in"
_COSTS = "what is stale, backfills, the ledger and budgets come together: a backfill is priced before it runs"
EXEMPT = {
    "POST /api/uploads/{}/complete": "presigned parts come with S3",
    "* /api/subscriptions": _SUBSCRIPTIONS,
    "nexus subscribe": _SUBSCRIPTIONS,
    "nexus subscriptions": _SUBSCRIPTIONS,
    "nexus export": _ABROAD,
    "nexus import": _ABROAD,
    "* /api/keys": _SIGN_IN,
    "nexus keys": _SIGN_IN,
    "NEXUS_AUTH": _SIGN_IN,
    "GET /api/stale": _COSTS,
    "POST /api/backfills": _COSTS,
    "GET /api/costs": _COSTS,
    "GET /api/budget": _COSTS,
    "PUT /api/budget": _COSTS,
    "nexus stale": _COSTS,
    "nexus budget": _COSTS,
    "NEXUS_BUDGET": _COSTS,
    "nexus mcp": "agents come after sign-in: they want keys of their own",
    "NEXUS_PICTURES": "no step looks at pictures yet",
}
"""Of a later version, with the reason."""

NO_CURSOR = {
    "/api/media/{}/scenes": "no step looks at pictures yet",
}
"""Lists that are told in one piece."""
OTHERWISE = {"/api/chats/{}": "messages"}
"""Pages whose items the contract calls by another name."""

FACTS = ("add", "ls", "show", "transcript", "search", "ask", "retry", "rerun", "cancel", "rm", "rebuild", "care",
         "models", "doctor")  # fmt: skip
"""Commands that print facts, and so know `--json`."""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return create_app(settings(tmp_path_factory.mktemp("contract") / "home"))


@pytest.fixture(scope="module")
def document(app):
    with TestClient(app) as client:
        return client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def there(app, document):
    """Routes by method and path, with the names of their parameters."""
    found = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path)): {p["name"] for p in operation.get("parameters", ())}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    sockets = {re.sub(r"\{\w+\}", "{}", route.path) for route in _all(app.routes) if isinstance(route, WebSocketRoute)}
    return found | {("WS", path): {"last_event_id"} for path in sockets}


def _all(routes):
    """Those of included routers too."""
    for route in routes:
        below = getattr(route, "original_router", None)
        yield from _all(below.routes) if below else (route,)


def is_there(route, there):
    if route.method == "*":
        return any(path.startswith(route.path) for _, path in there)
    return (route.method, route.path) in there


def schema(document, name):
    return document["components"]["schemas"][name]


def properties(document, told):
    """The fields of a schema, through references, lists and what may be null."""
    if "$ref" in told:
        return properties(document, schema(document, told["$ref"].rsplit("/", 1)[1]))
    for inner in told.get("anyOf", ()):
        if inner.get("type") != "null":
            return properties(document, inner)
    return properties(document, told["items"]) if "items" in told else told.get("properties", {})


def lacking(document, told, wanted, at=""):
    """Fields of the contract that a schema does not have, by their paths."""
    fields = properties(document, told)
    for name, below in wanted.items():
        if name not in fields:
            yield f"{at}{name}"
        elif below:
            yield from lacking(document, fields[name], below, f"{at}{name}.")


# ---------------------------------------------------------------- the copy


def test_the_copy_is_the_contract():
    """Where the original lies beside the tree; a clone has the copy only."""
    beside = ROOT.parent / "shared" / "contract.md"
    assert [p for p in (beside,) if p.exists() and p.read_text("utf-8") != contract.text()] == []


def test_it_is_read_whole():
    assert len(contract.routes()) > 45
    assert {Route("GET", "/api/media/{}/waveform"), Route("WS", "/ws/status/{}")} <= contract.routes()
    assert Route("POST", "/api/media/{}/rerun", ("from",)) in contract.routes()
    assert {Route("GET", "/api/searches"), Route("DELETE", "/api/searches")} <= contract.routes()
    assert Route("GET", "/api/receipts/{}") in contract.routes()
    assert len(contract.shape("Item")) == 27
    assert contract.shape("step")["error"] == {"code": {}, "message": {}, "retryable": {}, "next_attempt_at": {}}
    assert set(contract.shape("Transcript")["segments"]["words"]) == {"start_s", "end_s", "text"}
    assert contract.commands()["keys"] == (("--role",), ("add", "ls", "rm"))
    assert len(contract.commands()) == 23
    assert "bench-%" in contract.targets()
    assert "duplicate" in contract.states()


# ---------------------------------------------------------------- routes


def test_every_route_is_there_with_its_parameters(there):
    away = {str(route) for route in contract.routes() if not is_there(route, there)}
    assert away - LATER - set(EXEMPT) == set()
    wanted = [route for route in contract.routes() if str(route) not in away and route.method != "*"]
    assert [
        f"{route} ?{name}"
        for route in wanted
        for name in route.parameters
        if name not in there[route.method, route.path]
    ] == []


def test_what_has_landed_stands_in_no_list(there, document):
    told = {str(route): route for route in contract.routes()}
    waits = LATER | set(EXEMPT)
    landed = [name for name in waits if name in told and is_there(told[name], there)]
    landed += [name for name in waits if name.startswith("nexus ") and name.split()[1] in helped()]
    landed += [name for name in waits if name.startswith("NEXUS_") and name[6:].lower() in Settings.model_fields]
    assert landed == []
    named = set(told) | {f"nexus {name}" for name in contract.commands()} | contract.settings()
    assert waits - named == set()


def test_items_are_listed_by_all_that_the_contract_names(there):
    assert {*contract.filters(), "sort", "limit", "cursor"} <= there["GET", "/api/media"]


def test_lists_are_pages_of_200_at_most(document):
    wrong = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation["responses"].get("200", {}).get("content", {})
            fields = properties(document, content.get("application/json", {}).get("schema", {}))
            if method != "get" or "next_cursor" not in fields:
                continue
            told = {p["name"]: p["schema"] for p in operation.get("parameters", ())}
            plain = re.sub(r"\{\w+\}", "{}", path)
            if plain not in NO_CURSOR and ("cursor" not in told or told.get("limit", {}).get("maximum") != 200):
                wrong.append(path)
            if OTHERWISE.get(plain, "items") not in fields:
                wrong.append(path)
    assert wrong == []


def test_errors_have_the_contracts_fields(document):
    told = re.search(r"problem documents: `([^`]+)` and our (.*?)\.", contract.section(4))
    wanted = {*told[1].split(", "), *re.findall(r"`(\w+)`", told[2])}
    assert set(properties(document, schema(document, "Problem"))) == wanted
    refused = {
        media
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status >= "400"
        for media in answer.get("content", {})
    }
    assert refused == {"application/problem+json"}


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("name", "in_document"),
    [
        ("Item", "Item"),
        ("step", "Step"),
        ("Hit", "Hit"),
        ("Transcript", "Transcript"),
        ("Enrichment", "Enrichment"),
        ("Scene", "Scene"),
    ],
)
def test_every_field_is_there(document, name, in_document):
    assert list(lacking(document, schema(document, in_document), contract.shape(name))) == []


def test_bodies_have_the_contracts_fields(document):
    table = contract.section(4)
    for name, pattern in (
        ("Process", r"`POST /api/media/process` \| `(\{.*?\}\})`"),
        ("Search", r"`POST /api/search` \| `(\{.*?\}\})`"),
        ("Found", r"`POST /api/search` \| .*? -> `(\{.*?\})`;"),
        ("Receipt", r"`GET /api/receipts/\{id\}` -> `(\{.*?\})` once"),
        ("Ask", r"`POST /api/chat` \| `(\{.*?\})` ->"),
        ("Answer", r"`POST /api/chat` \| .*? -> `(\{.*?\})`, or"),
        ("Message", r"history: messages `(\{.*?\})`"),
    ):
        wanted = contract.braces(re.search(pattern, table)[1])
        assert wanted
        assert list(lacking(document, schema(document, name), wanted)) == [], name


def test_a_persons_changes_and_history_are_there(document):
    assert {"title", "tags", "speakers", "segments"} <= set(schema(document, "Patch")["properties"])
    wanted = re.search(r"one's own history: ([\w, ]+);", contract.section(4))[1].split(", ")
    assert set(wanted) <= set(schema(document, "Searched")["properties"])


def test_states_kinds_and_platforms_are_those_of_the_contract():
    assert {state.value for state in ItemState} == set(contract.states())
    assert {state.value for state in State} == set(contract.values("state"))
    assert {kind.value for kind in Kind} == set(contract.values("kind"))
    assert {source.name for source in SOURCES} | {"none"} == set(contract.values("platform"))


# ---------------------------------------------------------------- commands, settings, targets


def help_of(*command):
    """What `--help` says, wide enough for nothing to be cut, without colours."""
    told = nexus(*command, "--help", env={"COLUMNS": "240", "NO_COLOR": "1", "TERM": "dumb"}).stdout
    return re.sub(r"\x1b\[[0-9;]*m", "", told)


def helped():
    """The commands that `nexus --help` lists."""
    return {name for name in contract.commands() if re.search(rf"^\W*{name}\b", help_of(), re.MULTILINE)}


def test_every_command_is_listed():
    away = {f"nexus {name}" for name in set(contract.commands()) - helped()}
    assert away - LATER - set(EXEMPT) == set()


@pytest.mark.parametrize("name", [n for n in contract.commands() if f"nexus {n}" not in LATER | set(EXEMPT)])
def test_every_command_has_its_options_and_help(name):
    options, below = contract.commands()[name]
    told = help_of(name)
    wanted = [*options, *(["--json"] if name in FACTS else [])]
    assert [one for one in wanted if not re.search(rf"{one}\b", told)] == []
    assert [one for one in below if not re.search(rf"\b{one}\b", told)] == []


def test_every_setting_is_there():
    away = {name for name in contract.settings() if name[6:].lower() not in Settings.model_fields}
    assert away - LATER - set(EXEMPT) == set()


def test_every_target_of_make_is_there():
    make = (ROOT / "Makefile").read_text("utf-8")
    assert [name for name in contract.targets() if not re.search(rf"^{re.escape(name)}:", make, re.MULTILINE)] == []
