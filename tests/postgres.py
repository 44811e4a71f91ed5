"""A PostgreSQL server of the test session's own: in a temporary folder, on a socket in it, without a network.

It ends with the session. PostgreSQL refuses to run as root, so there it runs as `postgres` or, failing that, `nobody`.
"""

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

USER = "nexus"
STARTS_WITHIN_S = 30
_OPTIONS = ("listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")


class Postgres:
    """A running server; `url` makes a new empty database, or a copy of one."""

    def __init__(self, binaries: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nexus-pg-"))  # short: a socket's path has at most 107 bytes
        self._account = _account()
        if self._account:
            shutil.chown(self.folder, self._account, pwd.getpwnam(self._account).pw_gid)
        data = str(self.folder / "data")
        made = ["initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._start([str(binaries / made[0]), *made[1:], "-D", data]).wait(STARTS_WITHIN_S)
        told = [part for option in _OPTIONS for part in ("-c", option)]
        self._server = self._start([str(binaries / "postgres"), "-D", data, "-k", str(self.folder), *told])
        self._await()

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        log = (self.folder / "log").open("ab")
        with log:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, user=self._account, extra_groups=self._account and []
            )

    def _await(self) -> None:
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                psycopg2.connect(host=str(self.folder), user=USER, dbname="postgres").close()
            except psycopg2.OperationalError:
                if time.monotonic() > until or self._server.poll() is not None:
                    raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.05)
            else:
                return

    def url(self, template: str = "template0") -> URL:
        """A new database."""
        name = f"db_{uuid.uuid4().hex}"
        connection = psycopg2.connect(host=str(self.folder), user=USER, dbname="postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            connection.close()
        return URL.create("postgresql", USER, database=name, query={"host": str(self.folder)})

    def stop(self) -> None:
        """End the server, at the latest after 10 s."""
        self._server.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.send_signal(3)
            self._server.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def _account() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _binaries() -> Path:
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in reversed(folders):
        if (folder / "initdb").exists():
            return folder
    raise RuntimeError("no PostgreSQL server is installed: apt-get install postgresql")


@cache
def server() -> Postgres:
    """The session's server, started when it is first asked for."""
    started = Postgres(_binaries())
    atexit.register(started.stop)
    return started
