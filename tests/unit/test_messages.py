"""Celery's queue in a folder: messages that are put while others look for them."""

import multiprocessing
from contextlib import suppress
from functools import partial
from queue import Empty

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from nexus_pipeline import lanes  # noqa: F401 - the launcher makes `folder://` known

MANY = 300
LONG = "x" * 200_000


def opened(folder):
    there = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}
    return Connection("folder://", transport_options=there).channel()


def put_many(folder):
    channel = opened(folder)
    for n in range(MANY):
        channel._put("now", {"n": n, "body": LONG})


@pytest.fixture
def channel(tmp_path):
    return partial(opened, tmp_path)


def test_messages_are_taken_from_their_own_queue(channel):
    queue = channel()
    for n in range(3):
        queue._put("now", {"n": n})
    queue._put("bulk", {"n": 9})
    assert sorted(channel()._get("now")["n"] for _ in range(3)) == [0, 1, 2]
    assert queue._get("bulk") == {"n": 9}
    with pytest.raises(Empty):
        queue._get("now")


def test_whoever_looks_while_a_message_is_put_takes_all_of_it_or_nothing(channel, tmp_path):
    taking, writer = channel(), multiprocessing.get_context("spawn").Process(target=put_many, args=(tmp_path,))
    writer.start()
    taken = []
    while writer.is_alive() or taking._size("now"):
        with suppress(Empty):
            taken.append(taking._get("now"))
    writer.join()
    assert sorted(one["n"] for one in taken) == list(range(MANY))
    assert {one["body"] for one in taken} == {LONG}


def test_a_folder_that_is_not_there_is_told(channel, tmp_path):
    queue = channel()
    queue.data_folder_out = str(tmp_path / "gone")
    with pytest.raises(ChannelError, match="No such file"):
        queue._put("now", {})
