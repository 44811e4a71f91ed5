"""The HTTP side: routes of a few lines over `Local`; no Dagster in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from nexus_api import links, problems
from nexus_api.events import Events
from nexus_api.guards import Guard
from nexus_api.metrics import Measured, Metrics
from nexus_api.routes import (
    action_items,
    adding,
    asks,
    chat,
    events,
    files,
    health,
    me,
    media,
    metrics,
    overview,
    pages,
    receipts,
    results,
    searching,
)
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts, sweep_scratch

PARTS = (
    adding, media, results, action_items, files, asks, searching, chat, events, receipts, overview, me,
    health, metrics, pages,
)  # fmt: skip


def create_app(settings: Settings | None = None) -> FastAPI:
    """An app over these settings, or the environment's."""
    found = settings or Settings()
    app = FastAPI(
        title="Nexus",
        summary="An archive of audio and video in which one finds what was said.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=links.operation_id,
        lifespan=_life,
    )
    app.state.parts = Parts(found)
    app.state.events = Events(app.state.parts)
    app.state.metrics = Metrics(app.state)
    problems.add_to(app)
    for part in PARTS:
        app.include_router(part.router)
    own = urlsplit(found.site).hostname
    app.add_middleware(Guard, own=frozenset({own} if own else ()), uploads=adding.UPLOADS)
    app.add_middleware(Measured, metrics=app.state.metrics)  # the last one is the outermost
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    await run_in_threadpool(sweep_scratch, app.state.parts.settings)
    async with app.state.events.running():
        yield
