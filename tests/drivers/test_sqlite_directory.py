"""The directory database keeps what it was given, tells who changed what, and refuses what it must."""

from __future__ import annotations

import dataclasses
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import (
    DhcpServer,
    FailoverRelationship,
    Mailbox,
    Organisation,
    Role,
    SendConnector,
    Site,
)
from holdfast.directory.plan import Change, FieldChange, plan_change
from holdfast.directory.toml_format import write_organisation
from holdfast.drivers.sqlite_directory import SCHEMA, DirectoryStore, KnownObjects
from holdfast.drivers.sqlite_schema import open_for_writing
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import MailboxId, Revision

ALICE, BOB = MailboxId("a1"), MailboxId("b1")
DEMONSTRATION = demonstration_organisation(
    server_name="mail1", fqdn="mail1.example.test", alice=ALICE, bob=BOB, ports=DemonstrationPorts()
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is to be; the name needs quoting in a URI."""
    return tmp_path / "a b?%41#.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[DirectoryStore]:
    """A new, empty directory database."""
    opened = DirectoryStore.open(path, writable=True)
    yield opened
    opened.close()


def _change(
    store: DirectoryStore, change: Callable[[Organisation], Organisation], why: str = "test"
) -> Organisation:
    before = store.read()
    return store.apply(plan_change(before, change(before)), who="admin", why=why, at=1.0)


def test_new_database_holds_the_empty_organisation_and_is_private(store: DirectoryStore, path: Path) -> None:
    assert store.read() == Organisation()
    assert store.revision() == 0
    assert store.history(10) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_applied_is_read_back_also_after_opening_again(store: DirectoryStore, path: Path) -> None:
    applied = _change(store, lambda _: DEMONSTRATION)
    assert applied == dataclasses.replace(DEMONSTRATION, revision=Revision(1))
    store.close()
    again = DirectoryStore.open(path, writable=True)
    assert again.read() == applied
    assert again.revision() == 1
    again.close()


def test_order_is_kept_through_changes(store: DirectoryStore) -> None:
    sites = [Site(name) for name in "ABCDE"]
    for order in ("ABC", "CAB", "BDEA", "EDCBA", "A", "DA"):
        wanted = tuple(site for name in order for site in sites if site.name == name)
        assert (
            _change(store, lambda o, w=wanted: dataclasses.replace(o, sites=w, name=repr(w))).sites == wanted
        )
        assert store.read().sites == wanted


def test_reader_sees_what_another_writes(store: DirectoryStore, path: Path) -> None:
    reader = DirectoryStore.open(path, writable=False)
    _change(store, lambda _: DEMONSTRATION)
    assert reader.revision() == 1
    assert reader.read().mailboxes == DEMONSTRATION.mailboxes
    with pytest.raises(Unavailable, match="readonly"):
        reader.set_secret(ALICE, "x")
    reader.close()


def test_plan_without_changes_makes_no_revision(store: DirectoryStore) -> None:
    _change(store, lambda _: DEMONSTRATION)
    assert _change(store, lambda o: o).revision == 1
    assert len(store.history(10)) == 1


def test_plan_for_an_older_revision_is_refused_and_tells_who_was_faster(store: DirectoryStore) -> None:
    before = store.read()
    late = plan_change(before, with_object(before, Site("Late")))
    _change(store, lambda o: dataclasses.replace(o, sites=tuple(Site(each) for each in "ABCD")))
    with pytest.raises(Refusal) as caught:
        store.apply(late, who="slow", why="", at=2.0)
    assert caught.value.text == (
        "the change was planned for revision 0, but the organisation is at 1 now: revision 1 by admin at "
        '1970-01-01 00:00:01 UTC: add site "A", add site "B", add site "C" and 1 more; '
        "look at the organisation as it is now and ask again"
    )
    assert [site.name for site in store.read().sites] == list("ABCD")


def test_plan_with_problems_is_refused_with_all_of_them(store: DirectoryStore) -> None:
    plan = plan_change(store.read(), dataclasses.replace(DEMONSTRATION, sites=(), mailbox_databases=()))
    with pytest.raises(Refusal) as caught:
        store.apply(plan, who="admin", why="", at=1.0)
    assert caught.value.problems == plan.problems
    assert len(plan.problems) == 3
    assert store.revision() == 0


def test_history_is_newest_first_and_pages(store: DirectoryStore) -> None:
    for name in "ABC":
        _change(store, lambda o, n=name: with_object(o, Site(n)), why=f"{name}\udcff")
    assert [(each.revision, each.who, each.why, each.at) for each in store.history(2)] == [
        (3, "admin", "C?", 1.0),
        (2, "admin", "B?", 1.0),
    ]
    (oldest,) = store.history(2, before=Revision(2))
    assert oldest.changes == (Change("add", "site", "A", (FieldChange("name", "", "A"),)),)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM change_log",
        "UPDATE change_log SET who = 'nobody'",
        "INSERT OR REPLACE INTO change_log VALUES (1, 2.0, 'x', 'y', '[]')",
    ],
)
def test_change_log_only_grows(store: DirectoryStore, path: Path, statement: str) -> None:
    _change(store, lambda _: DEMONSTRATION)
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="can only grow"):
        other.execute(statement)
    other.close()
    assert store.history(5)[0].who == "admin"


def test_secrets_are_kept_apart_and_go_with_the_mailbox(store: DirectoryStore) -> None:
    store.set_secret(ALICE, "hash-of-alice")  # before the mailbox: the first start does so
    _change(store, lambda _: DEMONSTRATION)
    store.set_secret(BOB, "hash-1")
    store.set_secret(BOB, "hash-2")
    assert (store.secret(ALICE), store.secret(BOB), store.secret(MailboxId("zz"))) == (
        "hash-of-alice",
        "hash-2",
        None,
    )
    assert "hash" not in write_organisation(store.read())
    assert "hash" not in repr(store.history(10))
    renamed = dataclasses.replace(DEMONSTRATION.mailboxes[0], address="al@example.test")
    _change(store, lambda o: dataclasses.replace(o, mailboxes=(renamed,)))
    assert (store.secret(ALICE), store.secret(BOB)) == ("hash-of-alice", None)
    _change(store, lambda o: without_object(o, Mailbox, "al@example.test"))
    assert store.secret(ALICE) is None


def test_smart_host_passwords_stay_out_of_sight_and_go_with_their_connector(
    store: DirectoryStore, path: Path
) -> None:
    with pytest.raises(Refusal, match='there is no send connector "out"'):
        store.set_connector_password("out", "open sesame")
    _change(store, lambda o: with_object(o, SendConnector("out", ("*",))))
    store.set_connector_password("OUT", "open sesame")
    assert (store.connector_password("out"), store.connector_password("in")) == ("open sesame", None)
    assert "sesame" not in write_organisation(store.read())
    assert "sesame" not in repr(store.history(10))
    _change(store, lambda o: with_object(o, SendConnector("out", ("example.com",))))
    assert store.connector_password("out") == "open sesame"
    _change(store, lambda o: without_object(o, SendConnector, "out"))
    _change(store, lambda o: with_object(o, SendConnector("out", ("*",))))
    assert store.connector_password("out") is None
    store.set_connector_password("out", "open sesame")
    store.set_connector_password("out", None)
    assert store.connector_password("out") is None
    store.close()
    assert b"sesame" not in path.read_bytes()


def test_shared_secrets_stay_out_of_sight_and_go_with_their_relationship(
    store: DirectoryStore, path: Path
) -> None:
    with pytest.raises(Refusal, match='there is no failover relationship "pair"'):
        store.set_failover_secret("pair", "open sesame")
    second = dataclasses.replace(DEMONSTRATION.servers[0], name="second", fqdn="second.example.test")
    first = dataclasses.replace(DEMONSTRATION.servers[0], roles=(Role.DHCP, *DEMONSTRATION.servers[0].roles))
    second = dataclasses.replace(second, roles=(Role.DHCP,), imap=(), metrics="")
    pair = FailoverRelationship("Pair", (first.name, "second"))
    declared = dataclasses.replace(DEMONSTRATION, servers=(first, second), failover_relationships=(pair,))
    _change(store, lambda _: declared)
    store.set_failover_secret("PAIR", "open sesame")
    assert (store.failover_secret("pair"), store.failover_secret("other")) == ("open sesame", None)
    assert "sesame" not in write_organisation(store.read()) + repr(store.history(10))
    _change(store, lambda o: with_object(o, dataclasses.replace(pair, mclt_s=60.0)))
    assert store.failover_secret("pair") == "open sesame"
    _change(store, lambda o: without_object(o, FailoverRelationship, "pair"))
    _change(store, lambda o: with_object(o, pair))
    assert store.failover_secret("pair") is None
    store.set_failover_secret("pair", "open sesame")
    store.set_failover_secret("pair", None)
    assert store.failover_secret("pair") is None
    store.close()
    assert b"sesame" not in path.read_bytes()


def test_a_database_without_shared_secrets_gets_room_for_them(path: Path) -> None:
    open_for_writing(path, dataclasses.replace(SCHEMA, migrations=SCHEMA.migrations[:2])).close()
    store = DirectoryStore.open(path, writable=True)
    assert store.failover_secret("pair") is None
    store.close()


def test_secrets_of_keys_stay_out_of_sight_and_go_with_the_last_server_that_signs_with_them(
    store: DirectoryStore, path: Path
) -> None:
    with pytest.raises(Refusal, match='no DHCP server signs with a key "dhcp-key"'):
        store.set_tsig_secret("dhcp-key", "c2VzYW1l")
    leases = dataclasses.replace(DEMONSTRATION.servers[0], roles=(Role.DHCP, *DEMONSTRATION.servers[0].roles))
    signs = DhcpServer(leases.name, dns_servers=("192.0.2.53",), dns_key="dhcp-key")
    _change(store, lambda _: dataclasses.replace(DEMONSTRATION, servers=(leases,), dhcp_servers=(signs,)))
    store.set_tsig_secret("DHCP-Key", "c2VzYW1l")
    assert (store.tsig_secret("dhcp-key"), store.tsig_secret("other")) == ("c2VzYW1l", None)
    assert "c2VzYW1l" not in write_organisation(store.read()) + repr(store.history(10))
    _change(store, lambda o: with_object(o, dataclasses.replace(signs, dns_zones=("example.test",))))
    assert store.tsig_secret("dhcp-key") == "c2VzYW1l"
    _change(store, lambda o: with_object(o, dataclasses.replace(signs, dns_key="")))
    _change(store, lambda o: with_object(o, signs))
    assert store.tsig_secret("dhcp-key") is None
    store.set_tsig_secret("dhcp-key", "c2VzYW1l")
    store.set_tsig_secret("dhcp-key", None)
    assert store.tsig_secret("dhcp-key") is None
    store.close()
    assert b"c2VzYW1l" not in path.read_bytes()


def test_a_database_without_secrets_of_keys_gets_room_for_them(path: Path) -> None:
    open_for_writing(path, dataclasses.replace(SCHEMA, migrations=SCHEMA.migrations[:3])).close()
    store = DirectoryStore.open(path, writable=True)
    assert store.tsig_secret("dhcp-key") is None
    store.close()


def test_a_database_without_smart_host_passwords_gets_room_for_them(path: Path) -> None:
    open_for_writing(path, dataclasses.replace(SCHEMA, migrations=SCHEMA.migrations[:1])).close()
    with pytest.raises(Unavailable, match="is of version 1, not yet brought to 4"):
        DirectoryStore.open(path, writable=False)
    old = sqlite3.connect(path)
    with old:
        old.execute("INSERT INTO secrets VALUES ('a1', 'hash-of-alice')")
        body = '{"name": "out", "address_spaces": ["*"]}'
        old.execute("INSERT INTO objects VALUES ('send connector', 'out', 1, ?)", (body,))
    old.close()
    store = DirectoryStore.open(path, writable=True)
    assert store.secret(ALICE) == "hash-of-alice"
    assert store.read().send_connectors == (SendConnector("out", ("*",)),)
    assert store.connector_password("out") is None
    store.set_connector_password("out", "open sesame")
    assert store.connector_password("out") == "open sesame"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


def test_several_threads_use_one_store_and_no_change_is_lost(store: DirectoryStore) -> None:
    def add(name: str) -> None:
        while True:
            before = store.read()
            try:
                store.apply(plan_change(before, with_object(before, Site(name))), who=name, why="", at=1.0)
                return
            except Refusal:
                continue

    threads = [threading.Thread(target=add, args=(f"S{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.revision() == 4
    assert {site.name for site in store.read().sites} == {"S0", "S1", "S2", "S3"}


def test_failed_change_leaves_nothing_behind(store: DirectoryStore, path: Path) -> None:
    _change(store, lambda _: DEMONSTRATION)
    before = store.read()
    plan = plan_change(before, with_object(before, Site("New")))
    other = sqlite3.connect(path)
    other.execute(
        "CREATE TRIGGER full BEFORE INSERT ON change_log BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        store.apply(plan, who="admin", why="", at=1.0)
    other.execute("DROP TRIGGER full")
    other.close()
    assert store.read() == before
    assert store.apply(plan, who="admin", why="", at=1.0).revision == 2


def test_locked_database_is_unavailable_not_a_crash(store: DirectoryStore, path: Path) -> None:
    store._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        _change(store, lambda _: DEMONSTRATION)
    other.close()
    assert _change(store, lambda _: DEMONSTRATION).revision == 1


def test_missing_database_is_told(path: Path) -> None:
    with pytest.raises(Unavailable, match=r"there is no directory database .* yet"):
        DirectoryStore.open(path, writable=False)
    with pytest.raises(Unavailable, match="No such file or directory"):
        DirectoryStore.open(path / "deeper", writable=True)


def test_database_that_is_just_being_made_is_told(path: Path) -> None:
    path.touch()
    with pytest.raises(Unavailable, match="is of version 0, not yet brought to 4"):
        DirectoryStore.open(path, writable=False)


@pytest.mark.parametrize("writable", [True, False])
def test_newer_database_is_refused_and_untouched(store: DirectoryStore, path: Path, writable: bool) -> None:
    store._connection.execute("PRAGMA user_version = 9")
    with pytest.raises(
        Refusal, match=r"is of version 9, this program knows up to 4; start the newer Holdfast"
    ):
        DirectoryStore.open(path, writable=writable)
    assert store._connection.execute("PRAGMA user_version").fetchone() == (9,)


@pytest.mark.parametrize("writable", [True, False])
def test_another_programs_database_is_refused(path: Path, writable: bool) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(Refusal, match="but not a directory database of ours"):
        DirectoryStore.open(path, writable=writable)


@pytest.mark.parametrize("writable", [True, False])
def test_file_that_is_no_database_is_unavailable_and_untouched(path: Path, writable: bool) -> None:
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match=r"is damaged .*nothing was changed"):
        DirectoryStore.open(path, writable=writable)
    assert path.read_bytes() == b"no database" * 1000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE objects SET body = 'not json' WHERE kind = 'mailbox'",
        "UPDATE objects SET body = '[1]' WHERE kind = 'organisation'",
        "UPDATE objects SET body = '{\"name\": 5}' WHERE kind = 'site'",
    ],
)
def test_damaged_object_is_unavailable(store: DirectoryStore, path: Path, statement: str) -> None:
    _change(store, lambda _: DEMONSTRATION)
    other = sqlite3.connect(path)
    with other:
        other.execute(statement)
    other.close()
    with pytest.raises(Unavailable, match="is damaged"):
        store.read()


def test_damaged_log_entry_is_unavailable(store: DirectoryStore, path: Path) -> None:
    other = sqlite3.connect(path)
    with other:
        other.execute("INSERT INTO change_log VALUES (1, 1.0, 'x', 'y', '[[1]]')")
    other.close()
    with pytest.raises(Unavailable, match="an entry of the change log cannot be read"):
        store.history(1)


def test_what_did_not_change_is_the_same_object_when_it_is_read_again(
    store: DirectoryStore, path: Path
) -> None:
    known = KnownObjects()

    def read() -> Organisation:
        reader = DirectoryStore.open(path, writable=False, known=known)
        try:
            return reader.read()
        finally:
            reader.close()

    _change(store, lambda _: DEMONSTRATION)
    first = read()
    alice, bob = first.mailboxes
    _change(store, lambda now: with_object(now, dataclasses.replace(alice, display_name="A")))
    second = read()
    assert second == store.read()
    assert second.mailboxes[0].display_name == "A"
    assert second.mailboxes[1] is bob
    _change(store, lambda now: without_object(now, Mailbox, bob.address))
    assert read().mailboxes == (second.mailboxes[0],)
    _change(store, lambda now: with_object(now, bob))
    assert read().mailboxes == (second.mailboxes[0], bob)


def test_row_of_an_older_version_gets_new_settings_at_the_next_change(
    store: DirectoryStore, path: Path
) -> None:
    # A default that a later version changes must not change a running organisation.
    _change(store, lambda _: DEMONSTRATION)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE objects SET body = json_remove(body, '$.hub') WHERE kind = 'site'")
    database.close()
    store.read()
    _change(store, lambda now: dataclasses.replace(now, name="New"))
    with sqlite3.connect(path) as database:
        (body,) = database.execute("SELECT body FROM objects WHERE kind = 'site'").fetchone()
    database.close()
    assert '"hub": false' in body


def test_change_that_was_not_kept_is_written_when_it_is_made_again(store: DirectoryStore, path: Path) -> None:
    before = _change(store, lambda _: DEMONSTRATION)
    plan = plan_change(before, with_object(before, Site("Other")))
    blocker = sqlite3.connect(path)
    blocker.execute("CREATE TRIGGER full BEFORE INSERT ON change_log BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        store.apply(plan, who="x", why="", at=1.0)
    blocker.execute("DROP TRIGGER full")
    blocker.close()
    assert store.apply(plan, who="x", why="", at=1.0) == store.read()
    assert Site("Other") in store.read().sites


def test_known_objects_do_not_hide_damage(store: DirectoryStore, path: Path) -> None:
    _change(store, lambda _: DEMONSTRATION)
    store.read()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE objects SET body = 'no' WHERE kind = 'site'")
    database.close()
    with pytest.raises(Unavailable, match="damaged"):
        store.read()
