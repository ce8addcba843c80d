"""Zones are changed by signed messages; whatever a server says or does not say, there is one answer."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.tsig
import dns.update
import pytest

from holdfast.directory.dhcp import DhcpServer, KeyAlgorithm
from holdfast.directory.model import Organisation, Role, Server, Site
from holdfast.directory.plan import plan_change
from holdfast.drivers.dns_updates import DnsUpdater, encode_update, read_tsig_secret
from holdfast.drivers.role_link import DIRECTORY_FILE
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.wire.dns_update import Change, Condition, DnsUpdate, Do, If, UpdateAnswer, UpdateOutcome

SECRET = base64.b64encode(b"s" * 32).decode()
KEY = dns.tsig.Key(dns.name.from_text("dhcp-key"), b"s" * 32, dns.name.from_text("hmac-sha256"))
UPDATE = DnsUpdate(
    7,
    "example.test",
    (Condition(If.NAME_UNUSED, "desk.example.test"),),
    (Change(Do.ADD, "desk.example.test", "A", "192.0.2.7", 600),),
)
Answer = Callable[[bytes], bytes | None]


class Peer(asyncio.DatagramProtocol):
    """A DNS server that says what a test wants."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        answer = self.answer(data)
        if answer is not None:
            self.transport.sendto(answer, addr)  # type: ignore[attr-defined]  # it is one of datagrams


def says(rcode: dns.rcode.Rcode, *, key: dns.tsig.Key = KEY, tsig_error: int = 0) -> Answer:
    """A server that knows a key."""

    def answer(data: bytes) -> bytes:
        asked = dns.message.from_wire(data, keyring=key, continue_on_error=True)
        made = dns.message.make_response(asked, tsig_error=tsig_error)
        made.set_rcode(rcode)
        return made.to_wire()

    return answer


def unsigned(data: bytes) -> bytes:
    asked = dns.message.from_wire(data, keyring=False)
    made = dns.message.make_response(asked)
    made.tsig = None
    return made.to_wire()


