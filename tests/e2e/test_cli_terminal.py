"""What a person sees on a terminal of some width, and what a pipe gets instead."""

import pytest
from rich.cells import cell_len

from nexus_api.cli.printing import Column, fitted
from tests.commands import added, document, heard, nexus, repeated
from tests.terminal import COLOURS, bare, on_terminal

LONG = "A very long title that goes on and on about the garden, the budget and the seven apple trees behind the house"
WIDE = "京都の秋の庭で七本の林檎の木について長く話した会議の記録と予算と計画"


@pytest.fixture
def three(parts, talk, tmp_path):
    """Items whose titles are long, wide, and full of what terminals and rich obey."""
    titles = (LONG, WIDE, "\x1b]0;gone\x07\x1b[2J[red]not red[/red] [/nonsense] \u202eabc")
    ids = []
    for n, title in enumerate(titles):
        path = tmp_path / f"{n}.mp3"
        path.write_text(str(n))
        ids += [item["id"] for item in added(path, "--title", title)]
    return ids


@pytest.mark.parametrize("columns", [40, 60, 100, 140])
def test_a_table_fits_the_terminal_and_ids_stay_whole(three, columns):
    seen = bare(on_terminal("ls", columns=columns))
    assert [line for line in seen.splitlines() if cell_len(line.rstrip()) > columns] == []
    assert all(item_id in seen for item_id in three)
    if columns < 140:
        assert "…" in seen
    else:
        assert LONG[:60] in seen


def test_lesser_columns_are_left_out_before_ids_are_cut(three):
    assert "created" not in bare(on_terminal("ls", columns=40))
    assert "created" in bare(on_terminal("ls", columns=100))


def test_what_stands_in_a_title_is_shown_and_not_obeyed(three):
    seen = on_terminal("ls", columns=140)
    assert "[red]not red[/red] [/nonsense] abc" in bare(seen)
    assert "\x1b]0;" not in seen
    assert "\x1b[2J" not in seen
    assert "\u202e" not in seen


def test_a_pipe_gets_whole_lines_between_tabs_without_colours_or_boxes(three):
    told = nexus("ls").stdout
    assert "\x1b" not in told
    assert not set(told) & set("│─╭╮╰╯┃━…")
    assert LONG in told
    assert WIDE in told
    assert {line.count("\t") for line in told.splitlines()} == {4}


def test_colours_are_left_out_where_nobody_wants_them(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    assert COLOURS.search(on_terminal("search", "apple", "--mode", "words"))
    assert not COLOURS.search(on_terminal("search", "apple", "--mode", "words", environment={"NO_COLOR": "1"}))


def test_a_hit_is_wrapped_below_its_own_beginning(parts, talk):
    [item] = added(talk)
    heard(parts, item["id"])
    lines = bare(on_terminal("search", "apple", "--mode", "words", columns=30)).splitlines()
    text = [line for line in lines if line.startswith("  ")]
    assert "apple trees" in " ".join(line.strip() for line in text)
    assert all(len(line.rstrip()) <= 30 for line in lines)


@pytest.mark.parametrize("columns", [60, 100])
def test_hits_in_groups_are_a_table_that_fits(three, parts, columns):
    for item_id in three:
        heard(parts, item_id, repeated("We will buy seven apple trees.", 0, 60, 120, 180, 240))
    seen = bare(on_terminal("search", "apple", "--mode", "words", "--group", "item", columns=columns))
    assert [line for line in seen.splitlines() if cell_len(line.rstrip()) > columns] == []
    assert all(seen.count(item_id) == 3 for item_id in three)
    assert "2:00" in seen
    assert "…" in seen


def test_help_is_drawn_on_a_terminal_and_plain_in_a_pipe():
    assert "╭" in on_terminal("--help", columns=100)
    assert "╭" in on_terminal("ls", "--help", columns=100)
    assert not set(nexus("--help").stdout + nexus("ls", "--help").stdout) & set("╭─│")


def test_adding_shows_a_bar_on_a_terminal_and_nothing_in_a_pipe(home, tmp_path):
    path = tmp_path / "large.mp3"
    path.write_bytes(b"sound" * 8_000_000)
    seen = on_terminal("add", path)
    assert "adding large.mp3" in seen
    assert "MB" in seen
    other = tmp_path / "other.mp3"
    other.write_bytes(b"other")
    assert nexus("add", other).stderr == ""


def test_facts_on_stdout_are_not_swallowed_by_a_bar(home, tmp_path):
    path = tmp_path / "talk.mp3"
    path.write_bytes(b"sound")
    assert "(waiting)" in bare(on_terminal("add", path))
    assert document("ls")["items"][0]["title"] == "talk"


# ---------------------------------------------------------------- the arithmetic of it

COLUMNS = (Column("id"), Column("title", least=6), Column("why", least=4, wraps=True), Column("at", goes=1))


def test_widths_are_those_of_the_contents_where_there_is_room():
    assert fitted(COLUMNS, [("ab", "title", "because", "1:00")], 80) == {0: 2, 1: 5, 2: 7, 3: 4}


def test_the_widest_column_is_cut_first_and_none_below_its_least():
    row = ("ab", "t" * 30, "b" * 20, "1:00")
    widths = fitted(COLUMNS, [row], 40)
    assert sum(widths.values()) + 3 * 2 == 40
    assert widths[0] == 2
    assert abs(widths[1] - widths[2]) <= 1


def test_a_column_goes_where_the_rest_has_no_room():
    assert 3 not in fitted(COLUMNS, [("ab", "t" * 30, "b" * 20, "1:00")], 18)


def test_wide_characters_take_two_cells():
    assert fitted(COLUMNS, [("ab", "京都", "", "")], 80)[1] == 5  # the head is wider
    assert fitted(COLUMNS, [("ab", "京都の秋", "", "")], 80)[1] == 8
