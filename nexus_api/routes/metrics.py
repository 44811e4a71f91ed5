"""For Prometheus."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from nexus_api import problems
from nexus_api.metrics import Metrics

router = APIRouter(tags=["metrics"], responses=problems.ANY)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Requests, items by state, steps by lane, streams and the process, as Prometheus reads them."""
    told: Metrics = request.app.state.metrics
    return Response(generate_latest(told.registry), media_type=CONTENT_TYPE_LATEST)
