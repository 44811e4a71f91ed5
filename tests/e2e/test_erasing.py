"""Erasing beside everything that `nexus up` runs: daemon, warm workers, Celery's folders, compute logs, our logs."""

import pytest

from nexus_pipeline import upkeep
from tests.e2e.nexus import Nexus
from tests.running import srt
from tests.speech import SENTENCES, speak
from tests.stores import places

SAID, TITLE, TAG, DAMAGED, ASKED = "vexnumbat", "zyxquokka", "qvpotoroo", "kuxkoalabear", "pyxkakapo"
PLANTED = (SAID, TITLE, TAG, DAMAGED, ASKED)
RECEIPT_S = 240.0
"""Two rounds, a minute apart at least, each a run that Dagster launches."""


@pytest.fixture
def nexus(tmp_path):
    nexus = Nexus(tmp_path)
    try:
        yield nexus.start()
    finally:
        nexus.close()


@pytest.mark.soak
def test_erased_items_are_in_no_file_below_the_home(nexus, tmp_path):
    (tmp_path / f"{TITLE}.srt").write_bytes(srt(f"The {SAID} lives there.", f"I like the {SAID} a lot."))
    nexus.nexus("add", speak(tmp_path / f"{TITLE}.wav", SENTENCES[:2]), "--title", TITLE, "--tag", TAG, "--wait")
    (nexus.inbox / f"{DAMAGED}.mp3").write_bytes(f"{DAMAGED} is no sound".encode() * 1000)
    (nexus.inbox / "plain.srt").write_bytes(srt("A plain neighbour stays."))
    url = f"https://127.0.0.1:1/{ASKED}.mp3"
    nexus.launch("ingest", {"ops": {"request_urls": {"config": {"urls": [url], "title": ASKED, "tags": [TAG]}}}})
    nexus.ended(4, 120)
    nexus.quiet()
    assert nexus.found(SAID, "words")
    there = places(nexus.home, PLANTED)
    assert [word for word in PLANTED if not any(word in place for place in there)] == []
    gone = [item for item in nexus.items() if item.filename != "plain.srt"]
    assert len(gone) == 3
    nexus.nexus("rm", *(item.id for item in gone), "--yes")
    assert nexus.found(SAID, "words") == []

    def complete():
        return all(upkeep.receipt(nexus.parts, item.id)["at"] for item in gone)

    nexus.until("receipts complete", complete, RECEIPT_S, every_s=1)
    nexus.quiet()
    assert [hit["item_id"] for hit in nexus.found("plain neighbour", "words")] == [nexus.items()[0].id]
    nexus.end()
    assert places(nexus.home, PLANTED) == []
