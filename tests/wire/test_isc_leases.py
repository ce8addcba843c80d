"""ISC dhcpd's lease file."""

from __future__ import annotations

import math
import os
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import isc_leases
from holdfast.wire.isc_leases import BindingState, IscLease, LeaseFile, PeerState, read_leases, write_leases

SAMPLES = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "dhcp" / "isc-failover-run"
NINE = int(IPv4Address("10.0.0.9"))
ENTRY = rb"""lease 10.0.0.9 {
  starts 6 2026/11/21 00:17:19;
  ends 6 2026/11/21 01:17:19;
  cltt 6 2026/11/21 00:17:19;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 02:00:00:00:99:01;
  uid "\001\002\000;\"\231\001";
  client-hostname "pc";
}
"""
LEASE = IscLease(
    NINE,
    BindingState.ACTIVE,
    1,
    bytes.fromhex("020000009901"),
    b'\x01\x02\x00;"\x99\x01',
    1795220239.0,
    1795223839.0,
    1795220239.0,
    b"pc",
    line=1,
)


def one(text: bytes) -> IscLease:
    found = read_leases(text)
    assert len(found.leases) == 1
    return next(iter(found.leases.values()))


def test_an_entry_as_dhcpd_writes_it() -> None:
    assert one(ENTRY) == LEASE


def test_the_last_entry_of_an_address_holds() -> None:
    found = read_leases(ENTRY + b"lease 10.0.0.9 {\n  binding state free;\n}\n")
    assert found.leases == {NINE: IscLease(NINE, BindingState.FREE, line=12)}
    assert found.entry_count == 2


@pytest.mark.parametrize(
    "change", [(b"\n  ", b"\n"), (b"  ", b"\t"), (b"{\n", b"{ # why\n"), (b";\n", b";\r\n")]
)
def test_an_entry_that_was_edited_by_hand_says_the_same(change: tuple[bytes, bytes]) -> None:
    assert one(ENTRY.replace(*change)) == LEASE


@pytest.mark.parametrize("state", list(BindingState), ids=lambda each: each.value)
def test_all_binding_states(state: BindingState) -> None:
    assert one(b"lease 10.0.0.9 {\n  binding state %s;\n}\n" % state.value.encode()).state is state


def test_times_identifiers_and_flags_in_their_other_forms() -> None:
    lease = one(
        b"lease 10.0.0.9 {\n  starts epoch 1795220239; # Sat Nov 21\n  ends never;\n  reserved;\n"
        b"  dynamic-bootp;\n"
        b'  hardware token-ring 1:2:3:4:5:6;\n  uid 1:2:ab;\n  option agent.circuit-id "eth0";\n'
        b'  option agent.remote-id 0:1:ff;\n  set vendor-class-identifier = "MSFT";\n'
        b"  on expiry or release { set x = 1; }\n  abandoned;\n}\n"
    )
    assert (lease.starts_at, lease.ends_at) == (1795220239.0, math.inf)
    assert (lease.hardware_type, lease.mac, lease.uid) == (6, b"\1\2\3\4\5\6", b"\1\2\xab")
    assert lease.flags == ("reserved", "dynamic-bootp")
    assert lease.agent == (("circuit-id", b"eth0"), ("remote-id", b"\0\1\xff"))
    assert lease.state is BindingState.ABANDONED
    odd = one(b"lease 10.0.0.9 {\n  hardware unknown-77 00;\n  binding state active;\n}\n")
    assert (odd.hardware_type, odd.mac) == (77, b"\0")


def test_several_statements_on_one_line_are_all_read() -> None:
    lease = one(b'lease 10.0.0.9 {\n  next binding state free; uid "x";\n  reserved;\n}\n')
    assert (lease.uid, lease.flags) == (b"x", ("reserved",))