async def ask(
    *answers: Answer, secret: Callable[[str], str | None] = lambda name: SECRET, key: str = "dhcp-key"
) -> tuple[UpdateAnswer, list[int]]:
    """Have the update done by servers that say these things; what came of it, how often each was asked."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[tuple[int, UpdateAnswer]] = asyncio.Queue()
    updater = DnsUpdater(lambda number, answer: told.put_nowait((number, answer)), secret, answer_s=0.3)
    peers = []
    for each in answers:
        transport, peer = await loop.create_datagram_endpoint(
            lambda each=each: Peer(each), local_addr=("127.0.0.1", 0)
        )
        peers.append((transport, peer))
    servers = tuple(f"127.0.0.1:{transport.get_extra_info('sockname')[1]}" for transport, _ in peers)
    updater.follow(DhcpServer("ns1", dns_servers=servers, dns_key=key))
    try:
        updater.send(UPDATE)
        number, answer = await asyncio.wait_for(told.get(), 10)
    finally:
        updater.close()
        for transport, _ in peers:
            transport.close()
    assert number == UPDATE.number
    return answer, [len(peer.asked) for _, peer in peers]


SILENT: Answer = lambda data: None  # noqa: E731 - one of a table of answers
OUTCOMES = {
    dns.rcode.NOERROR: UpdateOutcome.DONE,
    dns.rcode.YXDOMAIN: UpdateOutcome.NAME_USED,
    dns.rcode.NXDOMAIN: UpdateOutcome.NO_NAME,
    dns.rcode.YXRRSET: UpdateOutcome.RECORD_THERE,
    dns.rcode.NXRRSET: UpdateOutcome.OTHER_RECORD,
}


@pytest.mark.parametrize(("rcode", "outcome"), OUTCOMES.items())
def test_what_a_server_says(rcode: dns.rcode.Rcode, outcome: UpdateOutcome) -> None:
    assert asyncio.run(ask(says(rcode))) == (UpdateAnswer(outcome), [1])


@pytest.mark.parametrize(
    ("answer", "reason", "code"),
    [
        (says(dns.rcode.REFUSED), 'answers REFUSED, signed with key "dhcp-key"', 9005),
        (says(dns.rcode.NOTAUTH), "answers NOTAUTH", 9009),
        (
            says(dns.rcode.NOTAUTH, tsig_error=dns.rcode.BADKEY),
            'the key "dhcp-key" (hmac-sha256) is refused: BADKEY',
            9017,
        ),
        (says(dns.rcode.NOTAUTH, tsig_error=dns.rcode.BADTIME), "is refused: BADTIME", 9018),
        (unsigned, "an answer that cannot be trusted or read", 9002),
        (lambda data: b"nonsense", "an answer that cannot be trusted or read", 9002),
        (lambda data: data[:2] + b"\xff" * 40, "", 0),
        (SILENT, "no answer within 0.3 s", 1460),
    ],
)
def test_failures_name_the_server_the_key_and_what_is_wrong(answer: Answer, reason: str, code: int) -> None:
    found, _ = asyncio.run(ask(answer))
    assert found.outcome is UpdateOutcome.FAILED
    assert "127.0.0.1:" in found.reason
    assert reason in found.reason
    assert code in (found.code, 0)


def test_the_next_server_is_asked_when_one_does_not_do_it() -> None:
    found, counts = asyncio.run(ask(says(dns.rcode.REFUSED), SILENT, says(dns.rcode.NOERROR), SILENT))
    assert (found, counts) == (UpdateAnswer(UpdateOutcome.DONE), [1, 1, 1, 0])
    # What the zone says is said by all of them.
    found, counts = asyncio.run(ask(says(dns.rcode.YXDOMAIN), says(dns.rcode.NOERROR)))
    assert (found, counts) == (UpdateAnswer(UpdateOutcome.NAME_USED), [1, 0])


def test_a_key_without_a_secret_is_named_and_nothing_is_sent() -> None:
    def broken(name: str) -> str | None:
        raise Unavailable("the directory database cannot be read")

    for secret, reason in (
        (
            lambda name: None,
            'the TSIG key "dhcp-key" has no secret here; set it with: holdfast dhcp dns set-secret',
        ),
        (lambda name: "no base64", 'the secret of the TSIG key "dhcp-key" is no base64'),
        (broken, "the directory database cannot be read"),
    ):
        found, counts = asyncio.run(ask(says(dns.rcode.NOERROR), secret=secret))
        assert (found.outcome, counts) == (UpdateOutcome.FAILED, [0])
        assert reason in found.reason
        assert SECRET not in found.reason


def test_without_a_key_nothing_is_signed_and_without_a_server_nothing_is_done() -> None:
    assert asyncio.run(ask(unsigned, key="")) == (UpdateAnswer(UpdateOutcome.DONE), [1])
    found, _ = asyncio.run(ask())
    assert found.reason == "there is no server for updates"


def test_messages_are_as_the_standard_has_them() -> None:
    name, dhcid = "desk.example.test", base64.b64encode(b"\0\0\1" + bytes(32)).decode()
    made = encode_update(
        DnsUpdate(
            1,
            "example.test",
            (
                Condition(If.NAME_UNUSED, name),
                Condition(If.NAME_USED, name),
                Condition(If.NO_RECORD, name, "AAAA"),
                Condition(If.RECORD_IS, name, "DHCID", dhcid),
            ),
            (
                Change(Do.DELETE_ALL, name, "A"),
                Change(Do.DELETE_RECORD, name, "A", "192.0.2.1"),
                Change(Do.ADD, name, "DHCID", dhcid, 600),
            ),
        )
    )
    read = dns.message.from_wire(made.to_wire())
    assert isinstance(read, dns.update.UpdateMessage)
    assert read.opcode() == dns.opcode.UPDATE
    assert [str(each.name) for each in read.zone] == ["example.test."]
    # RFC 2136 sections 2.4 and 2.5: the class and the type say what is meant.
    assert [each.to_text(chunksize=0) for each in read.prerequisite] == [
        f"{name}. NONE ANY", f"{name}. ANY ANY", f"{name}. NONE AAAA", f"{name}. 0 IN DHCID {dhcid}",
    ]  # fmt: skip
    assert [each.to_text(chunksize=0) for each in read.update] == [
        f"{name}. ANY A", f"{name}. 0 NONE A 192.0.2.1", f"{name}. 600 IN DHCID {dhcid}",
    ]  # fmt: skip


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(Refusal, match="is no name of DNS"):
        encode_update(DnsUpdate(1, "example.test", (), (Change(Do.ADD, "a..b", "A", "192.0.2.1", 1),)))


def test_the_secret_is_read_from_the_directory(tmp_path: Path) -> None:
    store = DirectoryStore.open(tmp_path / DIRECTORY_FILE, writable=True)
    declared = Organisation(
        name="Example",
        sites=(Site("here"),),
        servers=(Server("ns1", "ns1.example.test", "here", roles=(Role.DHCP,), metrics=""),),
        dhcp_servers=(
            DhcpServer(
                "ns1", dns_servers=("192.0.2.53",), dns_key="k", dns_key_algorithm=KeyAlgorithm.HMAC_SHA1
            ),
        ),
    )
    store.apply(plan_change(store.read(), declared), who="test", why="", at=0.0)
    assert read_tsig_secret(tmp_path, "k") is None
    store.set_tsig_secret("K", SECRET)
    assert read_tsig_secret(tmp_path, "k") == SECRET
    store.close()
    with pytest.raises(Unavailable):
        read_tsig_secret(tmp_path / "nowhere", "k")
