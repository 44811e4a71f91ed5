"""A language model for tests that answers as it is told to, and enrichers over it."""

import json
import re
from typing import ClassVar

from nexus_pipeline.domain.errors import Cancelled, EngineRefused
from nexus_pipeline.engines import EMBEDDERS, build
from nexus_pipeline.engines.forms import Told
from nexus_pipeline.engines.language_enricher import LanguageEnricher
from nexus_pipeline.engines.site import EngineSite

WHOLE = {
    "summary": "They talk about a budget.",
    "summary_long": "They talk about a budget.\nAnd about more.",
    "topics": ["Budget"],
    "tags": ["Budget", "money"],
    "category": "business",
    "suggested_title": "A budget",
}
NONE = {"sentiment": {"label": "neutral", "score": 0.0}}
NONE |= {name: [] for name in ("chapters", "action_items", "entities", "speakers")}


def told(**more):
    """A form that is filled in, with these fields otherwise."""
    return WHOLE | NONE | more


def promise(quote, at_s=0.0, **more):
    return {
        "task": "Send it",
        "priority": "medium",
        "assignee": None,
        "estimate": None,
        "at_s": at_s,
        "quote": quote,
    } | more


def chapter(quote, start_s=0.0, title="Subject"):
    return {"title": title, "start_s": start_s, "quote": quote}


def named(name, quote, at_s=0.0, **more):
    return {"name": name, "kind": "person", "at_s": at_s, "quote": quote} | more


class Scripted:
    """Obeys the port LanguageModel; `answer` gives the form for a question, or an error to raise."""

    name = "scripted:one"

    def __init__(self, answer=None, *, window=100_000, pieces=()):
        self.answer = answer or (lambda _question, form: told() if form is Told else WHOLE)
        self.window, self.pieces = window, pieces
        self.asked = []

    def parameters(self):
        return {"engine": "scripted", "model": "one"}

    def ask(self, system, question, schema, cancelled):
        if cancelled():
            raise Cancelled("stopped")
        self.asked.append((system, question))
        found = self.answer(question, schema)
        if isinstance(found, Exception):
            raise found
        return schema.model_validate_json(json.dumps(found))

    def tell(self, system, question, cancelled):
        self.asked.append((system, question))
        for piece in self.pieces:
            if cancelled():
                raise Cancelled("stopped")
            yield piece


def data_of(question):
    """What stands between the marks."""
    return re.search(r"<data (\w+)>\n(.*)\n</data \1>", question, re.DOTALL)[2]


class OfCatalogue(LanguageEnricher):
    """An enricher that a test puts into the catalogue; its class says how the model answers."""

    model = staticmethod(Scripted)

    @classmethod
    def build(cls, model, site):
        return cls(cls.model())

    @classmethod
    def present(cls, model, site):
        return None

    @classmethod
    def get(cls, model, site):
        return None


class Refusing(OfCatalogue):
    """Its rules of safety forbid everything."""

    model = staticmethod(lambda: Scripted(lambda _q, _f: EngineRefused("the engine refuses this transcript")))


class Promising(OfCatalogue):
    """Finds what `says` holds at the time: what an engine finds may differ from run to run."""

    says: ClassVar[list] = []
    model = staticmethod(
        lambda: Scripted(lambda _q, form: told(action_items=Promising.says) if form is Told else WHOLE)
    )


def over_minilm(catalogue, name, cache):
    """An engine of the catalogue whose site has the real embedder, loaded when it is first needed."""
    made = []

    def embedder():
        if not made:
            made.append(build(EMBEDDERS, "minilm", site))
        return made[0]

    site = EngineSite(models=None, cache=cache, threads=1, embedder=embedder)
    return build(catalogue, name, site)
