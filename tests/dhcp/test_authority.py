"""Who may lease is asked in one place: a server alone, and one that shares its scope."""

from __future__ import annotations

import pytest

from dhcp.conversations import NOW, Client, organisation, packed, scope
from holdfast.dhcp.authority import Alone, Authority
from holdfast.dhcp.desk import Arrival, Link
from holdfast.dhcp.lease import ACTIVE, BACKUP, EXPIRED, FREE, RELEASED, Lease
from holdfast.dhcp.served import make_served
from holdfast.dhcp.server import LeaseServer
from holdfast.wire.dhcp4 import encode_message, read_message

FIRST = int.from_bytes(packed("10.0.0.10"), "big")


@pytest.fixture
def partner(request: pytest.FixtureRequest) -> Secondary:
    """What is asked in the place of a relationship."""
    if request.config.getoption("--compiled"):
        pytest.skip("nothing that was not compiled derives from compiled code")
    return Secondary()


class Secondary(Authority):
    """A made-up partner: every second address is ours, leases are short until the other knows of them."""

    def __init__(self) -> None:
        super().__init__()
        self.free_status = BACKUP
        self.fresh = False
        self.told: list[Lease] = []

    def answers(self, now: float, client: bytes, secs: int) -> bool:
        return secs > 0 or client[-1] % 2 == 1

    def extends(self, now: float) -> bool:
        return True

    def leases(self, now: float) -> bool:
        return True

    def changed(self, lease: Lease) -> Lease:
        return lease

    def gave(self, lease: Lease, *, late: bool) -> bool:
        return not late

    def is_free(self, lease: Lease | None) -> bool:
        return lease is not None and lease.status == BACKUP

    def lease_s(self, now: float, lease: Lease | None, desired_s: int) -> int:
        return min(desired_s, 60 if lease is None or not lease.potential_acked else desired_s)

    def granted(self, now: float, lease: Lease, desired_s: int) -> Lease:
        return lease._replace(potential_sent=int(now) + desired_s)

    def ended_status(self, status: int) -> int:
        return status

    def committed(self, now: float, leases: list[Lease]) -> None:
        self.told += leases


def test_alone_everything_is_ours() -> None:
    alone = Alone()
    assert (alone.free_status, alone.fresh, alone.ended_status(RELEASED)) == (FREE, True, FREE)
    assert alone.answers(0, b"x", 0)
    assert alone.lease_s(0, None, 3600) == 3600


def test_a_partner_changes_who_gets_what_and_for_how_long(partner: Secondary) -> None:
    served = make_served(organisation(scope(pool="10.0.0.10-10.0.0.13")), "ns1")
    server = LeaseServer(served, authorities={"office": partner})
    server.serve_on([Link(2, "eth0", int.from_bytes(packed("10.0.0.1"), "big"))])
    server.load([Lease(FIRST + at, BACKUP if at % 2 else FREE, 0, b"", b"", 0, 0, 0, 0) for at in range(4)])

    def say(message: object) -> list[str]:
        server.receive(NOW, [Arrival(encode_message(message), 2, bytes(4), False)])  # type: ignore[arg-type]  # a Message
        server.committed(NOW)
        found, server.replies = [read_message(each.data) for each in server.replies], []
        return [
            f"{each.options[53][0]} {each.yiaddr[3]} {int.from_bytes(each.options[51], 'big')}"
            for each in found
        ]

    assert say(Client(2).discover()) == [], "the partner's client"
    assert say(Client(2).discover(secs=5)) == ["2 11 60"], "it has waited: better ours than none"
    assert say(Client(1).discover()) == ["2 13 60"]
    assert say(Client(3).discover()) == [], "the addresses of the partner are not ours"
    assert say(Client(1).select("10.0.0.13")) == ["5 13 60"]
    assert [(each.address - FIRST, each.potential_sent) for each in partner.told] == [(3, int(NOW) + 3600)]
    server.timer(NOW + 100)
    server.committed(NOW + 100)
    assert server.table.leases[FIRST + 3].status == EXPIRED
    assert say(Client(5).discover()) == ["2 11 60"], "that offer lapsed"
    assert say(Client(7).discover()) == [], "what ended is not free before the partner knows"


def test_a_release_that_may_have_waited_for_the_disk_ends_nothing_that_is_shared(partner: Secondary) -> None:
    """The client may have gone to the partner since: the simulator found its address with two clients."""
    served = make_served(organisation(scope(pool="10.0.0.10-10.0.0.13")), "ns1")
    server = LeaseServer(served, authorities={"office": partner})
    server.serve_on([Link(2, "eth0", int.from_bytes(packed("10.0.0.1"), "big"))])
    client = Client(1)
    held = Lease(FIRST, ACTIVE, 0, b"\x01" + client.mac, b"", 0, int(NOW) + 3600, 0, 0)
    server.load([held])
    release = Arrival(encode_message(client.release("10.0.0.10")), 2, bytes(4), True)
    server.committed(NOW, took_s=5.0)
    server.receive(NOW + 4, [release])
    assert server.table.leases[FIRST].status == ACTIVE
    server.receive(NOW + 6, [release])
    assert server.table.leases[FIRST].status == RELEASED
