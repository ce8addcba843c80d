"""Which name a client gets in DNS, and who registers what of it.

A client never names a place outside of the domains that were declared: the name
is its host name below the scope's domain, or one that lies in a declared zone
already. What DNS cannot have in a host name becomes a hyphen.

Source: RFC 4702 section 4; RFC 1123 section 2.1 for host names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.names import host_name_of
from holdfast.directory.dhcp import DnsUpdates, Scope
from holdfast.kernel.errors import Refusal
from holdfast.wire.dhcp4_values import (
    CLIENT_FQDN,
    FQDN_NO_UPDATE,
    FQDN_SERVER_UPDATES,
    LABEL_BYTES_MAX,
    read_client_name,
)

NAME_CHARACTERS_MAX = 253
# Machines look for these names by themselves: who has one gets what others say or ask in confidence.
NEVER_GIVEN = frozenset({"isatap", "localhost", "wpad"})
_NO_HOST_CHARACTER = re.compile("[^a-z0-9-]+")


class ChosenName(NamedTuple):
    """A name, and what of it is registered by us."""

    name: str
    forward: bool
    reverse: bool


def choose_name(
    facts: Facts, scope: Scope, *, suffix: str, zones: Iterable[str], reserved_name: str
) -> ChosenName | None:
    """Choose the name of a client; None when we register nothing for it.

    Args:
        facts: what it says.
        scope: the scope of its address.
        suffix: the domain of its name; empty when none is declared.
        zones: the declared zones.
        reserved_name: what its reservation calls it; taken when it says nothing itself.

    Raises:
        Refusal: its name cannot be registered; the text says why.
    """
    if scope.dns_updates is DnsUpdates.NEVER:
        return None
    forward, is_whole = True, False
    value = facts.message.options.get(CLIENT_FQDN)
    if value is not None:
        flags, said, is_whole = read_client_name(value)
        if scope.dns_updates is DnsUpdates.ON_REQUEST:
            if flags & FQDN_NO_UPDATE:
                return None
            forward = bool(flags & FQDN_SERVER_UPDATES)
    elif scope.dns_without_request:
        said = host_name_of(facts)
    else:
        return None
    said = said or host_name_of(facts) or reserved_name.encode("utf-8", "replace")
    if not said or not (forward or scope.dns_reverse):
        return None
    if not forward and is_whole:
        # The client registers its own name, wherever that is; ours is the name of its address.
        return ChosenName(_joined(_labels(said)), False, True)
    return ChosenName(qualified(said, suffix, zones), forward, scope.dns_reverse)


def qualified(said: bytes, suffix: str, zones: Iterable[str]) -> str:
    """The whole name of a client that calls itself so.

    Raises:
        Refusal: it has none.
    """
    labels = _labels(said)
    if len(labels) > 1:
        name = ".".join(labels)
        parent = name.partition(".")[2]
        if parent == suffix or any(parent == zone or parent.endswith(f".{zone}") for zone in zones):
            return _joined(labels)
    if not suffix:
        raise Refusal("there is no domain for it: set dns_suffix of the scope, or option 15")
    return _joined([labels[0], suffix])


def _labels(said: bytes) -> list[str]:
    text = said.decode("utf-8", "replace").strip(". \0").lower()
    return [_label(each) for each in text.split(".")]


def _label(text: str) -> str:
    label = _NO_HOST_CHARACTER.sub("-", text).strip("-")
    if not label:
        raise Refusal("it has no letter or digit that a host name may have")
    if len(label) > LABEL_BYTES_MAX:
        raise Refusal(f"a part of it has {len(label)} characters; DNS has room for {LABEL_BYTES_MAX}")
    return label


def _joined(labels: list[str]) -> str:
    if labels[0] in NEVER_GIVEN:
        raise Refusal(f'"{labels[0]}" is a name that other machines look for; no client gets it')
    name = ".".join(labels)
    if len(name) > NAME_CHARACTERS_MAX:
        raise Refusal(f"the whole name has {len(name)} characters; DNS has room for {NAME_CHARACTERS_MAX}")
    return name
