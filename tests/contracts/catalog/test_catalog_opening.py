"""Opening a catalog: migrations, damage, full disks, listings on indexes."""

import itertools
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from nexus_pipeline.catalog import (
    SqlCatalog,
    asks,
    chats,
    dialect,
    history,
    opening,
    pages,
    promises,
    suggested,
    tables,
)
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.errors import Conflict, StoreError, StoreFull
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.listing import ItemQuery
from nexus_pipeline.domain.states import ItemState, State
from tests.contracts.catalog.before import MIGRATIONS, made_by


def _shape(engine):
    """Columns, keys and indexes of all tables but Alembic's own, as the database tells them."""
    told = sa.inspect(engine)
    shape = {}
    for table in told.get_table_names():
        if table != "alembic_version":
            columns = [(c["name"], str(c["type"]), c["nullable"]) for c in told.get_columns(table)]
            indexes = sorted(
                (i["name"], *i["column_names"], *map(str, i["dialect_options"].values()))
                for i in told.get_indexes(table)
            )
            foreign = sorted(
                (tuple(f["constrained_columns"]), f["referred_table"]) for f in told.get_foreign_keys(table)
            )
            shape[table] = (columns, told.get_pk_constraint(table)["constrained_columns"], indexes, foreign)
    return shape


def test_migrations_make_the_tables_that_the_code_knows(url, empty_url):
    migrated, made = sa.create_engine(url), sa.create_engine(empty_url)
    tables.metadata.create_all(made)
    assert _shape(migrated) == _shape(made)
    if migrated.dialect.name == "sqlite":
        told = (
            "SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%' OR sql LIKE '%AUTOINCREMENT%' ORDER BY 1"
        )
        with migrated.connect() as a, made.connect() as b:
            assert a.exec_driver_sql(told).all() == b.exec_driver_sql(told).all()
            assert a.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    migrated.dispose()
    made.dispose()


def test_the_newest_migration_is_the_one_that_opening_knows():
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    assert ScriptDirectory.from_config(config).get_current_head() == opening.HEAD


def test_items_of_before_translation_have_skipped_it_and_none_waits_for_it(empty_url):
    before = tuple(step for step in STEPS if step != "translation")
    engine = sa.create_engine(empty_url)
    of = {state: {step: {"state": state} for step in before} for state in ("done", "waiting")}
    done, waits, copy, gone = "a", "b", "c", "d"
    made_by(
        engine,
        "0006",
        {
            done: (of["done"], {}),
            waits: (of["waiting"], {}),
            copy: (of["done"], {"duplicate_of": done}),
            gone: (of["waiting"], {"deleted_at": 1}),
        },
    )
    new = SqlCatalog.open(empty_url, STEPS)
    states = [new.get(one).state for one in (done, waits, copy)]
    assert states == [ItemState.DONE, ItemState.WAITING, ItemState.DUPLICATE]
    told = [new.get(one).step("translation") for one in (done, waits, copy)]
    assert [(s.state, s.reason) for s in told] == [
        (State.SKIPPED, "switched_off"), (State.SKIPPED, "switched_off"), (State.SKIPPED, "duplicate"),
    ]  # fmt: skip
    assert [s.step for s in new.get(done).steps] == list(STEPS)
    with engine.connect() as db:
        left = db.exec_driver_sql(f"SELECT count(*) FROM item_steps WHERE item_id = '{gone}'").scalar()
    assert left == len(before)
    again = SqlCatalog.open(empty_url, STEPS)
    assert again.ask("retry", [waits])[0].state is ItemState.WAITING
    for opened in (new, again):
        opened.close()
    engine.dispose()


