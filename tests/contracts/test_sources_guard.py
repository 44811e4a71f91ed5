"""Sources: nothing private is reached, however it is written and whatever leads to it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_pipeline.domain.errors import BadAddress
from nexus_pipeline.ports import Limits
from nexus_pipeline.sources import fetching, source_for
from nexus_pipeline.sources.guard import Guard, PrivateAddress
from tests.contracts.site_parts import answering, serving

ROOT = Path(__file__).parents[2]
CHILD = "tests.contracts.named_child"


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "240.0.0.1",
        ),
        *("168.63.129.16", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1%eth0", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "::127.0.0.1", "::7f00:1"),
        *(
            "::ffff:10.0.0.1",
            "::ffff:0a00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:0a00:0001::",
            "2001:0:5db8::1",
        ),
        *("localhost", "metadata.google.internal"),
    ],
)
def test_the_guard_stops_connections_to_what_is_not_public(host: str) -> None:
    guard = Guard([])
    for event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        with pytest.raises(PrivateAddress):
            guard(event, (None, (host, 80)))
    assert guard.refused


def test_the_guard_stops_connections_to_sockets_of_this_machine() -> None:
    with pytest.raises(PrivateAddress):
        Guard([])("socket.connect", (None, "/run/docker.sock"))


@pytest.mark.parametrize(
    "host", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_the_guard_lets_public_addresses_pass(host: str) -> None:
    guard = Guard([])
    guard("socket.connect", (None, (host, 443)))
    assert not guard.refused


def test_the_guard_lets_an_allowed_host_pass_and_no_other() -> None:
    guard = Guard(["localhost"])
    guard("socket.connect", (None, ("127.0.0.1", 80)))
    with pytest.raises(PrivateAddress):
        guard("socket.connect", (None, ("127.0.0.2", 80)))


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("subprocess.Popen", ("ffmpeg", ["ffmpeg", "-i", "http://10.0.0.1/"], None, None)),
        ("subprocess.Popen", ("curl", ["curl", "x"], None, None)),
        ("subprocess.Popen", ("sh", ["sh", "-c", "ffmpeg"], None, None)),
        ("os.posix_spawn", ("/bin/sh", ["sh", "-c", "x"], {})),
        ("os.exec", ("/bin/sh", ["sh"], None)),
        ("os.system", (b"curl x",)),
    ],
)
def test_the_guard_starts_no_program_that_could_connect_by_itself(event: str, told: tuple) -> None:
    guard = Guard([])
    guard("subprocess.Popen", ("ffmpeg", ["ffmpeg", "-i", "file:media.mp4"], None, None))
    with pytest.raises(PermissionError):
        guard(event, told)


# ------------------------------------------------------------ in the child that fetches

WRITTEN = [
    *("http://127.0.0.2", "http://2130706434", "http://0x7f000002", "http://0x7f.0.0.2", "http://0177.0.0.2"),
    *("http://127.2", "http://127.0.2", "http://[::ffff:127.0.0.2]", "http://[::ffff:7f00:2]", "http://[::1]"),
    *("http://[64:ff9b::7f00:2]", "http://localhost.", "http://LOCALHOST", "http://0.0.0.0", "http://0"),
    *("http://private.test", "http://mapped.test", "http://nat64.test", "http://both.test"),
]
"""Private addresses in all their forms, and names that answer with them, alone or beside a public one."""


def test_a_private_address_is_refused_in_every_form_and_its_site_is_never_asked(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with serving(tmp_path / "inside") as (_, anywhere), answering(tmp_path / "inside", "127.0.0.2") as (url, there):
        port = url.rpartition(":")[2]
        request = {"max_bytes": 10**8, "max_duration_s": 3600.0, "timeout_s": 30.0, "merges": False, "allow_hosts": []}
        addresses = [f"{written}:{port}/talk.mp3" for written in WRITTEN]
        requests = [
            {**request, "url": source_for(address).canonical(address), "folder": str(tmp_path / str(n))}
            for n, address in enumerate(addresses)
        ]
        command = [sys.executable, "-m", CHILD]
        given = json.dumps(requests).encode()
        said = subprocess.run(command, input=given, capture_output=True, cwd=ROOT, check=True)
        told = [json.loads(line).get("error") for line in said.stdout.splitlines()]
        assert dict(zip(addresses, told, strict=True)) == dict.fromkeys(addresses, "bad_address")
        assert there.asked == anywhere.asked == []


def test_a_name_that_answers_otherwise_the_second_time_is_refused_then(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, first):
        port = int(url.rpartition(":")[2])
        with answering(tmp_path, "127.0.0.2", port) as (_, second):
            limits = Limits(10**8, 3600.0, 60.0, ("127.0.0.1",))
            address = f"http://rebinds.test:{port}/talk.mp3"
            with pytest.raises(BadAddress):
                fetching.fetch(address, tmp_path, limits, lambda _: None, lambda: False, child=CHILD)
            assert [path for path, _ in first.asked] == ["GET /talk.mp3"]
            assert second.asked == []


def test_an_allowed_host_is_reached_and_the_proxy_of_the_environment_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "fetched").mkdir()
    with serving(tmp_path / "site") as (url, _), answering(tmp_path, "127.0.0.2") as (proxy, through):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        limits = Limits(10**8, 3600.0, 60.0, ("127.0.0.1",))
        fetched = fetching.fetch(f"{url}/talk.mp3", tmp_path / "fetched", limits, lambda _: None, lambda: False)
        assert fetched.path.stat().st_size == (tmp_path / "site/talk.mp3").stat().st_size
        assert through.asked == []


def test_a_short_link_into_a_private_network_is_refused(tmp_path: Path) -> None:
    with answering(tmp_path) as (url, site):
        link = f"http://bit.ly:{url.rpartition(':')[2]}/to/{url}/talk.mp3"
        with pytest.raises(BadAddress, match="NEXUS_ALLOW_HOSTS"):
            fetching.follow(link, Limits(1, 1.0), lambda: False, child=CHILD)
        assert site.asked == []
