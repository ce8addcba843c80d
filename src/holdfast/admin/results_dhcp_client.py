"""What the DHCP client and the search for servers give back; see ``admin.results``."""

from __future__ import annotations

from holdfast.admin.results import Result


class ClientLeaseShown(Result, frozen=True):
    """A lease; ``routes`` are written ``10.7.0.0/16 via 10.0.0.1``, times are null when it never ends."""

    address: str
    prefix_bits: int
    server: str
    routers: list[str]
    routes: list[str]
    dns_servers: list[str]
    domain: str
    renew_at: float | None
    rebind_at: float | None
    ends_at: float | None


class TimelineLine(Result, frozen=True):
    """One line of a client's timeline.

    ``what`` is ``sent``, ``heard``, ``ignored``, ``address``, ``lease``, ``waits`` or ``failed``;
    ``elapsed_s`` counts from the start of the program.
    """

    at: float
    elapsed_s: float
    state: str
    what: str
    text: str
    lease: ClientLeaseShown | None


class FoundServerRow(Result, frozen=True):
    """One DHCP server that answered.

    ``standing`` is ``ours``, ``known``, ``rogue`` or ``unknown``; ``name`` that of a server of ours;
    ``lease_s`` is empty when it told none, or one without end.
    """

    interface: str
    standing: str
    server: str
    name: str
    source: str
    mac: str
    relay: str
    answer: str
    offers: str
    routers: list[str]
    dns_servers: list[str]
    lease_s: float | None
    after_s: float
    why: str


class DhcpProbe(Result, frozen=True):
    """Who answered; ``note`` says what could not be told."""

    server_count: int
    rogue_count: int
    note: str
    servers: list[FoundServerRow]
