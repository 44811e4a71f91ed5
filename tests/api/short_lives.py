"""The whole API with event streams that end and beat sooner, and that says how many are open."""

import os

from fastapi import FastAPI

from nexus_api import app as whole
from nexus_api.events import Events

LIFE_S, BEAT_S = "TEST_LIFE_S", "TEST_BEAT_S"


def create_app() -> FastAPI:
    app = whole.create_app()
    life_s, beat_s = float(os.environ.get(LIFE_S, "300")), float(os.environ.get(BEAT_S, "15"))
    app.state.events = events = Events(app.state.parts, life_s=life_s, beat_s=beat_s)

    @app.get("/listening")
    async def listening() -> int:
        return events.listening

    return app
