"""Address spaces are read as Exchange writes them, and anything else is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.address_space import AddressSpace, parse_address_space
from holdfast.kernel.errors import Refusal


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("*", AddressSpace("", below=True)),
        ("SMTP:*;7", AddressSpace("", below=True, cost=7)),
        ("Example.COM", AddressSpace("example.com", below=False)),
        ("*.example.com;100", AddressSpace("example.com", below=True, cost=100)),
        ("bücher.example", AddressSpace("xn--bcher-kva.example", below=False)),
    ],
)
def test_good_ones(text: str, space: AddressSpace) -> None:
    assert parse_address_space(text) == space


def test_a_star_means_the_domain_and_all_below() -> None:
    below, exact = parse_address_space("*.example.com"), parse_address_space("example.com")
    for domain, by_star, by_name in (
        ("example.com", True, True),
        ("a.example.com", True, False),
        ("b.a.example.com", True, False),
        ("badexample.com", False, False),
    ):
        assert (below.serves(domain), exact.serves(domain)) == (by_star, by_name)
    assert parse_address_space("*").serves("anything.example")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"(SMTP:)?\*?\.?[a-z.]{0,10}(;[0-9]{1,4})?", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Refusal):
        assert 1 <= parse_address_space(text).cost <= 100
