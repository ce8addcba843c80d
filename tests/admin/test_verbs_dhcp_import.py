"""Moving in by verbs: the plan, the whole of it, nothing at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.admin.conftest import World

from dhcp.moving_samples import ISC, KEA, WINDOWS
from holdfast.admin.sent_files import pack_file
from holdfast.directory.model import Role as Role_
from holdfast.directory.plan import plan_change
from holdfast.drivers.dhcp_requests import ImportLeases, LeasesImported
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable

Call = Callable[..., Any]
SAMPLES = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "dhcp"


class Role:
    """The dhcp role, as far as leases arrive in it."""

    def __init__(self, *kept: str) -> None:
        self.kept = kept
        self.parts: list[ImportLeases] = []

    def __call__(self, verb: str, body: bytes) -> bytes:
        assert verb == "lease.import"
        part = msgspec.msgpack.decode(body, type=ImportLeases)
        self.parts.append(part)
        return msgspec.msgpack.encode(
            LeasesImported(len(part.leases) if part.last else 0, self.kept if part.last else ())
        )


@pytest.fixture
def role(call: Call, world: World) -> Role:
    call("dhcp enable")
    world.dhcp = Role()
    return world.dhcp


def packed(tmp_path: Path, name: str, data: bytes) -> str:
    (tmp_path / name).write_bytes(data)
    return pack_file(str(tmp_path / name))


LEASES = b"""lease 192.0.2.120 {
  ends 6 2036/11/21 01:17:19;
  binding state active;
  hardware ethernet 02:00:00:00:00:01;
}
"""


def test_isc_is_planned_then_done(call: Call, role: Role, tmp_path: Path, store: DirectoryStore) -> None:
    given = {
        "file": [packed(tmp_path, "dhcpd.conf", ISC)],
        "leases": [packed(tmp_path, "dhcpd.leases", LEASES)],
    }
    before = store.read()
    plan = call("dhcp import isc", **given)
    assert (plan.applied, plan.revision, plan.conflicts) == (False, before.revision, [])
    assert store.read() == before
    assert role.parts == []
    assert [(each.what, each.new_count) for each in plan.new][:2] == [
        ("classes", 1),
        ("option definitions", 1),
    ]
    assert plan.scopes[0].lease_count == 1
    assert "--yes" in plan.next_step
    assert any(each.place == "dhcpd.conf line 38" and each.what == "frobnicate on" for each in plan.notes)
    done = call("dhcp import isc", yes=True, why="moving", **given)
    assert done.applied
    after = store.read()
    assert after.revision == before.revision + 1 == done.revision
    assert [str(each.subnet) for each in after.scopes] == [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
    ]
    (part,) = role.parts
    assert (part.last, len(part.leases), part.leases[0].mac.hex()) == (True, 1, "020000000001")
    again = call("dhcp import isc", yes=True, **given)
    assert again.revision == done.revision
    assert all(each.exists for each in again.scopes)
    assert len(role.parts) == 2  # leases move on, so they are handed over again


def test_kea_and_windows(call: Call, role: Role, tmp_path: Path, store: DirectoryStore, world: World) -> None:
    csv = (
        b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id\n"
        b"192.0.2.120,02:00:00:00:00:01,,3600,1900000000,1\n10.0.0.1,02:00:00:00:00:01,,3600,1900000000,1\n"
    )
    role.kept = ("192.0.2.120",)
    done = call(
        "dhcp import kea",
        file=packed(tmp_path, "kea.conf", KEA),
        leases=[packed(tmp_path, "kea.csv", csv)],
        scope=["Office"],
        yes=True,
    )
    assert done.applied
    assert [each.name for each in store.read().scopes] == ["Office"]
    assert any("10.0.0.1" in each.what for each in done.notes)
    assert world.warnings == [
        "1 addresses are leased here to other clients already, who keep them: 192.0.2.120"
    ]
    with pytest.raises(Refusal, match=r"nothing was changed: \d+ conflicts") as caught:
        call("dhcp import windows", file=packed(tmp_path, "export.xml", WINDOWS), yes=True)
    assert any("is there already for 192.0.2.0/24" in each.text for each in caught.value.problems)
    plan = call("dhcp import windows", file=packed(tmp_path, "export.xml", WINDOWS), without_leases=True)
    assert "conflicts" in plan.next_step
    assert all(each.lease_count == 0 for each in plan.scopes)


def test_without_the_role_leases_stop_everything(call: Call, tmp_path: Path, store: DirectoryStore) -> None:
    call("dhcp enable")
    before = store.read()
    given = {"file": [packed(tmp_path, "dhcpd.conf", ISC)]}
    with pytest.raises(
        Unavailable, match="nothing was changed: 1 leases could not be handed over: the dhcp role"
    ):
        call("dhcp import isc", leases=[packed(tmp_path, "dhcpd.leases", LEASES)], yes=True, **given)
    assert store.read() == before
    assert call("dhcp import isc", yes=True, **given).applied


def test_leases_of_another_server_are_imported_there(
    call: Call, role: Role, tmp_path: Path, store: DirectoryStore
) -> None:
    before = store.read()
    second = replace(
        before.servers[0], name="second", fqdn="second.example.test", roles=(Role_.DHCP,), imap=()
    )
    after = replace(before, servers=(*before.servers, second))
    store.apply(plan_change(before, after), who="test", why="", at=0.0)
    with pytest.raises(Refusal, match='import on server "second"'):
        call(
            "dhcp import isc",
            file=[packed(tmp_path, "dhcpd.conf", ISC)],
            leases=[packed(tmp_path, "dhcpd.leases", LEASES)],
            server="second",
            yes=True,
        )


def test_bad_files_are_named(call: Call, role: Role, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"dhcpd\.conf line 2"):
        call("dhcp import isc", file=[packed(tmp_path, "dhcpd.conf", b"a;\nb")])
    with pytest.raises(Refusal, match=r"export\.xml line 1: this is not XML"):
        call("dhcp import windows", file=packed(tmp_path, "export.xml", b"hello"))
    with pytest.raises(Refusal, match=r"kea\.conf line 1"):
        call("dhcp import kea", file=packed(tmp_path, "kea.conf", b"hello"))
    one = packed(tmp_path, "dhcpd.conf", b"a;")
    with pytest.raises(Refusal, match=r'two files are called "dhcpd\.conf"'):
        call("dhcp import isc", file=[one, one])


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the conformance data is not here")
def test_the_conformance_files_move_in(call: Call, role: Role, tmp_path: Path, store: DirectoryStore) -> None:
    pair = SAMPLES / "isc-failover-run"
    done = call(
        "dhcp import isc",
        file=[pack_file(str(pair / "s1.conf"))],
        leases=[pack_file(str(pair / "s1.2-normal.leases"))],
        yes=True,
    )
    assert done.applied
    # The leases ended in 2026, and it is later: their clients are remembered.
    assert {each.what: each.new_count for each in done.new}["remembered clients"] == 12
    done = call(
        "dhcp import windows",
        file=pack_file(str(SAMPLES / "windows-export" / "gravity_test_a.xml")),
        yes=True,
    )
    assert done.notes == []
    assert [each.name for each in store.read().scopes] == ["10.77.0.0/24", ".5 scope", ".10 scope"]