def test_opening_an_up_to_date_catalog_does_not_load_alembic(url):
    told = f"""
import sys
from nexus_pipeline.catalog import SqlCatalog
SqlCatalog.open({url!r}, ("raw",)).counts()
sys.exit("alembic" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", told], check=True, timeout=60)


def test_a_catalog_of_a_newer_nexus_is_refused(url):
    engine = sa.create_engine(url)
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StoreError, match=r"version 9999.*update Nexus"):
        SqlCatalog.open(url, STEPS)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "postgres://u:secret@h/d"],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(StoreError, match="sqlite:///FILE") as refused:
        SqlCatalog.open(url, STEPS)
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    url = f"postgresql://me:secret@/db?host={tmp_path}&password=secret"
    with pytest.raises(StoreError, match=r"me:\*\*\*@/db") as refused:
        SqlCatalog.open(url, STEPS)
    assert "secret" not in str(refused.value)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "c.sqlite").write_bytes(b"no database at all " * 1000)
    with pytest.raises(StoreError, match=r"c\.sqlite cannot be used"):
        SqlCatalog.open(f"sqlite:///{tmp_path}/c.sqlite", STEPS)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreFull, match="no folder can be made"):
        SqlCatalog.open(f"sqlite:///{tmp_path}/file/below/c.sqlite", STEPS)
    with pytest.raises(StoreError, match="cannot be used"):
        SqlCatalog.open(f"sqlite:///{tmp_path}", STEPS)


def test_the_folder_of_a_new_catalog_is_made(tmp_path):
    SqlCatalog.open(f"sqlite:///{tmp_path}/a/b/c.sqlite", STEPS).close()
    assert (tmp_path / "a/b/c.sqlite").exists()


@pytest.fixture
def on_sqlite(tmp_path):
    catalog = SqlCatalog.open(f"sqlite:///{tmp_path}/c.sqlite", STEPS)
    yield catalog
    catalog.close()


def test_a_full_disk_is_said_to_be_full_and_nothing_is_half_written(on_sqlite):
    on_sqlite.close()
    sa.event.listen(on_sqlite._reader, "connect", lambda db, _: db.execute("PRAGMA max_page_count = 120"))
    new = [NewItem("local", f"{n}", "inbox", "secret title" * 50) for n in range(2000)]
    with pytest.raises(StoreFull, match="make room") as refused:
        on_sqlite.add(new)
    assert "secret" not in str(refused.value)
    assert on_sqlite.page(ItemQuery()).items == ()
    assert len(on_sqlite.add(new[:1])) == 1


def test_a_catalog_that_somebody_keeps_locked_is_a_conflict(on_sqlite):
    on_sqlite.close()
    sa.event.listen(on_sqlite._reader, "connect", lambda db, _: db.execute("PRAGMA busy_timeout = 50"))
    other = sa.create_engine(on_sqlite._url)
    with other.connect() as db:
        db.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(Conflict, match="busy"):
            on_sqlite.point("a", "b")
    other.dispose()


# ---------------------------------------------------------------- listings


def _plan(catalog, told):
    with catalog.reading() as r:
        text = str(told.compile(r.db, compile_kwargs={"literal_binds": True}))
        return [row[-1] for row in r.db.exec_driver_sql(f"EXPLAIN QUERY PLAN {text.replace('%%', '%')}")]


def _in_order_of_an_index(plan):
    return all("USING" in line for line in plan if line.startswith(("SCAN", "SEARCH"))) and "TEMP B-TREE" not in str(
        plan
    )


_FILTERS = {
    name: {name: "x"} for name in ("source", "platform", "kind", "language", "category", "sentiment", "tag", "q")
}
_FILTERS |= {"": {}, "state": {"states": (ItemState.FAILED,)}, "states": {"states": (ItemState.FAILED, ItemState.DONE)}}


@pytest.mark.parametrize(("name", "sort", "later"), itertools.product(_FILTERS, ["created_at", "title"], [False, True]))
def test_every_listing_comes_in_order_from_an_index(on_sqlite, name, sort, later):
    query = ItemQuery(owner="local", sort=sort, **_FILTERS[name])
    after = None if not later else (("a" if sort == "title" else tables.EPOCH), "a")
    for told in pages.selects(query, after):
        plan = _plan(on_sqlite, told.limit(10))
        assert _in_order_of_an_index(plan), plan
        if sort == "created_at" and name in {*tables.FILTERS, "tag"}:
            assert f"{name}=?" in str(plan), plan


@pytest.mark.parametrize("sort", ["created_at", "title"])
def test_listings_of_all_owners_come_in_order_from_an_index(on_sqlite, sort):
    wanted = [{}, {"language": "de"}, *([{"states": (ItemState.FAILED,)}] if sort == "created_at" else [])]
    for fields in wanted:
        (told,) = pages.selects(ItemQuery(sort=sort, **fields), None)
        assert _in_order_of_an_index(_plan(on_sqlite, told)), _plan(on_sqlite, told)


def test_what_is_due_is_found_on_indexes(on_sqlite):
    for select, index in (
        (asks._retries, "item_steps_due"), (asks._blocked, "item_steps_blocked"), (asks._lost, "items_requested"),
    ):  # fmt: skip
        plan = _plan(on_sqlite, select(tables.EPOCH))
        assert _in_order_of_an_index(plan), plan
        assert index in str(plan), plan


@pytest.mark.parametrize("later", [False, True])
def test_action_items_are_listed_in_order_from_their_index(on_sqlite, later):
    plan = _plan(on_sqlite, promises.select("local", (tables.EPOCH, "a", 1) if later else None, done=False).limit(10))
    assert _in_order_of_an_index(plan), plan
    assert "action_items_by_owner" in str(plan), plan


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("unanswered", [False, True])
def test_searches_are_listed_in_order_from_an_index(on_sqlite, later, unanswered):
    plan = _plan(on_sqlite, history.select("local", 7 if later else None, unanswered=unanswered).limit(10))
    assert _in_order_of_an_index(plan), plan
    assert ("searches_unopened" if unanswered else "searches_by_owner") in str(plan), plan


@pytest.mark.parametrize("after", [None, ("bridge", "title", "x")])
@pytest.mark.parametrize("whole", [False, True])
def test_what_one_is_offered_comes_in_order_from_its_index(on_sqlite, after, whole):
    plan = _plan(on_sqlite, suggested.select("local", "brid", after, whole=whole).limit(10))
    assert _in_order_of_an_index(plan), plan
    assert "word" in str(plan), plan


@pytest.mark.parametrize("later", [False, True])
def test_chats_are_listed_in_order_from_their_index(on_sqlite, later):
    plan = _plan(on_sqlite, chats.select("local", (tables.EPOCH, "a") if later else None).limit(10))
    assert _in_order_of_an_index(plan), plan
    assert "chats_by_owner" in str(plan), plan


def test_an_address_is_shown_without_password_and_parameters():
    assert dialect.shown(sa.make_url("postgresql://a:b@h/d?password=b")) == "postgresql://a:***@h/d"


def test_items_from_before_a_step_have_it_left_out_where_they_are_done(url, empty_url):
    """What the step's migration does: a done item stays done, one that has not come so far takes the step."""
    engine = sa.create_engine(empty_url)
    before = [step for step in STEPS if step not in {"speakers", "translation"}]
    told = {
        "done": {"state": "done"},
        "copy": {"state": "skipped", "reason": "duplicate"},
        "new": {"state": "waiting"},
    }
    made_by(engine, "0005", {name: (dict.fromkeys(before, state), {}) for name, state in told.items()})
    opened = SqlCatalog.open(empty_url, STEPS)
    found = [opened.get(item_id).step("speakers") for item_id in told]
    assert [(s.state.value, s.reason) for s in found] == [
        ("skipped", "switched_off"),
        ("skipped", "duplicate"),
        ("waiting", None),
    ]
    assert [opened.get(item_id).state for item_id in told] == [ItemState.DONE, ItemState.DONE, ItemState.WAITING]
    opened.close()
