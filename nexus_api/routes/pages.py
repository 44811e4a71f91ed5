"""An item's page for people: where the links in Dagster's UI lead."""

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from nexus_api import shown
from nexus_api.deps import ItemIdPath, NexusDep
from nexus_pipeline.domain.items import Item
from nexus_pipeline.domain.timeline import Transcript
from nexus_pipeline.results import transcript_of

router = APIRouter(include_in_schema=False)


@router.get("/items/{item_id}", response_class=HTMLResponse)
def page(item_id: ItemIdPath, nexus: NexusDep) -> str:
    """The item's steps and what was said in it."""
    found = nexus.item(item_id)
    return _page(found, transcript_of(found, nexus.parts))


_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dde2ea}
.failed,.blocked{color:#b3261e}.done{color:#18794e}.at{color:#5b6676;font-variant-numeric:tabular-nums}
@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14181f}td,th{border-color:#333b47}}
"""


def _page(item: Item, transcript: Transcript | None) -> str:
    facts = [item.kind, shown.clock(item.duration_s) if item.duration_s else None, item.language, item.category]
    steps = "".join(
        f"<tr><td>{s['step']}</td><td class={s['state']}>{s['state']}</td>"
        f"<td>{escape(s['reason'] or (s['error'] or {}).get('message') or s['engine'] or '')}</td>"
        f"<td>{'' if s['seconds'] is None else s['seconds']}</td></tr>"
        for s in shown.item(item)["steps"]
    )
    said = "".join(
        f"<p><span class=at>{shown.clock(s.start_s)}</span> {escape(s.text)}</p>"
        for s in (transcript.segments if transcript else ())
        if s.text
    )
    title = escape(item.title)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{' · '.join(escape(str(f)) for f in facts if f)} · <b class={item.state}>{item.state}</b></p>"
        f"<p>{escape(item.summary or '')}</p>"
        f"<table><tr><th>step<th>state<th><th>seconds</tr>{steps}</table><h2>What was said</h2>"
        f"{said or '<p>Nothing yet.</p>'}</html>"
    )
