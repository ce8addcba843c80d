"""RFC 3074's hash: vectors that were checked against live offers of ISC dhcpd (spec/dhcp.md 2.10)."""

from __future__ import annotations

import pytest

from holdfast.dhcp.balance import TABLE, bucket_of, buckets_of, is_primarys, waited_s

VECTORS = {
    "0a0000000000": 132,
    "0a0000000001": 169,
    "0a0000000002": 246,
    "0a0000000003": 41,
    "01027700000103": 127,  # a client identifier
}


@pytest.mark.parametrize(("client", "bucket"), VECTORS.items())
def test_clients_fall_into_the_buckets_of_others(client: str, bucket: int) -> None:
    assert bucket_of(bytes.fromhex(client)) == bucket


def test_the_table_has_each_value_once() -> None:
    assert sorted(TABLE) == list(range(256))


@pytest.mark.parametrize("split", [0, 1, 100, 128, 255, 256])
def test_a_split_gives_the_first_buckets_to_the_primary(split: int) -> None:
    buckets = buckets_of(split)
    assert len(buckets) == 32
    assert [is_primarys(buckets, each) for each in range(256)] == [each < split for each in range(256)]


def test_an_even_split_is_what_isc_sends() -> None:
    assert buckets_of(128) == b"\xff" * 16 + bytes(16)


def test_seconds_may_be_written_the_wrong_way_round() -> None:
    assert [waited_s(each) for each in (0, 3, 255, 0x0300, 0x0301)] == [0, 3, 255, 3, 0x0301]
