"""What a change of doors opens, weakens or closes: relays, TLS, trust in balancers, the way out.

Said before the change, in words that need no knowledge of the settings.

Source: exchange-behaviour RC-1..5, SC-1..10.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from holdfast.directory.address_space import AddressSpace, parse_address_space
from holdfast.directory.model import (
    DomainKind,
    Organisation,
    ReceiveConnector,
    RequiredTls,
    SendConnector,
    SendTls,
    SmartHostAuth,
    TlsMode,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange, joined, not_within, parse_ip_range

# More are not a known set of hosts: a /8 of IPv4, what a provider gets of IPv6.
RELAY_BITS_MIN = {4: 8, 6: 32}
RANGES_NAMED_MAX = 5
# Whoever is in it may say that it is anybody: balancers are few.
PROXY_BITS_MIN = {4: 16, 6: 64}
_LOOPBACK = (parse_ip_range("127.0.0.0/8"), parse_ip_range("::1"))
_CLIENT_TLS = {TlsMode.NONE: 0, TlsMode.STARTTLS: 1, TlsMode.IMPLICIT: 2}
_SEND_TLS = {SendTls.OPPORTUNISTIC: 0, SendTls.ENCRYPTED: 1, SendTls.CERTIFICATE: 2, SendTls.DOMAIN: 2}


def wider_than(ranges: Iterable[IPRange], bits_min: dict[int, int]) -> list[tuple[IPRange, ...]]:
    """The ranges of each IP version that hold more addresses in all than a network of so many bits.

    Joined: two halves are as wide as the whole.
    """
    whole = joined(ranges)
    found = []
    for version, bits in bits_min.items():
        same = tuple(each for each in whole if each.first.version == version)
        if same and sum(each.address_count for each in same) > 1 << (same[0].first.max_prefixlen - bits):
            found.append(same)
    return found


def ranges_in_words(ranges: Sequence[IPRange]) -> str:
    """The first ranges by name, the others by their count."""
    further = len(ranges) - RANGES_NAMED_MAX
    named = ", ".join(map(str, ranges[:RANGES_NAMED_MAX]))
    return f"{named} and {further} more" if further > 0 else named


def relays_for_anybody(connector: ReceiveConnector) -> bool:
    """Whether clients in the connector's ranges may send anywhere without a password."""
    return connector.enabled and (connector.anonymous_relay or connector.externally_secured)


def find_relays_opened(before: Organisation, after: Organisation) -> list[str]:
    """Say of each receive connector which further hosts may send anywhere by it after a change."""
    receive_before = {each.name.casefold(): each for each in before.receive_connectors}
    lines: list[str] = []
    for connector in after.receive_connectors:
        further = _further_relaying(receive_before.get(connector.name.casefold()), connector)
        if further:
            lines += relay_in_words(connector, further)
    return lines


def relay_in_words(connector: ReceiveConnector, ranges: Iterable[IPRange]) -> list[str]:
    """Say what hosts in these ranges may do by a connector that lets them relay."""
    where = ", ".join(connector.bindings)
    lines = []
    for each in dict.fromkeys(ranges):
        count = each.address_count
        counted = "1 address" if count == 1 else f"{count} addresses"
        lines.append(
            f"whoever connects from {each} ({counted}) to {where} may send mail to any address in the world, "
            "as any sender, without a password"
        )
    if connector.client_certificate_domains:
        lines.append(f"only with a certificate of {', '.join(connector.client_certificate_domains)}")
    if connector.require_tls:
        lines.append("only under TLS")
    lines.append(
        "what these hosts send leaves under the name of this organisation: a broken or stolen device among "
        "them can put it on block lists"
    )
    return lines


def _further_relaying(old: ReceiveConnector | None, new: ReceiveConnector) -> tuple[IPRange, ...]:
    """The ranges of a connector that may send anywhere by it and could not before."""
    if not relays_for_anybody(new):
        return ()
    if old is None or not relays_for_anybody(old) or not set(new.bindings) <= set(old.bindings):
        return new.remote_ranges
    if _who_is_served(old) != _who_is_served(new):
        return new.remote_ranges
    return not_within(new.remote_ranges, old.remote_ranges)


