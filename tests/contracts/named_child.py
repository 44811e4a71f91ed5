"""The fetching child with names of its own: run in place of `sources.downloading`, whose code it runs unchanged.

Names under `.test` and a few shorteners resolve as NAMES says, one answer after the other, and public addresses
cannot be reached. Given a list of requests instead of one, it answers all of them, each in a line.
"""

import io
import json
import socket
import sys
from pathlib import Path

from nexus_pipeline.domain import errors
from nexus_pipeline.sources import downloading
from nexus_pipeline.sources.guard import Guard

PUBLIC = "93.184.216.34"
NAMES = {
    "private.test": [["127.0.0.2"]],
    "rebinds.test": [["127.0.0.1"], ["127.0.0.2"]],
    "both.test": [[PUBLIC, "127.0.0.2"]],
    "mapped.test": [["::ffff:127.0.0.2"]],
    "nat64.test": [["64:ff9b::7f00:2"]],
    "localhost.": [["127.0.0.1"]],
    "down.test": [[PUBLIC]],
    "nowhere.test": [],
    **{name: [["127.0.0.1"]] for name in ("bit.ly", "t.co", "vm.tiktok.com", "fb.watch")},
}
_resolve = socket.getaddrinfo
_asked: dict[str, int] = {}


def resolve(host, port, *wanted, **named):
    if host not in NAMES:
        return _resolve(host, port, *wanted, **named)
    answers = NAMES[host]
    if not answers:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    turn = _asked[host] = _asked.get(host, -1) + 1
    found = answers[min(turn, len(answers) - 1)]
    return [answer for address in found for answer in _resolve(address, port, type=socket.SOCK_STREAM)]


def unreachable(event, args):
    """What a machine without a way to the world says, so that no test reaches it."""
    if event == "socket.connect" and args[1][0] == PUBLIC:
        raise ConnectionRefusedError("unreachable")


def main():
    sys.addaudithook(unreachable)
    socket.getaddrinfo = resolve
    told = json.load(sys.stdin)
    if isinstance(told, dict):
        sys.stdin = io.StringIO(json.dumps(told))
        downloading.main()
        return
    guard = Guard(told[0]["allow_hosts"])
    sys.addaudithook(guard)
    for request in told:
        guard.refused = False
        Path(request["folder"]).mkdir()
        try:
            answer = {"done": downloading.download(request, lambda _: None, guard)}
        except errors.NexusError as error:
            answer = {"error": error.code, "message": str(error), "retry_after_s": error.retry_after_s}
        sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
