"""Another program with our log: `python -m nexus_pipeline.logged MODULE ARGUMENT...`, as `python -m MODULE` would.

Dagster's programs and uvicorn set their own logging up when they start; whatever they say then goes through ours.
"""

import runpy
import sys

from nexus_pipeline import logs
from nexus_pipeline.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    logs.set_up(settings.log, settings.secrets)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