def _who_is_served(connector: ReceiveConnector) -> tuple[object, ...]:
    """What says, beside its ranges, which clients may send by a connector at all."""
    return (
        connector.server,
        connector.usage,
        frozenset(connector.permission_groups),
        frozenset(connector.client_certificate_domains),
    )


def _grown(further: Iterable[IPRange], ranges: Iterable[IPRange], bits_min: dict[int, int]) -> Iterator[str]:
    """The ranges, in words, that are too wide in all and to which further ones came."""
    versions = {each.first.version for each in further}
    for each in wider_than(ranges, bits_min):
        if each[0].first.version in versions:
            yield ranges_in_words(each)


def find_connector_dangers(before: Organisation, after: Organisation) -> Iterator[str]:
    """List what going from one organisation to the other opens, weakens or closes."""
    receive_before = {each.name.casefold(): each for each in before.receive_connectors}
    for connector in after.receive_connectors:
        old = receive_before.get(connector.name.casefold())
        yield from _opened(old, connector)
        if old is not None:
            yield from _weaker_door(old, connector)
    send_before = {each.name.casefold(): each for each in before.send_connectors}
    for leaving in after.send_connectors:
        yield from _way_out(send_before.get(leaving.name.casefold()), leaving)
    yield from _required_tls(before, after)
    yield from _no_way_out(before, after)
    yield from _domain_kinds(before, after)


def _opened(old: ReceiveConnector | None, new: ReceiveConnector) -> Iterator[str]:
    subject = f'receive connector "{new.name}"'
    for wide in _grown(_further_relaying(old, new), new.remote_ranges, RELAY_BITS_MIN):
        yield (
            f"{subject} is an open relay: anybody in {wide} may send anywhere "
            "without a password; name the hosts that may"
        )
    if new.enabled and new.externally_secured and not (old is not None and old.externally_secured):
        ranges = ", ".join(map(str, new.remote_ranges[:5]))
        yield (
            f"{subject} takes every client in {ranges} for a server of ours: "
            "what they say of senders and headers is believed, and no limit of size holds"
        )
    trusted = old.proxy_from if old is not None else ()
    for wide in _grown(not_within(new.proxy_from, trusted), new.proxy_from, PROXY_BITS_MIN):
        yield (
            f"{subject} believes anybody in {wide} who its client is (proxy_from): whoever connects from "
            "there can pass for any address, also for one that may relay; name the balancers alone"
        )


def _weaker_door(old: ReceiveConnector, new: ReceiveConnector) -> Iterator[str]:
    subject = f'receive connector "{new.name}"'
    if old.enabled and not new.enabled:
        yield (
            f"{subject} is disabled: its clients are served by a wider one on that port, or cannot connect"
        )
    if _CLIENT_TLS[new.tls] < _CLIENT_TLS[old.tls]:
        what = (
            "mail and passwords can be read on the way"
            if new.tls is TlsMode.NONE
            else "clients must ask for TLS now, and those that expect it at once cannot connect"
        )
        yield f'{subject} lowers tls from "{old.tls.value}" to "{new.tls.value}": {what}'
    if old.require_tls and not new.require_tls:
        yield f"{subject} takes mail without TLS from now on: it can be read and changed on the way"
    if old.client_certificate_domains and not new.client_certificate_domains:
        yield (
            f"{subject} asks for no client certificate any more: everybody in its ranges is served, "
            f"not only {', '.join(old.client_certificate_domains[:5])}"
        )
    if old.certificate != new.certificate and old.certificate:
        yield (
            f"{subject} shows another certificate than the one that was pinned: partners that check it, "
            "and TLSA records that name it, must know the new one"
        )


