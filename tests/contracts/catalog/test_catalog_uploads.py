"""Uploads in parts and answered posts, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from nexus_pipeline.catalog.tables import posts, uploads
from nexus_pipeline.domain.errors import Conflict, NotFound
from nexus_pipeline.domain.items import NewItem
from nexus_pipeline.domain.uploads import KEPT, OPEN_MOST, POSTS_MOST, Answered, Post, Upload

POST = Post("local", "/api/x", "key")
DONE = Answered("f", 202, [["location", "/y"]], b"\x00body\xff")


def new(upload_id="u1", owner="local", **more):
    now = datetime.now(UTC)
    told = {
        "length": 10, "received": 0, "metadata": "filename eA==", "at_once": False, "item_id": None,
        "settled": False, "created_at": now, "expires_at": now + KEPT,
    }  # fmt: skip
    return Upload(upload_id, owner, **(told | more))


def test_an_upload_is_its_owners_and_grows_from_where_it_was_seen(catalog):
    upload = new()
    catalog.add_upload(upload)
    assert catalog.upload("u1", "local") == upload
    with pytest.raises(NotFound):
        catalog.upload("u1", "other")
    catalog.grown("u1", 0, 4)
    with pytest.raises(Conflict):
        catalog.grown("u1", 0, 5)
    with pytest.raises(NotFound):
        catalog.grown("u2", 0, 5)
    catalog.grown("u1", 4, 10)
    found = catalog.upload("u1", "local")
    assert (found.received, found.finished, found.expires_at > upload.expires_at) == (10, True, True)


def test_a_length_that_comes_later(catalog):
    catalog.add_upload(new(length=None))
    assert not catalog.upload("u1", "local").finished
    catalog.grown("u1", 0, 0, length=0)
    assert catalog.upload("u1", "local").finished


def test_an_upload_that_becomes_an_item_grows_no_more_and_cannot_be_dropped(catalog):
    catalog.add_upload(new())
    catalog.become(["u1"], "item")
    with pytest.raises(Conflict):
        catalog.grown("u1", 0, 5)
    assert not catalog.drop_upload("u1")
    assert [u.id for u in catalog.open_uploads()] == ["u1"]
    catalog.settle_uploads(["u1"])
    found = catalog.upload("u1", "local")
    assert (found.settled, found.metadata, found.item_id) == (True, "", "item")
    assert catalog.open_uploads() == []
    with pytest.raises(NotFound):
        catalog.become(["u1"], "another")
    assert catalog.drop_upload("u1", taken=True)


def test_one_that_was_removed_becomes_nothing(catalog):
    catalog.add_upload(new())
    assert catalog.drop_upload("u1")
    assert not catalog.drop_upload("u1")
    with pytest.raises(NotFound):
        catalog.become(["u1"], "item")


def test_an_expired_one_is_none_for_its_owner_and_first_for_the_sweep(catalog):
    past = datetime.now(UTC) - timedelta(seconds=5)
    for upload in (new("late"), new("gone", expires_at=past), new("item", expires_at=past)):
        catalog.add_upload(upload)
    catalog.become(["item"], "item")
    catalog.settle_uploads(["item"])
    with pytest.raises(NotFound):
        catalog.upload("gone", "local")
    assert catalog.upload("item", "local").item_id == "item"
    assert [u.id for u in catalog.open_uploads()] == ["gone", "late"]
    assert catalog.open_among(["late", "item", "nobody"]) == {"late"}


def test_open_uploads_are_bounded_for_each_owner(catalog):
    with catalog.writing() as w:
        rows = [{name: getattr(new(f"u{n}"), name) for name in uploads.c.keys()} for n in range(OPEN_MOST)]  # noqa: SIM118
        w.db.execute(uploads.insert(), rows)
    with pytest.raises(Conflict, match="uploads are open already"):
        catalog.add_upload(new("more"))
    catalog.add_upload(new("theirs", owner="other"))


def test_an_erased_item_takes_uploads_and_answers_along(catalog):
    [item] = catalog.add([NewItem("local", "sha256:1", "upload", "t")])
    catalog.add_upload(new())
    catalog.become(["u1"], item.id)
    catalog.settle_uploads(["u1"])
    theirs = Post("other", "/api/x", "key")
    for post in (POST, theirs):
        catalog.claim_post(post, "a", "f")
        catalog.keep_post(post, "a", DONE)
    running = Post("local", "/api/x", "running")
    catalog.claim_post(running, "b", "f")
    catalog.bury(item.id)
    with pytest.raises(NotFound):
        catalog.upload("u1", "local")
    assert catalog.claim_post(POST, "c", "f") == Answered("f", 202, None, None)
    assert catalog.claim_post(theirs, "c", "f") == DONE
    catalog.keep_post(running, "b", DONE)  # what it says may be of the erased item
    assert catalog.claim_post(running, "c", "f").body is None


def test_a_post_is_claimed_by_one_and_its_answer_is_for_all(catalog):
    assert catalog.claim_post(POST, "a", "f") is None
    assert catalog.claim_post(POST, "b", "f") == Answered("f", None, None, None)
    catalog.keep_post(POST, "b", DONE)  # not its claim
    assert catalog.claim_post(POST, "b", "f").status is None
    catalog.keep_post(POST, "a", DONE)
    assert catalog.claim_post(POST, "b", "g") == DONE
    catalog.release_post(POST, "a")  # too late
    assert catalog.claim_post(POST, "b", "g") == DONE
    for other in (Post("other", "/api/x", "key"), Post("local", "/api/y", "key"), Post("local", "/api/x", "k")):
        assert catalog.claim_post(other, "b", None) is None


def test_a_post_given_back_is_anybodys(catalog):
    catalog.claim_post(POST, "a", None)
    catalog.release_post(POST, "b")
    assert catalog.claim_post(POST, "b", None) is not None
    catalog.release_post(POST, "a")
    assert catalog.claim_post(POST, "b", None) is None


def test_a_silent_post_is_taken_over_and_its_first_one_keeps_nothing(catalog):
    catalog.claim_post(POST, "a", "f")
    assert catalog.claim_post(POST, "b", "f", dead_after_s=0) is None
    catalog.keep_post(POST, "a", DONE)
    catalog.beat_post(POST, "b")
    assert catalog.claim_post(POST, "c", "f").status is None
    catalog.keep_post(POST, "b", DONE)
    assert catalog.claim_post(POST, "c", "f", dead_after_s=0) == DONE


def test_answers_are_bounded_in_age_and_number(catalog):
    catalog.claim_post(POST, "a", "f")
    catalog.keep_post(POST, "a", DONE)
    with catalog.writing() as w:
        w.db.execute(posts.update().values(created_at=datetime.now(UTC) - KEPT - timedelta(seconds=1)))
    assert catalog.prune_posts(datetime.now(UTC) - KEPT) == 1
    under_way = Post("local", "/api/x", "first")
    catalog.claim_post(under_way, "a", None)
    begin = datetime.now(UTC)
    rows = [
        {"owner": "local", "route": "/api/x", "key": f"{n}", "token": "a", "status": 202, "beat_at": begin}
        | {"created_at": begin + timedelta(microseconds=n)}
        for n in range(POSTS_MOST + 3)
    ]
    with catalog.writing() as w:
        w.db.execute(posts.insert(), rows)
    for n in (POSTS_MOST + 3, POSTS_MOST + 4):
        catalog.claim_post(Post("local", "/api/x", f"{n}"), "a", "f")
        catalog.keep_post(Post("local", "/api/x", f"{n}"), "a", DONE)
    with catalog.reading() as r:
        left = set(r.db.execute(sa.select(posts.c.key)).scalars())
    assert POSTS_MOST <= len(left) <= POSTS_MOST + 2
    assert {"first", f"{POSTS_MOST + 4}"} <= left
    assert "0" not in left


def test_listings_and_sweeps_stand_on_an_index(catalog, database):
    told = {
        "SELECT * FROM uploads WHERE owner = 'x' AND NOT settled": "uploads_open",
        "DELETE FROM uploads WHERE item_id = 'x'": "uploads_by_item",
        "DELETE FROM posts WHERE owner = 'x' AND created_at < 5": "posts_by_age",
    }
    with catalog.reading() as r:
        if database == "postgresql":
            r.db.exec_driver_sql("SET LOCAL enable_seqscan = off")  # it reads small tables whole
        explain = "EXPLAIN" if database == "postgresql" else "EXPLAIN QUERY PLAN"
        for statement, index in told.items():
            plan = " ".join(str(row) for row in r.db.exec_driver_sql(f"{explain} {statement}"))
            assert index in plan
