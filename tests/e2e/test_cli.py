"""The command line on the stores of this machine: what it prints, where, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_api.cli import COMMANDS, loaded
from nexus_api.lock import held
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.states import Skipped, State, StepStatus
from tests.commands import ROOT, SAID, added, document, heard, landed, nexus, repeated

# ---------------------------------------------------------------- exit codes


def test_help_lists_every_command_and_each_has_its_own():
    assert all(name in nexus("--help").stdout for name in COMMANDS)
    for name in COMMANDS:
        assert "--help" in nexus(name, "--help").stdout


def test_help_says_of_each_command_what_the_command_says_of_itself():
    for name, told in COMMANDS.items():
        assert " ".join(loaded(name).help.split()).startswith(told.help), name


def test_help_loads_no_command():
    code = (
        "import sys; from nexus_api.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('nexus_api.cli.', 'nexus_pipeline', 'pydantic', 'rich'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.splitlines()[-1] == "[]"


def test_a_slip_of_the_pen_is_answered_with_the_command_that_was_meant():
    assert "Did you mean 'search'" in nexus("serch", "x", code=2).stderr


def test_without_a_command_it_shows_its_help_and_ends_with_2():
    assert "Usage: nexus" in nexus(code=2).output


def test_steps_that_can_be_written_are_those_of_the_chain(parts):
    [choices] = [p.type_descriptor.choices for p in loaded("rerun").params if p.name == "from_step"]
    assert choices == STEPS


@pytest.mark.parametrize(
    "wrong",
    ["nonsense", "ls --state lost", "retry", "retry abcd --all", "add", "add x --engine transcript", "rm abcd"],
)
def test_wrong_use_ends_with_2(home, wrong):
    told = nexus(*wrong.split(), code=2)
    assert not told.stdout
    assert "Error" in told.stderr


def test_what_is_not_there_ends_with_1_and_says_so(home):
    told = nexus("show", "abcdefgh", "--json", code=1)
    assert not told.stdout
    assert "there is no item abcdefgh" in told.stderr


def test_a_store_that_cannot_be_reached_ends_with_3(home, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "file" / "home"))
    assert nexus("ls", code=3).stderr.startswith("Error: ")


def test_a_setting_that_is_none_ends_with_3_and_names_it_without_its_value(home, monkeypatch):
    monkeypatch.setenv("NEXUS_BATCH", "s3cret")
    told = nexus("ls", code=3)
    assert "NEXUS_BATCH" in told.stderr
    assert "s3cret" not in told.stderr


def test_where_nothing_was_ever_set_up_reading_ends_with_3_and_makes_nothing(home, monkeypatch, tmp_path):
    monkeypatch.delenv("NEXUS_HOME")
    assert "NEXUS_HOME" in nexus("ls", code=3).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "code"), [("ls", 3), ("models", 3), ("rebuild", 2), ("care", 2), ("up", 2)])
def test_a_server_that_is_not_there_or_cannot_do_it_is_named(home, monkeypatch, command, code):
    monkeypatch.setenv("NEXUS_URL", "http://127.0.0.1:9")
    assert "NEXUS_URL" in nexus(command, code=code).stderr


def test_neither_dagster_nor_engines_are_loaded_to_list_items(home):
    code = (
        "import sys; from nexus_api.cli import main; main(['ls', '--json'], standalone_mode=False);"
        "print([m for m in ('dagster', 'lancedb', 'ctranslate2', 'pyarrow', 'rich', 'faster_whisper', 'alembic')"
        " if m in sys.modules])"
    )
    nexus("ls")  # migrates
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert told.stdout.endswith("}\n[]\n"), told.stdout


# ---------------------------------------------------------------- ls, show, transcript


def test_items_are_listed_newest_first_and_page_by_page(parts, tmp_path):
    for n in range(5):
        (tmp_path / f"{n}.mp3").write_text(str(n))
        added(tmp_path / f"{n}.mp3", "--tag", "odd" if n % 2 else "even")
    listed = document("ls", "--limit", "2")
    assert [item["title"] for item in listed["items"]] == ["4", "3"]
    rest = document("ls", "--cursor", listed["next_cursor"])
    assert ([item["title"] for item in rest["items"]], rest["next_cursor"]) == (["2", "1", "0"], None)
    assert [item["title"] for item in document("ls", "--tag", "odd", "--state", "waiting")["items"]] == ["3", "1"]
    assert document("ls", "--state", "failed")["items"] == []


def test_a_list_in_a_pipe_is_lines_of_columns(parts, talk):
    [item] = added(talk)
    assert nexus("ls").stdout.split("\t")[:3] == [item["id"], "waiting", "A talk"]


def test_a_title_cannot_steer_the_terminal(parts, talk):
    added(talk, "--title", "\x1b[2Jgone\r\nx")
    assert "\x1b" not in nexus("ls").stdout
    assert len(nexus("ls").stdout.splitlines()) == 1


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(parts, talk):
    [item] = added(talk)
    assert document("show", item["id"][:4].upper()) == document("show", item["id"])
    assert "too short" in nexus("show", item["id"][:3], code=1).stderr


def test_what_was_said_is_printed_in_every_form(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    assert nexus("transcript", item["id"]).stdout == "".join(f"{s.text}\n" for s in SAID.segments)
    assert "00:01:04,000 --> 00:01:10,000" in nexus("transcript", item["id"], "--format", "srt").stdout
    assert nexus("transcript", item["id"], "--format", "vtt").stdout.startswith("WEBVTT\n")
    assert nexus("transcript", item["id"], "--format", "md").stdout.startswith("# A talk\n")
    told = document("transcript", item["id"])
    assert told == json.loads(nexus("transcript", item["id"], "--format", "json").stdout)
    assert [segment["start_s"] for segment in told["segments"]] == [0.0, 64.0]


def test_where_nothing_was_heard_it_says_why(parts, talk):
    [item] = added(talk)
    assert "the step is waiting" in nexus("transcript", item["id"], code=1).stderr
    skipped = StepStatus("transcript", State.SKIPPED, reason=Skipped.SILENCE, run_id="run")
    landed(parts, item["id"], StepStatus("raw", State.DONE, run_id="run"), skipped)
    assert "skipped (silence)" in nexus("transcript", item["id"], code=1).stderr


# ---------------------------------------------------------------- search


def test_an_empty_archive_finds_nothing_and_that_is_no_failure(home):
    found = document("search", "apple", "trees")
    assert (found["hits"], found["total"]) == ([], 0)


@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
def test_the_moment_at_which_it_was_said_is_found(parts, talk, mode):
    [item] = added(talk)
    heard(parts, item["id"])
    [best, *_] = document("search", "apple trees", "--mode", mode)["hits"]
    assert (best["item_id"], best["title"], best["start_s"]) == (item["id"], "A talk", 64.0)
    assert "1:04" in nexus("search", "apple trees", "--mode", mode).stdout


def test_filters_narrow_a_search(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    assert document("search", "apple", "--filter", "language=de")["hits"] == []
    assert document("search", "apple", "--filter", "language=de", "--filter", "language=en")["hits"]
    assert document("search", "apple", "--filter", "item_created_at=2020-01-01..")["hits"]
    assert not document("search", "apple", "--filter", "item_created_at=..2020-01-01")["hits"]
    assert "filters are" in nexus("search", "apple", "--filter", "colour=red", code=1).stderr
    assert "FIELD=VALUE" in nexus("search", "apple", "--filter", "colour", code=2).stderr


def test_hits_of_an_item_are_a_table_that_says_how_many_more_there_are(parts, talk, tmp_path):
    (tmp_path / "other.mp3").write_text("other")
    [many], [one] = added(talk), added(tmp_path / "other.mp3")
    heard(parts, many["id"], repeated("We will buy seven apple trees.", 0, 60, 120, 180, 240))
    heard(parts, one["id"])
    told = nexus("search", "apple", "--mode", "words", "--group", "item").stdout
    rows = [line.split("\t") for line in told.splitlines()]
    assert {len(row) for row in rows} == {6}
    assert [(row[0], row[1], row[5]) for row in rows if row[0] == many["id"]] == [
        (many["id"], "A talk", "+2"),
        (many["id"], "A talk", ""),
        (many["id"], "A talk", ""),
    ]
    [[item_id, title, at, _, said, _]] = [row for row in rows if row[0] == one["id"]]
    assert (item_id, title, at, said) == (one["id"], "other", "1:04", "We will buy seven apple trees.")
    found = document("search", "apple", "--mode", "words", "--group", "item", "--limit", "1")
    assert [hit["item_id"] for hit in found["hits"]] == [group["item_id"] for group in found["groups"]]
    assert len(found["groups"]) == 1
    assert "Nothing" in nexus("search", "submarine", "--mode", "words", "--group", "item").stderr
    assert "'item'" in nexus("search", "apple", "--group", "title", code=2).stderr


def test_neighbours_are_one_hit_or_each_its_own(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"], repeated("We will buy seven apple trees.", 0, 3))
    assert [hit["end_s"] for hit in document("search", "apple trees")["hits"]] == [6.0]
    assert sorted(hit["end_s"] for hit in document("search", "apple trees", "--no-merge")["hits"]) == [3.0, 6.0]


def test_a_word_with_a_dash_is_left_out_and_no_option(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    assert document("search", "apple", "-submarine", "--limit", "3")["hits"]
    assert document("search", "-trees", "apple", "--mode", "words")["hits"] == []
    assert "Nothing" in nexus("search", "apple", "--mode", "words", "--", "-trees").stderr
    assert "--limt" in nexus("search", "apple", "--limt", "3", code=2).stderr


def test_what_was_erased_is_not_found(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    erased = document("rm", item["id"], "--yes")["items"]
    assert erased[0]["item_id"] == item["id"]
    assert erased[0]["erased"]["passages"] == 2
    assert document("search", "apple trees")["hits"] == []
    assert document("ls")["items"] == []
    assert not list(parts.blobs.under(f"items/local/{item['id']}/"))


# ---------------------------------------------------------------- asks


def test_nothing_is_erased_without_a_terminal_unless_one_says_yes(parts, talk):
    [item] = added(talk)
    nexus("rm", item["id"], code=2)
    assert document("show", item["id"])["id"] == item["id"]


def test_nothing_is_done_when_one_of_several_is_not_there(parts, talk):
    [item] = added(talk)
    nexus("cancel", item["id"], "zzzzzzzz", code=1)
    assert document("show", item["id"])["state"] == "waiting"


def test_cancelled_and_failed_items_wait_again_when_one_asks(parts, talk):
    [item] = added(talk)
    assert document("cancel", item["id"])["items"][0]["state"] == "cancelled"
    assert document("retry", item["id"][:6])["items"][0]["state"] == "waiting"
    landed(parts, item["id"], StepStatus("raw", State.FAILED, error_code="damaged_media", run_id="run"))
    assert [one["id"] for one in document("retry", "--all")["items"]] == [item["id"]]
    assert document("retry", "--all")["items"] == []
    assert {ask.ask for ask in parts.catalog.asks()} == {"retry"}


def test_an_item_is_done_again_from_a_step(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    [again] = document("rerun", item["id"], "--from", "enrichment")["items"]
    assert [step["state"] for step in again["steps"]] == ["done"] * len(STEPS[:-2]) + ["waiting"] * 2
    nexus("rerun", item["id"], "--from", "nowhere", code=2)


# ---------------------------------------------------------------- upkeep, models, doctor, up


def test_rebuilding_an_empty_archive_is_quick_and_says_so(home):
    assert document("rebuild")["items"] == 0


def test_care_says_what_it_did_and_that_the_stores_agree(home):
    told = nexus("care", "--json")
    assert json.loads(told.stdout)["disagree"] == []
    assert "agree" in told.stderr


def test_models_are_listed_with_what_is_ready(home):
    rows = {row["engine"]: row for row in document("models")["models"]}
    assert rows["minilm"]["chosen"]
    assert rows["minilm"]["bytes"] > 0
    assert {"faster-whisper:tiny", "faster-whisper:large-v3", "local"} <= set(rows)
    assert sum(row["chosen"] for row in rows.values() if row["step"] == "transcript") == 1


def test_a_model_in_the_models_folder_is_listed_as_ready(home, monkeypatch):
    monkeypatch.setenv("NEXUS_MODELS", str(ROOT / "samples" / "models"))
    rows = {row["engine"]: row for row in document("models")["models"]}
    nano = rows["faster-whisper:whisper-nano-en"]
    assert nano["ready"]
    assert nano["bytes"] > 1_000_000
    assert document("models", "get", "faster-whisper:whisper-nano-en") == {"engine": nano["engine"], "ready": True}


def test_an_engine_that_is_not_there_cannot_be_fetched(home):
    assert "there is no engine 'parrot'" in nexus("models", "get", "parrot", code=1).stderr


def test_a_second_up_over_the_same_home_is_refused(home):
    with held(home):
        assert "already running" in nexus("up", code=1).stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com"])
def test_up_refuses_addresses_that_others_can_reach(home, host):
    assert "sign-in" in nexus("up", "--host", host, code=2).stderr
    assert not home.exists()
