"""Many threads and processes at one catalog."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

from nexus_pipeline.catalog import SqlCatalog
from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.states import ItemState, State, StepStatus

WRITERS, EACH = 6, 15


def _write(url: str, writer: int) -> None:
    catalog = SqlCatalog.open(url, STEPS)
    for n in range(EACH):
        (item,) = catalog.add([NewItem("local", f"{writer}:{n}", "inbox", "t")])
        catalog.lease([item.id], f"run-{writer}")
        catalog.begin(item, "raw", f"run-{writer}", "root")
        catalog.land(item, StepStatus("raw", State.DONE, run_id=f"run-{writer}"))
    catalog.close()


def test_lines_are_read_in_the_order_in_which_they_become_visible(url, catalog):
    """Whoever reads on from the last line they saw misses none, while many processes write."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(url, n)) for n in range(3)]
    threads = [threading.Thread(target=_write, args=(url, n)) for n in range(3, WRITERS)]
    for writer in (*writers, *threads):
        writer.start()
    seen = []
    while any(w.is_alive() for w in (*writers, *threads)):
        seen += catalog.changes(seen[-1].id if seen else 0, limit=7)
    for writer in (*writers, *threads):
        writer.join()
    assert [w.exitcode for w in writers] == [0, 0, 0]
    while more := catalog.changes(seen[-1].id if seen else 0):
        seen += more
    assert len(seen) == WRITERS * EACH * 3
    assert seen == catalog.changes(0, limit=10_000)


def _open(url: str, told: "multiprocessing.Queue[str]") -> None:
    catalog = SqlCatalog.open(url, STEPS)
    told.put(catalog.add([NewItem("local", "o", "inbox", "t")])[0].id)
    catalog.close()


def test_several_processes_open_a_new_catalog_at_once(empty_url):
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    openers = [context.Process(target=_open, args=(empty_url, told)) for _ in range(4)]
    for opener in openers:
        opener.start()
    ids = {told.get(timeout=60) for _ in openers}
    for opener in openers:
        opener.join()
    assert [o.exitcode for o in openers] == [0] * 4
    assert len(ids) == 1
    catalog = SqlCatalog.open(empty_url, STEPS)
    assert len(catalog.changes(0)) == 1
    catalog.close()


def test_of_many_who_want_an_item_one_gets_it(catalog, add):
    ids = [add().id for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: set(catalog.lease(ids if n % 2 else ids[::-1], f"run-{n}")), range(8)))
    assert sorted(item_id for some in taken for item_id in some) == sorted(ids)


def test_many_who_add_the_same_items_make_them_once(catalog, rows):
    new = [NewItem("local", f"{n}", "inbox", "t", tags=("a",)) for n in range(50)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: catalog.add(new if n % 2 else new[::-1]), range(6)))
    assert {i.id for items in found for i in items} == {n.id for n in new}
    assert (rows("items"), rows("item_steps"), rows("changes")) == (50, 50 * len(STEPS), 50)


def test_copies_that_find_each_other_at_once_agree_on_the_first(catalog, add):
    items = [add() for _ in range(6)]
    pairs = [(a, b) for a in items for b in items if a.id != b.id]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda pair: catalog.link(pair[0], pair[1].id), pairs))
    assert [catalog.get(i.id).duplicate_of for i in items] == [None, *[items[0].id] * 5]


def test_one_catalog_serves_many_threads(catalog, add, run):
    items = list(catalog.lease([add().id for _ in range(12)], run.id).values())

    def through(item):
        for step in STEPS:
            item = run.land(item, step)
            catalog.beat(run.id)
            assert catalog.find([item.id])[item.id].step(step).state is State.DONE
        return item.state

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(through, items)) == {ItemState.DONE}