def test_what_is_not_understood_is_listed_with_its_line() -> None:
    found = read_leases(
        b'server-duid "x";\nlease 10.0.0.9 {\n  frobnicate 7;\n  starts 6 2026/99/21 00:17:19;\n'
        b"  hardware ethernet zz;\n"
        b"  binding state odd;\n  ends 9 1960/01/01 00:00:00;\n}\nhost h { dynamic; }\n"
        b'failover peer "office" state {\n  my state normal at 6 2026/11/21 00:17:19;\n'
        b"  partner state partner-down at epoch 5;\n  mclt 60;\n}\n"
    )
    assert [line for line, _ in found.unknown] == [3, 4, 5, 6, 7]
    assert found.unknown[0] == (3, "frobnicate 7")
    assert [each.head for each in found.others] == ["server-duid", "host"]
    assert found.peers == {"office": PeerState("office", "normal", "partner-down")}
    many = read_leases(b"lease 10.0.0.9 {\n" + b" what;\n" * 500 + b"}\n")
    assert len(many.unknown) == isc_leases.UNKNOWN_MAX


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY + ENTRY[:60], 'leases line 14: "ends 6 20" ends without a semicolon'),
        (ENTRY + ENTRY[:-2], 'leases line 12: the block of "lease 10.0.0.9" is not closed'),
        (ENTRY + b"lease 10.0.0.999 {\n}\n", 'line 12: "lease 10.0.0.999" names no IPv4 address'),
        (b"lease {\n}\n", 'line 1: "lease" names no IPv4 address'),
        (b"<html>\n", 'line 1: "<html>" ends without a semicolon'),
    ],
)
def test_what_is_no_lease_file_is_refused_with_the_line(text: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_leases(text, name="leases")
    assert said in caught.value.text


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isc_leases, "LEASES_BYTES_MAX", 10)
    with pytest.raises(Refusal, match="more than the 10"):
        read_leases(ENTRY)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_leases(data)
    except Refusal:
        return


PARTS = (
    b"lease 10.0.0.9 {\n",
    b'  uid "a";\n',
    b"  starts ",
    b"}\n",
    b";\n",
    b"6 2026/02/30 00:00:00",
    b'"',
    b"  hardware ethernet 1:2;\n",
    b"  reserved;\n",
    b"  ends epoch 5;\n",
    b"\\",
    b"  binding state x;\n",
)


@given(st.lists(st.sampled_from(PARTS), max_size=20))
def test_anything_like_a_lease_file_is_read_or_refused(parts: list[bytes]) -> None:
    try:
        read_leases(b"".join(parts))
    except Refusal:
        return


leases = st.builds(
    IscLease,
    address=st.integers(0, 0xFFFF_FFFF),
    state=st.sampled_from([each for each in BindingState if each is not BindingState.BOOTP]),
    hardware_type=st.sampled_from([1, 6, 8, 32, 77]),
    mac=st.binary(min_size=1, max_size=16),
    uid=st.binary(max_size=20),
    starts_at=st.integers(1, 4_000_000_000).map(float),
    ends_at=st.one_of(st.just(math.inf), st.integers(1, 4_000_000_000).map(float)),
    cltt_at=st.integers(1, 4_000_000_000).map(float),
    host_name=st.binary(max_size=20),
    flags=st.sampled_from([(), ("reserved",), ("reserved", "dynamic-bootp")]),
    agent=st.sampled_from([(), (("circuit-id", b"eth0;"), ("remote-id", b"\0"))]),
    line=st.just(0),
)


@given(st.lists(leases, max_size=5, unique_by=lambda lease: lease.address))
def test_what_is_written_is_read_again(written: list[IscLease]) -> None:
    found: LeaseFile = read_leases("".join(write_leases(written)).encode())
    assert [each._replace(line=0) for each in found.leases.values()] == written
    assert found.unknown == []


def test_a_large_file_is_read_with_progress() -> None:
    text = b"".join(
        ENTRY.replace(b"10.0.0.9", b"10.0.%d.%d" % (number >> 8, number & 255)) for number in range(20_000)
    )
    told: list[tuple[int, int]] = []
    found = read_leases(text, progress=lambda done, total: told.append((done, total)))
    assert len(found.leases) == 20_000
    assert told
    assert all(done <= total == len(text) for done, total in told)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the conformance data is not here")
def test_the_files_of_a_real_failover_pair() -> None:
    def states(name: str) -> tuple[LeaseFile, Counter[str]]:
        found = read_leases((SAMPLES / name).read_bytes())
        assert found.unknown == []
        assert len(found.leases) == 100
        return found, Counter(each.state.value for each in found.leases.values())

    _, normal = states("s1.2-normal.leases")
    assert normal == {"free": 45, "backup": 43, "active": 12}
    alone, down = states("s1.4-partner-down.leases")
    assert down == {"backup": 43, "free": 42, "active": 14, "expired": 1}
    assert alone.peers["office"].own == "partner-down"
    recovered, _ = states("s1.6-recovered.leases")
    assert recovered.entry_count == 452
    # The same leases stand in the partner's file.
    ours = {
        each.address: each.mac
        for each in read_leases((SAMPLES / "s1.2-normal.leases").read_bytes()).leases.values()
    }
    theirs = {
        each.address: each.mac
        for each in read_leases((SAMPLES / "s2.2-normal.leases").read_bytes()).leases.values()
    }
    assert ours == theirs
