"""enrichment: what a model infers from the transcript: summary, tags, chapters, action items and the like."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.states import Skipped
from nexus_pipeline.domain.timeline import Chapter
from nexus_pipeline.results import read, said
from nexus_pipeline.steps.serving import counted, parameters, served
from nexus_pipeline.steps.step import Landed, Step, Work, one_by_one, silent
from nexus_pipeline.wiring import Parts


@dataclass(frozen=True)
class Brought:
    """The part of raw's result that is said again here."""

    chapters: tuple[Chapter, ...] = ()


def enrichment(work: Work, parts: Parts) -> Landed:
    """One call of the enricher; its short facts go onto the item's row, where listings filter by them.

    Action items go into the catalog, which keeps what people did to those of earlier runs.
    """
    item = work.item
    heard = said(item, parts)
    engines, meter = counted(parts.engines.enrichers(item))
    done = served(
        engines,
        lambda e: e.enrich(heard, title=item.title, duration_s=item.duration_s, cancelled=work.cancelled),
    )
    found = done.result
    # who made it knows its chapters better than any model
    given = tuple(chapter for chapter in read(item, "raw", Brought, parts).chapters if chapter.title)
    found = replace(found, chapters=given or found.chapters)
    facts = {
        "summary": found.summary,
        "category": found.category,
        "sentiment": found.sentiment.label,
        "action_items": [asdict(one) for one in found.action_items],
    }
    numbers = {
        "tags": len(found.tags),
        "chapters": len(found.chapters),
        "action_items": len(found.action_items),
        "entities": len(found.entities),
        "sentiment": found.sentiment.score,
        **meter.usage.numbers,
    }
    return Landed(work, result=found, reason=done.because, facts=facts, numbers=numbers, engine=done.engine.name)


def _skip(item: Item, parts: Parts) -> Skipped | None:
    return silent(item, parts) or (Skipped.SWITCHED_OFF if not parts.engines.enrichers(item) else None)


def _parameters(item: Item, parts: Parts) -> Mapping[str, str]:
    return parameters(parts.engines.enrichers(item))


ENRICHMENT = Step(
    name="enrichment",
    code_version="3",
    run=one_by_one(enrichment),
    needs=("raw", "transcript"),
    wants=("speakers",),
    parameters=_parameters,
    skip=_skip,
    description="Summary, topics, tags, category, sentiment, chapters, action items, entities.",
    kinds=("ai",),
)
