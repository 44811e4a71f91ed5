"""Dagster's home under `nexus up`: `{home}/dagster`, its two files written anew at each start.

What `dagster.yaml` in the root says for plain `dagster dev` counts here too, with three changes: paths are absolute,
runs go to the warm workers, and the code stands in a server of its own. A wheel carries the root's file as
`nexus_api/dagster.yaml`.
"""

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it carries no types

from nexus_pipeline.domain.errors import StoreFull

LANES = ("now", "bulk")
"""Warm workers, one a lane; a test compares them with the pipeline's."""
LOCATION = "nexus"
"""The name of the code location, as in workspace.yaml and pyproject.toml."""


@dataclass(frozen=True, slots=True)
class DagsterHome:
    """Where things lie below a Nexus home."""

    home: Path

    @property
    def folder(self) -> Path:
        """DAGSTER_HOME."""
        return self.home / "dagster"

    @property
    def workspace(self) -> Path:
        """Which code server is used."""
        return self.folder / "workspace.yaml"

    @property
    def messages(self) -> Path:
        """What the launcher tells the workers."""
        return self.home / "queue" / "messages"

    def write(self, code_port: int) -> None:
        """Both files, over the storage that `dagster dev` uses too. Raises StoreFull."""
        server = {"host": "127.0.0.1", "port": code_port, "location_name": LOCATION}
        try:
            for folder in (self.folder, self.messages, self.home / "queue" / "results"):
                folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / "dagster.yaml", self.instance())
            _write(self.workspace, {"load_from": [{"grpc_server": server}]})
        except OSError as error:
            raise StoreFull(f"{self.folder} cannot be written to: {error.strerror}") from error

    def instance(self) -> dict[str, Any]:
        """`dagster.yaml`: the root's, with what is different here."""
        told: dict[str, Any] = yaml.safe_load((files("nexus_api") / "dagster.yaml").read_text())
        base = {"base_dir": str(self.folder / "storage")}
        told["storage"] = {
            "custom": {"module": "nexus_pipeline.dagster_storage", "class": "SqliteStorage", "config": base}
        }
        told["local_artifact_storage"]["config"]["base_dir"] = str(self.folder)
        told["run_launcher"] = {"module": "nexus_pipeline.lanes", "class": "WarmLauncher", "config": self._celery()}
        return told

    def _celery(self) -> dict[str, Any]:
        """Celery over a folder, with no server (`nexus_pipeline/messages.py`).

        What it does not know of folders it would put into the working folder.
        """
        queue = self.home / "queue"
        folders = {"data_folder_in": self.messages, "data_folder_out": self.messages}
        folders |= {"control_folder": queue / "control", "processed_folder": queue / "processed"}
        options = {name: str(path) for name, path in folders.items()} | {"polling_interval": 0.1}
        return {
            "default_queue": LANES[-1],
            "broker": "folder://",
            # Celery takes what follows file:// as it stands: nothing may be percent-encoded
            "backend": f"file://{queue / 'results'}",
            "config_source": {"broker_transport_options": options},
        }

    def migrated(self) -> bool:
        """Whether Dagster's storage is there and of the installed version; `note_migrated` is told when it is."""
        try:
            return self._mark.read_text() == version("dagster")
        except FileNotFoundError:
            return False

    def note_migrated(self) -> None:
        """The storage is as the installed Dagster wants it."""
        self._mark.write_text(version("dagster"))

    @property
    def _mark(self) -> Path:
        return self.folder / "version"

    def forget_messages(self) -> int:
        """Remove what was told to workers that are no more; how many messages. Their runs are found by a sensor."""
        left = list(self.messages.glob("*")) if self.messages.exists() else []
        shutil.rmtree(self.home / "queue", ignore_errors=True)
        return len(left)


def _write(path: Path, told: dict[str, Any]) -> None:
    """YAML; a reader sees all of it or what was there before. JSON is YAML, and keeps every path as it is."""
    part = path.with_suffix(".part")
    note = "# Written by `nexus up` at each start: changes here are lost."
    part.write_text(f"{note}\n{json.dumps(told, indent=2)}\n")
    part.replace(path)
