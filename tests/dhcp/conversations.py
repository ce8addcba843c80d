"""A server of leases and its clients, without any network: messages in, answers out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from holdfast.dhcp.desk import Arrival, Link
from holdfast.dhcp.lease import Lease, address_text
from holdfast.dhcp.replies import Reply
from holdfast.dhcp.served import make_served
from holdfast.dhcp.server import LeaseServer
from holdfast.directory.dhcp import DhcpServer, Reservation, Scope
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import parse_ip_range
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import Message, encode_message, read_message

SERVER = IPv4Address("10.0.0.1").packed
NOBODY = bytes(4)
NOW = 1_700_000_000.0
LINK = Link(2, "eth0", int(IPv4Address("10.0.0.1")))


def packed(address: str) -> bytes:
    return IPv4Address(address).packed


def scope(
    name: str = "office", subnet: str = "10.0.0.0/24", pool: str = "10.0.0.10-10.0.0.19", **more: object
) -> Scope:
    plain = Scope(name, parse_ip_range(subnet), "ns1", parse_ip_range(pool) if pool else None, lease_s=3600.0)
    return replace(plain, **more)  # type: ignore[arg-type]  # the tests change fields by name


def option(code: int, *values: str, **more: object) -> OptionValue:
    return replace(OptionValue(code, values), **more)  # type: ignore[arg-type]  # the tests change fields by name


def reservation(address: str, mac: str = "", scope: str = "office", **more: object) -> Reservation:
    return replace(Reservation(scope, IPv4Address(address), mac), **more)  # type: ignore[arg-type]  # as above


def organisation(*scopes: Scope, server: DhcpServer | None = None, **more: object) -> Organisation:
    plain = Organisation(scopes=scopes or (scope(),), dhcp_servers=(server or DhcpServer("ns1"),))
    return replace(plain, **more)  # type: ignore[arg-type]  # as above


@dataclass
class Answer:
    """An answer as the tests look at it."""

    reply: Reply
    message: Message

    @property
    def kind(self) -> str:
        return dhcp4.MESSAGE_NAMES[self.message.options[53][0]]

    @property
    def address(self) -> str:
        return str(IPv4Address(self.message.yiaddr))

    @property
    def lease_s(self) -> int:
        return int.from_bytes(self.message.options[51], "big")

    def __str__(self) -> str:
        return self.kind if self.kind == "NAK" else f"{self.kind} {self.address}"


class World:
    """One server, and what it wrote down."""

    def __init__(self, declared: Organisation | None = None, *, links: tuple[Link, ...] = (LINK,)) -> None:
        self.organisation = declared or organisation()
        self.server = LeaseServer(make_served(self.organisation, "ns1"))
        self.server.serve_on(list(links))
        self.server.load([])
        self.now = NOW
        self.disk: dict[int, Lease] = {}
        self.disk_is_full = False
        self.links = links

    def say(
        self, *messages: Message, link: int = 2, source: bytes = NOBODY, unicast: bool = False
    ) -> list[Answer]:
        """Let messages arrive together; the answers, those that wait for the disk last."""
        return self.arrive(
            *(encode_message(each) for each in messages), link=link, source=source, unicast=unicast
        )

    def arrive(
        self, *data: bytes, link: int = 2, source: bytes = NOBODY, unicast: bool = False
    ) -> list[Answer]:
        self.server.receive(self.now, [Arrival(each, link, source, unicast) for each in data])
        return self.commit()

    def commit(self) -> list[Answer]:
        server = self.server
        if server.writes:
            if self.disk_is_full:
                server.commit_failed()
            else:
                self.disk |= {lease.address: lease for lease in server.writes}
                server.committed(self.now)
        found = [Answer(each, read_message(each.data)) for each in server.replies]
        server.replies = []
        return found

    def later(self, seconds: float) -> list[Answer]:
        """Let time pass; what the timer sends."""
        self.now += seconds
        while (due := self.server.deadline()) is not None and due <= self.now:
            self.server.timer(self.now)
            answers = self.commit()
            if answers:
                return answers
        return []

    def restart(self) -> None:
        """The process dies and comes back with what is on its disk."""
        self.server = LeaseServer(make_served(self.organisation, "ns1"))
        self.server.serve_on(list(self.links))
        self.server.load(list(self.disk.values()))

    def follow(self, declared: Organisation) -> None:
        self.organisation = declared
        self.server.follow(make_served(declared, "ns1"))

    def active(self) -> dict[str, bytes]:
        """Who has which address, in memory."""
        return {
            address_text(each.address): each.key
            for each in self.server.table.leases.values()
            if each.status == 2
        }

    def events(self) -> list[str]:
        """The ids of the events said since."""
        found = [each.kind.event_id for each in self.server.said.events]
        self.server.said.events = []
        return found

    def records(self) -> list[int]:
        """The numbers of the audit records since."""
        found = [each.event_id for each in self.server.records]
        self.server.records = []
        return found


class Client:
    """One client of a wire; it remembers nothing but who it is."""

    _numbers = itertools.count(1)

    def __init__(
        self, number: int, *, client_id: bytes = b"", giaddr: str = "0.0.0.0", mac: bytes = b""
    ) -> None:
        self.mac = mac or b"\x02" + number.to_bytes(5, "big")
        self.client_id = client_id
        self.giaddr = packed(giaddr)

    @property
    def key(self) -> bytes:
        return self.client_id or b"\x01" + self.mac

    def message(
        self, kind: int | None, options: dict[int, bytes] | None = None, **changes: object
    ) -> Message:
        given: dict[int, bytes] = {} if kind is None else {53: bytes((kind,))}
        if self.client_id:
            given[61] = self.client_id
        plain = Message(
            op=1, hardware_type=1, hardware=self.mac, hops=0, xid=next(self._numbers).to_bytes(4, "big"),
            secs=0, flags=0, ciaddr=NOBODY, yiaddr=NOBODY, siaddr=NOBODY, giaddr=self.giaddr, sname=b"",
            file=b"", options=given | (options or {}),
        )  # fmt: skip
        return plain._replace(**changes)  # type: ignore[arg-type]  # the tests change fields by name

    def discover(self, options: dict[int, bytes] | None = None, **changes: object) -> Message:
        return self.message(dhcp4.DISCOVER, options, **changes)

    def select(
        self, address: str, options: dict[int, bytes] | None = None, *, server: bytes = SERVER
    ) -> Message:
        return self.message(dhcp4.REQUEST_LEASE, {50: packed(address), 54: server} | (options or {}))

    def reboot(self, address: str, options: dict[int, bytes] | None = None) -> Message:
        return self.message(dhcp4.REQUEST_LEASE, {50: packed(address)} | (options or {}))

    def renew(self, address: str, options: dict[int, bytes] | None = None) -> Message:
        return self.message(dhcp4.REQUEST_LEASE, options, ciaddr=packed(address))

    def release(self, address: str) -> Message:
        return self.message(dhcp4.RELEASE, {54: SERVER}, ciaddr=packed(address))

    def decline(self, address: str) -> Message:
        return self.message(dhcp4.DECLINE, {50: packed(address), 54: SERVER})

    def inform(self, address: str, options: dict[int, bytes] | None = None) -> Message:
        return self.message(dhcp4.INFORM, options, ciaddr=packed(address))

    def gets(self, world: World, options: dict[int, bytes] | None = None) -> str:
        """Go through all four messages; the address, empty for none."""
        offers = world.say(self.discover(options))
        if not offers:
            return ""
        acks = world.say(self.select(offers[0].address, options))
        return acks[0].address if acks and acks[0].kind == "ACK" else ""
