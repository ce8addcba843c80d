"""No two want the same door, and every client finds exactly one connector."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.directory.listening import RANGES_PER_BINDING_MAX, check_listening, parse_binding
from holdfast.directory.model import (
    ImapListener,
    Organisation,
    ReceiveConnector,
    Role,
    Server,
    TlsMode,
)
from holdfast.kernel.iprange import IPRange, parse_ip_range


def _ranges(*texts: str) -> tuple[IPRange, ...]:
    return tuple(parse_ip_range(text) for text in texts)


def _connector(
    name: str,
    binding: str | tuple[str, ...],
    *ranges: str,
    tls: TlsMode = TlsMode.STARTTLS,
    server: str = "s",
) -> ReceiveConnector:
    bindings = (binding,) if isinstance(binding, str) else binding
    return ReceiveConnector(name, server, bindings, _ranges(*ranges), tls=tls)


def _server(*imap: ImapListener, metrics: str = "", roles: tuple[Role, ...] = (Role.ACCESS,)) -> Server:
    return Server("s", "s.example.test", "A", roles, imap=imap, metrics=metrics)


P = "192.0.2.10:25"
CASES: dict[str, tuple[tuple[ReceiveConnector, ...], Server | None, list[str]]] = {
    "one inside the other": (
        (_connector("all", P, "0.0.0.0/0", "::/0"), _connector("lan", P, "192.0.2.0/24")),
        None,
        [],
    ),
    "three inside each other": (
        (_connector("a", P, "10.0.0.0/8"), _connector("b", P, "10.1.0.0/16"), _connector("c", P, "10.1.2.3")),
        None,
        [],
    ),
    "same range": (
        (_connector("scanner", P, "192.0.2.0/28"), _connector("relay", P, "192.0.2.0/28")),
        None,
        [
            'receive connectors "relay" and "scanner": both claim 192.0.2.0/28 on port 25; '
            "give one a narrower range"
        ],
    ),
    "same range, but only one is enabled": (
        (_connector("old", P, "192.0.2.0/28"), replace(_connector("new", P, "192.0.2.0/28"), enabled=False)),
        None,
        [],
    ),
    "ranges that cross": (
        (_connector("a", P, "192.0.2.0-192.0.2.9"), _connector("b", P, "192.0.2.8-192.0.2.20")),
        None,
        ['receive connectors "a" and "b": both claim 192.0.2.8/31 on port 25; give one a narrower range'],
    ),
    "a pair is told once": (
        (_connector("a", P, "10.0.0.0/8", "192.0.2.0/24"), _connector("b", P, "192.0.2.0/24", "10.0.0.0/8")),
        None,
        ['receive connectors "a" and "b": both claim 10.0.0.0/8 on port 25; give one a narrower range'],
    ),
    "ranges of one connector may overlap": ((_connector("a", P, "10.0.0.0/8", "10.0.0.0/8"),), None, []),
    "other port, other address, other server": (
        (
            _connector("a", P, "0.0.0.0/0"),
            _connector("b", "192.0.2.10:26", "0.0.0.0/0"),
            _connector("c", "192.0.2.11:25", "0.0.0.0/0"),
            _connector("d", P, "0.0.0.0/0", server="t"),
            _connector("e", "[::]:25", "::/0"),
        ),
        None,
        [],
    ),
    "same address written differently": (
        (_connector("a", "[2001:db8::1]:25", "::/0"), _connector("b", "[2001:DB8:0::1]:25", "::/0")),
        None,
        ['receive connectors "a" and "b": both claim ::/0 on port 25; give one a narrower range'],
    ),
    "no binding and broken bindings": (
        (_connector("a", (), "::/0"), _connector("b", ("localhost:25", "1.2.3.4:0", "::1:25"), "::/0")),
        None,
        [
            'receive connector "a": has no binding; ',
            'binding "localhost:25" is not an IP address and a port from 1 to 65535',
            'binding "1.2.3.4:0" is not',
            'binding "::1:25" is not',
        ],
    ),
    "a binding twice": ((_connector("a", (P, P), "::/0"),), None, ["names the binding 192.0.2.10:25 twice"]),
    "IMAP on the connector's binding": (
        (_connector("a", P, "::/0"),),
        _server(ImapListener(P)),
        ['IMAP of server "s": listens on 192.0.2.10:25 as does receive connector "a"'],
    ),
    "metrics on the IMAP binding": (
        (),
        _server(ImapListener("[::1]:143"), metrics="[::1]:143"),
        ['metrics of server "s": listens on [::1]:143 as does IMAP of server "s"'],
    ),
    "implicit TLS and STARTTLS on one binding": (
        (_connector("a", P, "0.0.0.0/0"), _connector("b", P, "10.0.0.0/8", tls=TlsMode.IMPLICIT)),
        None,
        ['receive connector "b": has tls "implicit" on 192.0.2.10:25, receive connector "a" "starttls"'],
    ),
    "one address and all addresses": (
        (_connector("a", P, "::/0"), _connector("b", "0.0.0.0:25", "10.0.0.0/8")),
        None,
        ['"a": listens on 192.0.2.10:25, but receive connector "b" takes that port on all addresses'],
    ),
    "IMAP without its role, broken IMAP and metrics": (
        (),
        _server(ImapListener("x"), metrics="y", roles=(Role.TRANSPORT,)),
        ["serves IMAP without the role access", 'binding "x" is not', 'binding "y" is not'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_listening(case: str) -> None:
    connectors, server, expected = CASES[case]
    organisation = Organisation(receive_connectors=connectors, servers=(server,) if server else ())
    problems = [str(problem) for problem in check_listening(organisation)]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_too_many_ranges_are_not_compared() -> None:
    many = [f"10.{index >> 8}.{index & 255}.1" for index in range(RANGES_PER_BINDING_MAX)]
    organisation = Organisation(receive_connectors=(_connector("a", P, *many), _connector("b", P, "::/0")))
    (problem,) = check_listening(organisation)
    assert "have 2001 remote ranges, more than 2000" in str(problem)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), min_size=2, max_size=6))
def test_clashes_are_those_that_comparing_each_with_each_finds(spans: list[list[int]]) -> None:
    ranges = [parse_ip_range(f"10.0.0.{first}-10.0.0.{last}") for first, last in spans]
    connectors = tuple(ReceiveConnector(f"c{index}", "s", (P,), (each,)) for index, each in enumerate(ranges))
    clashing = {
        frozenset((f"c{i}", f"c{j}"))
        for i, one in enumerate(ranges)
        for j, other in enumerate(ranges[:i])
        if one.overlaps(other)
        and (one == other or not (one.contains_range(other) or other.contains_range(one)))
    }
    told = {
        frozenset(part for part in problem.subject.split('"') if part.startswith("c"))
        for problem in check_listening(Organisation(receive_connectors=connectors))
    }
    assert told == clashing


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="0123456789abf.:[]%", max_size=30)))
def test_any_text_is_a_binding_or_none(text: str) -> None:
    endpoint = parse_binding(text)
    assert endpoint is None or parse_binding(str(endpoint)) == endpoint
