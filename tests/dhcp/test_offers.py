"""Offers: one per client, one per address, and the oldest lapses first."""

from __future__ import annotations

from holdfast.dhcp.offers import Offers


def test_offers_lapse_in_their_order() -> None:
    offers = Offers()
    offers.make(b"a", 1, 10.0)
    offers.make(b"b", 2, 11.0)
    assert (len(offers), offers.next_lapse()) == (2, 10.0)
    assert offers.lapsed(9.9) == []
    assert offers.lapsed(10.0) == [1]
    assert offers.by_address == {2: b"b"}
    offers.make(b"b", 2, 20.0)
    assert offers.lapsed(15.0) == []
    assert offers.drop(b"b") == 2
    assert offers.drop(b"b") is None
    assert (len(offers), offers.next_lapse()) == (0, None)


def test_a_new_offer_takes_the_place_of_the_one_before() -> None:
    offers = Offers()
    offers.make(b"a", 1, 10.0)
    offers.make(b"a", 2, 12.0)
    assert offers.by_address == {2: b"a"}
    assert offers.lapsed(11.0) == []