def _way_out(old: SendConnector | None, new: SendConnector) -> Iterator[str]:
    subject = f'send connector "{new.name}"'
    clear = new.tls is SendTls.OPPORTUNISTIC and not new.implicit_tls
    if new.auth is SmartHostAuth.BASIC and clear:
        was_clear = (
            old is not None
            and old.auth is SmartHostAuth.BASIC
            and old.tls is SendTls.OPPORTUNISTIC
            and not old.implicit_tls
        )
        if not was_clear:
            yield (
                f"{subject} sends its password in the clear where the smart host offers no TLS: "
                "set auth to basic-require-tls"
            )
    trusted = old.private_ranges if old is not None else ()
    for each in new.private_ranges:
        inside = any(each.overlaps(one) for one in _LOOPBACK)
        if inside and not any(one.contains_range(each) for one in trusted):
            yield (
                f"{subject} follows DNS to this machine itself ({each}): whoever owns a domain can have mail "
                "sent to any program that listens here on that port"
            )
    if old is not None and _SEND_TLS[new.tls] < _SEND_TLS[old.tls]:
        yield (f'{subject} lowers tls from "{old.tls.value}" to "{new.tls.value}": {_what_is_lost(new.tls)}')


def _what_is_lost(level: SendTls) -> str:
    if level is SendTls.OPPORTUNISTIC:
        return "mail goes out in the clear where the next hop offers no TLS"
    return "the next hop is no longer checked: somebody on the way can pass for it"


def _required_tls(before: Organisation, after: Organisation) -> Iterator[str]:
    kept: dict[str, RequiredTls] = {each.domain.casefold(): each for each in after.required_tls}
    for old in before.required_tls:
        new = kept.get(old.domain.casefold())
        if new is None:
            yield (
                f'TLS is no longer required for mail to "{old.domain}": '
                "it goes out in the clear where the next hop offers none"
            )
        elif _SEND_TLS[new.level] < _SEND_TLS[old.level]:
            yield (
                f'TLS required for mail to "{old.domain}" is lowered from "{old.level.value}" to '
                f'"{new.level.value}": {_what_is_lost(new.level)}'
            )


def _no_way_out(before: Organisation, after: Organisation) -> Iterator[str]:
    if _serves_all(before) and not _serves_all(after):
        yield (
            "no send connector serves * any more: mail to domains that no other connector names waits, "
            "and is returned when it has waited too long"
        )


def _serves_all(organisation: Organisation) -> bool:
    return any(not space.domain for space in _spaces(organisation))


def _spaces(organisation: Organisation) -> Iterator[AddressSpace]:
    for connector in organisation.send_connectors:
        for text in connector.address_spaces if connector.enabled else ():
            try:
                yield parse_address_space(text)
            except Refusal:
                continue  # checks tell of it


def _domain_kinds(before: Organisation, after: Organisation) -> Iterator[str]:
    old_kinds = {each.name: each.kind for each in before.accepted_domains}
    spaces = list(_spaces(after))
    for domain in after.accepted_domains:
        old = old_kinds.get(domain.name)
        if old is domain.kind:
            continue
        subject = f'accepted domain "{domain.name}"'
        if old is not None:
            yield f"{subject} changes from {old.value} to {domain.kind.value}: {_OF_KIND[domain.kind]}"
        if domain.kind is not DomainKind.AUTHORITATIVE and not any(
            space.serves(domain.name) for space in spaces
        ):
            yield (
                f"{subject} is {domain.kind.value}, but no send connector serves it: "
                "mail that is to be handed on waits, and is returned when it has waited too long"
            )


_OF_KIND = {
    DomainKind.AUTHORITATIVE: "mail to an address that is not ours is refused from now on",
    DomainKind.INTERNAL_RELAY: "mail to an address that is not ours is handed on by a send connector, "
    "whether it exists there or not",
    DomainKind.EXTERNAL_RELAY: "all its mail is handed on by a send connector, none is delivered here",
}
