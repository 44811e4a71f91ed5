"""The HTTP side: today an item's page and JSON, where the links in Dagster's UI lead, and health for machines."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from nexus_api.routes import health, media
from nexus_pipeline.domain.errors import NexusError
from nexus_pipeline.settings import Settings
from nexus_pipeline.wiring import Parts


def create_app(settings: Settings | None = None) -> FastAPI:
    """An app over these settings, or the environment's."""
    app = FastAPI(title="Nexus", docs_url=None, redoc_url=None)
    app.state.parts = Parts(settings or Settings())
    app.add_exception_handler(NexusError, _problem)
    app.include_router(health.router)
    app.include_router(media.router)
    return app


def _problem(_request: Request, error: Exception) -> JSONResponse:
    """RFC 9457, with our code."""
    assert isinstance(error, NexusError)  # noqa: S101  # registered for this type only
    told = {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": error.http_status,
        "detail": str(error),
        "code": error.code,
        "retryable": error.retryable,
    }
    return JSONResponse(told, error.http_status, media_type="application/problem+json")
