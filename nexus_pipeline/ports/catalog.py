"""What we know of items, in transactions."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from nexus_pipeline.domain.chats import Chat, Chats, Message
from nexus_pipeline.domain.edits import Edit
from nexus_pipeline.domain.fingerprints import Related
from nexus_pipeline.domain.history import Frequent, Searches, Suggestion
from nexus_pipeline.domain.items import Item, NewItem
from nexus_pipeline.domain.listing import (
    Ask,
    Backlog,
    Change,
    ItemQuery,
    Lease,
    Page,
    Promises,
    Receipt,
    Standing,
    Throughput,
    Used,
)
from nexus_pipeline.domain.states import StepStatus
from nexus_pipeline.domain.timeline import ActionItem
from nexus_pipeline.ports.coming import Coming


class Catalog(Coming, Protocol):
    """What we know of items, in transactions. Every write of a step names run and gen and is refused without the lease.

    Raises NotFound, LeaseLost, StoreError.
    """

    # items
    def add(self, items: Sequence[NewItem]) -> list[Item]:
        """Insert those that are not there yet (with their steps waiting); all of them as they are now, in order."""

    def get(self, item_id: str) -> Item:
        """One item, with its steps. Raises NotFound, also for a tombstone."""

    def find(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Those that are there, tombstones left out."""

    def page(self, query: ItemQuery) -> Page:
        """A page of items."""

    def ids(self, prefix: str, *, owner: str, limit: int = 2) -> list[str]:
        """Ids of the owner's items that begin so, in order: people write the first few characters."""

    def edit(
        self,
        item_id: str,
        *,
        speakers: Mapping[str, str | None] | None = None,
        edits: Sequence[Edit] = (),
        taken_back: Collection[int] = (),
        again: str | None = None,
        **fields: Any,
    ) -> Item:
        """A person's change: title, tags, language, engines, priority, unique, sidecar_key, speakers' names, edits.

        `taken_back`: ids of edits. `again`: the step that is asked for again, if it is done, when what is searched
        changes by it; in the same transaction.
        """

    def edits(self, item_id: str) -> tuple[Edit, ...]:
        """What people wrote over an item's transcript, in the order in which they did."""

    # leases
    def lease(
        self, item_ids: Sequence[str], run_id: str, *, lane: str | None = None, dead_after_s: float = 60
    ) -> dict[str, Item]:
        """Take those whose lease is free, ours or dead, for a run of this lane; what was taken, as it is now."""

    def beat(self, run_id: str) -> None:
        """All leases of this run live on."""

    def release(self, run_id: str, item_ids: Sequence[str] | None = None) -> None:
        """Give them back; steps that still run there wait again."""

    def leased(self, item_ids: Sequence[str]) -> set[str]:
        """Of these, the items that a run holds, be it alive or dead."""

    def dead_leases(self, silent_s: float = 60) -> list[Lease]:
        """Leases whose run has not been heard of for so long."""

    # steps
    def begin(self, item: Item, step: str, run_id: str, root_run_id: str, engine: str | None = None) -> None:
        """The step runs: attempt + 1, progress 0, no error."""

    def advance(
        self,
        item: Item,
        step: str,
        run_id: str,
        progress: float,
        phase: str | None = None,
        *,
        heard: int | None = None,
    ) -> None:
        """How far it is; a change is logged at every 5 %, every new phase and every window that was heard."""

    def land(self, item: Item, status: StepStatus, facts: Mapping[str, Any] | None = None) -> Item:
        """The commit point: the step's new state and, with it, facts that belong on the item; the item as it is now."""

    # action items
    def action_items(self, item_id: str) -> tuple[ActionItem, ...]:
        """What was promised in an item, as people changed it, in order of time."""

    def change_action_item(
        self, item_id: str, n: int, changes: Mapping[str, Any], seed: Sequence[ActionItem] = ()
    ) -> ActionItem:
        """A person's change: task, priority, assignee, estimate, done; later runs keep it.

        `seed`: what was promised, where the catalog has nothing of the item yet. Raises NotFound.
        """

    def promises(self, owner: str, *, done: bool | None = None, limit: int = 50, cursor: str | None = None) -> Promises:
        """An owner's action items over all items, those of the newest item first; a duplicate's are its first's."""

    # chats
    def chat(self, chat_id: str, owner: str) -> Chat:
        """One of the owner's chats. Raises NotFound."""

    def chats(self, owner: str, *, limit: int = 50, cursor: str | None = None) -> Chats:
        """An owner's chats, the one last spoken in first."""

    def messages(self, chat_id: str, owner: str, *, after: int = 0, limit: int = 1000) -> list[Message]:
        """A chat's messages in their order, those behind a place. Raises NotFound."""

    def last_messages(self, chat_id: str, owner: str, limit: int) -> list[Message]:
        """The newest so many, in their order. Raises NotFound."""

    def say(self, chat_id: str, owner: str, said: Sequence[Message], *, new: bool) -> Chat:
        """Begin a chat with these messages, or add them to one; without words of items that were erased meanwhile.

        Raises NotFound where a chat that goes on is not there, or somebody else's.
        """

    def forget_chat(self, chat_id: str, owner: str) -> None:
        """A chat goes with all its messages. Raises NotFound."""

    # what is due
    def ask(self, ask: str, item_ids: Sequence[str], *, from_step: str | None = None) -> list[Item]:
        """Write the asks and, in the same transaction, the items' new states; those items as they are now."""

    def asks(self, limit: int = 1000) -> list[Ask]:
        """Open asks, oldest first."""

    def answered(self, ask_ids: Sequence[int]) -> None:
        """These are carried out."""

    def cancel_asked(self, item_ids: Sequence[str]) -> set[str]:
        """Of these, the ones that a person wants stopped."""

    def due(self, limit: int = 1000) -> list[Item]:
        """Items that wait for a run and have none: retries whose time has come, blocked ones to be looked at again."""

    def requested(self, item_ids: Sequence[str], lane: str | None = None) -> None:
        """A run has been asked for these: retries that are due and blocked steps wait again, and are due no more."""

    # identity
    def first_of(self, item: Item, digest: str) -> Item | None:
        """The oldest other item of the owner with these bytes that is no duplicate itself."""

    def fingerprinted(self, item: Item, digest: str, keys: Sequence[int]) -> None:
        """Set the item's digest and replace its postings in the index of sub-fingerprints."""

    def candidates(self, item: Item, keys: Sequence[int], *, least: int = 2, limit: int = 50) -> list[tuple[str, int]]:
        """Other items of the owner, no duplicates, that hold at least so many keys, and how many; the rarest first."""

    def link(self, item: Item, other_id: str, offset_s: float = 0.0) -> Item | None:
        """Two are copies: decide in this transaction which is first by (created_at, id).

        The first, if `item` is the duplicate; None if `item` is the older one: then the other is linked to it.
        """

    def relate(self, item: Item, found: Sequence[Related], compared: Collection[str]) -> None:
        """What the item shares with those that it was compared with is what was found: excerpts, shared stretches."""

    def related(self, item_id: str, limit: int | None = 50) -> list[Related]:
        """Items that share sound with it, seen from it, whoever found it: copies, excerpts, then shared stretches.

        In the order of their `rank`. `limit` None: all.
        """

    def copies_of(self, item_id: str) -> list[Item]:
        """Its duplicates, oldest first: when it is buried, the first of them takes its place."""

    # deleting
    def bury(self, item_id: str) -> Item:
        """Tombstone and gen + 1: from now on the item is in no answer, and what lands is dropped."""

    def counted(self, item_id: str, *, blobs: int, passages: int) -> None:
        """What is about to go, for the receipt; where that is anything, the archive is to be purged once more."""

    def forget(self, item_id: str) -> int:
        """No row of the item is left but tombstone and receipt; how many went."""

    def buried(self, limit: int = 1000) -> list[Item]:
        """Tombstones that are not forgotten yet: whoever was erasing them did not come to the end."""

    def tombstone(self, item_id: str) -> Item:
        """What is left of an erased item: id, owner, gen. Raises NotFound."""

    def is_erased(self, item_id: str) -> bool:
        """Whether it was there and is buried; one that never was, or is alive again, is not."""

    def receipt(self, item_id: str) -> Receipt:
        """What went with an erased item. Raises NotFound where none of this id was ever erased."""

    def open_receipts(self, limit: int = 1000) -> list[Receipt]:
        """Those that are not complete, oldest first."""

    def purged(self, item_ids: Sequence[str], marks: Mapping[str, int], versions: int) -> None:
        """The archive is clean of these items from these versions on; so many older ones are not."""

    def settle(self, item_ids: Sequence[str]) -> None:
        """Nothing of these items is left in any store: their receipts are complete."""

    def scrub(self) -> bool:
        """What was deleted leaves the catalog's own files; False where somebody keeps it from that for now."""

    # events
    def changes(
        self,
        after: int,
        limit: int = 500,
        item_id: str | None = None,
        *,
        owner: str | None = None,
        until: int | None = None,
    ) -> list[Change]:
        """Lines after a cursor and up to another, in the order in which they became visible."""

    def changes_span(self) -> tuple[int, int]:
        """How far they were pruned, and the newest: a cursor outside has missed something, or is of another catalog."""

    def prune_changes(self, before: datetime) -> int:
        """Forget old lines; how many."""

    # finding
    def suggest(self, owner: str, begin: str, limit: int = 10) -> list[Suggestion]:
        """Titles, tags and speakers of the owner's items in which every word stands, the last one as a beginning."""

    def titles(self, owner: str, words: str) -> dict[str, str]:
        """Titles of the owner's items in which any of the words stands, by the item; of each word so many at most."""

    def remember(
        self, owner: str, query: str, *, mode: str, filters: Mapping[str, Any], hits: int, took_ms: float
    ) -> int:
        """Keep a search; the number by which its hits are opened later."""

    def opened(self, owner: str, search_id: int, item_id: str, start_s: float) -> None:
        """A hit of it was opened; twice is once. Raises NotFound."""

    def searches(self, owner: str, *, unanswered: bool = False, limit: int = 50, cursor: str | None = None) -> Searches:
        """The owner's searches, the newest first; `unanswered`: those of which no hit was opened."""

    def frequent(self, owner: str, limit: int = 50) -> list[Frequent]:
        """What the owner has searched for more than once, the most frequent first."""

    def forget_searches(self, owner: str) -> int:
        """All of the owner's; how many."""

    # small facts
    def pointer(self, name: str) -> str | None:
        """A named fact of the whole archive, e.g. which embedder is served."""

    def point(self, name: str, value: str) -> None:
        """Set it."""

    def counts(self) -> Mapping[str, int]:
        """Items by state."""

    def standing(self, owner: str) -> Standing:
        """How an owner's items stand, for an overview."""

    def throughput(self, owner: str, since: datetime) -> Throughput:
        """What became searchable since then."""

    def used(self, owner: str) -> Used:
        """What an owner has here."""

    def backlog(self) -> list[Backlog]:
        """Steps that wait or run, by lane, of all owners."""
