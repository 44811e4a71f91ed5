"""The HTTP side: routes of a few lines over `Local`; no Dagster in this process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from nexus_api import links, problems
from nexus_api.events import Events
from nexus_api.guards import Guard
from nexus_api.idempotency import Idempotency, describe
from nexus_api.metrics import Measured, Metrics
from nexus_api.receiving import Passing
from nexus_api.resuming import SWEEP_S, sweep
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
    models,
    overview,
    pages,
    receipts,
    results,
    searching,
    uploads,
)
from nexus_api.tus import Speaks
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.machine import sweep_scratch
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts

log = logging.getLogger(__name__)

PARTS = (
    adding,
    uploads,
    media,
    results,
    action_items,
    files,
    asks,
    searching,
    chat,
    events,
    receipts,
    overview,
    models,
    me,
    health,
    metrics,
    pages,
)


class Site(FastAPI):
    """An app whose document says of every POST that it takes a key."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            describe(super().openapi())
        return super().openapi()


def create_app(settings: Settings | None = None) -> FastAPI:
    """An app over these settings, or the environment's."""
    found = settings or Settings()
    app = Site(
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
    app.state.passing = Passing()
    problems.add_to(app)
    for part in PARTS:
        app.include_router(part.router)
    app.add_middleware(Idempotency, uploads=adding.UPLOADS)
    app.add_middleware(Speaks, path=uploads.PREFIX)
    own = urlsplit(found.site).hostname
    app.add_middleware(Guard, own=frozenset({own} if own else ()), uploads=adding.UPLOADS)
    app.add_middleware(Measured, metrics=app.state.metrics)  # the last one is the outermost
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    await run_in_threadpool(sweep_scratch, app.state.parts.settings)
    sweeping = asyncio.create_task(_sweep(app), name="uploads")
    try:
        async with app.state.events.running():
            yield
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


async def _sweep(app: FastAPI) -> None:
    """What others left of uploads, at the start too."""
    while True:
        try:
            await run_in_threadpool(sweep, app.state.parts, app.state.passing)
        except NexusError as error:
            log.warning("uploads are not swept code=%s", error.code)
        await asyncio.sleep(SWEEP_S)
