"""Which leases answer a bulk lease query, and how each is told (RFC 6926)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhcp.conversations import NOW, SERVER, Client, packed
from holdfast.dhcp.bulk_query import BulkQuery, Status, done, read_query, told
from holdfast.dhcp.lease import ABANDONED, ACTIVE, BACKUP, FREE, NEVER, RELEASED, Lease
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4 import Message, encode_message, read_message

OFFSET_S = 500.0
SEEN = int(NOW) - 60
LEASE = Lease(
    0x0A00000A, ACTIVE, 0, b"\x01\x02\0\0\0\0\x01", b"\0id", SEEN - 100, int(NOW) + 3600, SEEN - 100, SEEN,
    b"desk", b"\x01\x01p\x02\x03sw1\x0c\x02r1",
)  # fmt: skip


def message(options: dict[int, bytes] | None = None, **changes: object) -> Message:
    plain = {"hardware": b"", "hardware_type": 0}
    return Client(0).message(14, options, **(plain | changes))


def query(options: dict[int, bytes] | None = None, **changes: object) -> BulkQuery:
    return read_query(message(options, **changes))


@pytest.mark.parametrize(
    ("asked", "meets"),
    [
        (query(), True),
        (query(hardware=LEASE.hardware[1:], hardware_type=1), True),
        (query(hardware=b"\x02\0\0\0\0\x09", hardware_type=1), False),
        (query(hardware=LEASE.hardware[1:], hardware_type=6), False),
        (query({61: b"\0id"}), True),
        (query({61: b"\0other"}), False),
        (query({82: b"\x02\x03sw1"}), True),
        (query({82: b"\x02\x03sw2"}), False),
        (query({82: b"\x0c\x02r1"}), True),
        (query({82: b"\x0c\x02r2"}), False),
    ],
)
def test_by_one_thing_or_by_none(asked: BulkQuery, meets: bool) -> None:
    assert asked.meets(LEASE, OFFSET_S) is meets


def test_a_lease_without_a_relay_or_with_a_broken_one() -> None:
    asked = query({82: b"\x02\x03sw1"})
    assert not asked.meets(LEASE._replace(relay=b""), OFFSET_S)
    assert not asked.meets(LEASE._replace(relay=b"\x02\x09"), OFFSET_S)


@pytest.mark.parametrize(
    ("options", "meets"),
    [
        ({154: SEEN + 500 - 10}, True),
        ({154: SEEN + 500 + 10}, False),
        ({155: SEEN + 500 + 10}, True),
        ({155: SEEN + 500 - 10}, False),
        ({154: SEEN + 490, 155: SEEN + 510}, True),
        ({154: SEEN + 510, 155: SEEN + 520}, False),
    ],
)
def test_between_two_instants_of_the_wall_clock(options: dict[int, int], meets: bool) -> None:
    asked = query({code: at.to_bytes(4, "big") for code, at in options.items()})
    assert asked.meets(LEASE, OFFSET_S) is meets


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (message({53: b"\x0a"}), "only bulk lease queries"),
        (message(op=2), "only bulk lease queries"),
        (message(ciaddr=packed("10.0.0.1")), "must be zero"),
        (message({61: b"\0id"}, hardware=b"\x02\0\0\0\0\x01"), "one query asks by one thing"),
        (message({61: b"\0id", 82: b"\x02\x01a"}), "one query asks by one thing"),
        (message({82: b"\x02\x01a\x0c\x01b"}), "one query asks by one thing"),
        (message({82: b"\x01\x01p"}), "by sub-option 1 of the relay agent is not known"),
        (message({82: b"\x02\x09"}), "runs over its end"),
        (message({154: b"\0"}), "option 154 has 1 bytes"),
    ],
)
def test_what_cannot_be_answered(asked: Message, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        read_query(asked)


@given(st.dictionaries(st.sampled_from([53, 55, 61, 82, 154, 155]), st.binary(max_size=20)))
def test_any_options_are_a_query_or_refused(options: dict[int, bytes]) -> None:
    try:
        asked = read_query(message({53: b"\x0e"} | options))
    except Refusal:
        return
    asked.meets(LEASE, OFFSET_S)
    read_message(told(asked, LEASE, now=NOW, wall=NOW + OFFSET_S, server_id=SERVER))


def tell(lease: Lease, options: dict[int, bytes] | None = None, server_id: bytes = b"") -> Message:
    return read_message(told(query(options), lease, now=NOW, wall=NOW + OFFSET_S, server_id=server_id))


def numbers(answer: Message) -> dict[int, int]:
    return {
        code: int.from_bytes(answer.options[code], "big")
        for code in (51, 91, 152, 153, 156, 157)
        if code in answer.options
    }


def test_a_lease_as_it_is_told() -> None:
    answer = tell(LEASE, server_id=SERVER)
    assert (answer.options[53], answer.options[54], answer.options[61]) == (b"\x0d", SERVER, b"\0id")
    assert (answer.ciaddr, bytes((answer.hardware_type,)) + answer.hardware) == (
        packed("10.0.0.10"),
        LEASE.hardware,
    )
    assert numbers(answer) == {51: 3600, 91: 60, 152: int(NOW) + 500, 153: 160, 156: 2}
    answer = tell(LEASE, {55: bytes((12, 82, 157))})
    assert (answer.options[12], answer.options[82], numbers(answer)) == (b"desk", LEASE.relay, {157: 0})
    assert 54 not in answer.options
    assert numbers(tell(LEASE._replace(expires_at=NEVER)))[51] == 0xFFFFFFFF


@pytest.mark.parametrize(("status", "state"), [(FREE, 1), (BACKUP, 1), (RELEASED, 4), (ABANDONED, 5)])
def test_what_nobody_has_now(status: int, state: int) -> None:
    answer = tell(LEASE._replace(status=status))
    assert (answer.options[53], numbers(answer)[156], 51 in answer.options) == (b"\x0b", state, False)


def test_the_end() -> None:
    good = read_message(done(message(), Status.SUCCESS, "", b""))
    assert (good.options, good.xid) == ({53: b"\x0f"}, good.xid)
    bad = read_message(done(message(), Status.MALFORMED_QUERY, "why", SERVER))
    assert bad.options == {53: b"\x0f", 54: SERVER, 151: b"\x03why"}
    asked = message()
    assert read_message(done(asked, Status.SUCCESS, "", b"")).xid == asked.xid
    assert read_message(encode_message(asked)).options[53] == b"\x0e"
