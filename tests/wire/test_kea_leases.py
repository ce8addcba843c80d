"""The lease file of Kea's memfile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import kea_leases
from holdfast.wire.kea_leases import STATES, UNLIMITED_S, KeaLease, read_leases, write_leases

SAMPLES = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "dhcp" / "kea"
HEAD = (
    b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,"
    b"fqdn_fwd,fqdn_rev,hostname,state,user_context\n"
)
NINE = 0x0A000009
ROW = b"10.0.0.9,02:00:00:00:99:01,01:02:03,3600,1800003600,1,1,0,pc.example,0,\n"


def test_a_row() -> None:
    found = read_leases(HEAD + ROW)
    assert found.leases == {
        NINE: KeaLease(
            0x0A000009,
            bytes.fromhex("020000009901"),
            b"\1\2\3",
            3600,
            1800003600,
            1,
            True,
            False,
            "pc.example",
            line=2,
        )
    }
    assert (found.row_count, found.unknown_count) == (1, 0)


def test_the_last_row_holds_and_a_lifetime_of_0_removes() -> None:
    other = ROW.replace(b"pc.", b"tv.")
    (lease,) = read_leases(HEAD + ROW + other).leases.values()
    assert (lease.hostname, lease.line) == ("tv.example", 3)
    assert read_leases(HEAD + ROW + ROW.replace(b"3600,18", b"0,18")).leases == {}


def test_columns_of_other_versions() -> None:
    old = b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id\n10.0.0.9,,1:2,60,1800000000,1\r\n"
    (lease,) = read_leases(b"\xef\xbb\xbf" + old).leases.values()
    assert (lease.client_id, lease.hostname, lease.state) == (b"\1\2", "", 0)
    new = HEAD.replace(b"\n", b",pool_id\n") + ROW.replace(b"\n", b",7\n")
    assert len(read_leases(new).leases) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"10.0.0.9,02:00", "fewer columns"),
        (b"10.0.0.999,,,1,1,1,0,0,,0,", "10.0.0.999"),
        (b"10.0.0.9,zz,,1,1,1,0,0,,0,", '"zz" is not bytes in hexadecimal'),
        (b"10.0.0.9,,,many,1,1,0,0,,0,", '"many" is not a number'),
        (b"10.0.0.9,,,99999999999,1,1,0,0,,0,", "not a number up to 4294967295"),
        (b"10.0.0.9,,,1,1,1,0,0,,9,", "9 is not a state"),
        (b"10.0.0.9,\xff,,1,1,1,0,0,,0,", "utf-8"),
    ],
)
def test_rows_that_cannot_be_read_are_listed_and_the_others_stay(row: bytes, said: str) -> None:
    found = read_leases(HEAD + ROW + row)
    assert len(found.leases) == 1
    assert found.unknown_count == 1
    assert found.unknown[0][0] == 3
    assert said in found.unknown[0][1]


def test_only_some_of_many_are_listed() -> None:
    found = read_leases(HEAD + b"x\n" * 300)
    assert (len(found.unknown), found.unknown_count) == (kea_leases.UNKNOWN_MAX, 300)


@pytest.mark.parametrize("text", [b"", b"\n", b"lease 10.0.0.9 {\n}\n", b"address,hwaddr\n"])
def test_what_is_no_lease_file_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal, match="this is not a lease file of Kea's memfile"):
        read_leases(text)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kea_leases, "LEASES_BYTES_MAX", 10)
    with pytest.raises(Refusal, match="more than the 10"):
        read_leases(HEAD)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_leases(HEAD + data)
    try:
        read_leases(data)
    except Refusal:
        return


leases = st.builds(
    KeaLease,
    address=st.integers(0, 0xFFFF_FFFF),
    mac=st.binary(max_size=20),
    client_id=st.binary(max_size=30),
    valid_lifetime_s=st.integers(1, UNLIMITED_S),
    expire_at=st.integers(0, 1 << 40),
    subnet_id=st.integers(0, UNLIMITED_S),
    fqdn_forward=st.booleans(),
    fqdn_reverse=st.booleans(),
    hostname=st.one_of(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.just("a&#x2cb,\n")),
    state=st.integers(0, len(STATES) - 1),
    user_context=st.sampled_from(["", '{ "a": 1, "b": "c" }']),
    line=st.just(0),
)


@given(st.lists(leases, max_size=5, unique_by=lambda lease: lease.address), st.booleans())
def test_what_is_written_is_read_again(written: list[KeaLease], pool_id: bool) -> None:
    found = read_leases("".join(write_leases(written, pool_id=pool_id)).encode())
    assert [each._replace(line=0) for each in found.leases.values()] == written
    assert found.unknown == []


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    rows = b"".join(
        ROW.replace(b"0.0.9", b"%d.%d.9" % (number >> 8, number & 255)) for number in range(60_000)
    )
    read_leases(HEAD + rows, progress=lambda done, total: told.append((done, total)))
    assert told


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the conformance data is not here")
def test_the_files_of_kea() -> None:
    found = read_leases((SAMPLES / "lease4_dump_test.reference.csv").read_bytes())
    assert [each.state for each in found.leases.values()] == [0, 1, 2]
    last = found.leases[12]
    assert (last.hostname, last.user_context) == ("three,example,com", '{ "a": 1, "b": "c" }')
    with pytest.raises(Refusal, match="holds DHCPv6 leases"):
        read_leases((SAMPLES / "lease6_dump_test.reference.csv").read_bytes())
    with pytest.raises(Refusal, match="no column address, hwaddr, valid_lifetime, expire"):
        read_leases((SAMPLES / "leases.csv").read_bytes())  # a table of another program
