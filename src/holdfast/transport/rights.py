"""Decide who a client is to a receive connector, and what it may therefore do.

A connector names permission groups; each group has fixed rights. A client is
one of them: a server of ours, a user who signed in, a partner, or nobody that
we know. Only a group that the connector names gives rights.

Users may hand on Received and Resent-* fields, although RC-4 leaves that out:
a mail client that redirects a message writes Resent-* (RFC 5322 section 3.6.6),
and Exchange's own table of permissions grants it.

Source: exchange-behaviour RC-3..5.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, fields
from functools import lru_cache

from holdfast.directory.model import Organisation, PermissionGroup, ReceiveConnector, Usage
from holdfast.directory.server_certificates import known_certificates
from holdfast.kernel.ids import MailboxId


@dataclass(frozen=True, slots=True)
class Rights:
    """What a client may do.

    Attributes:
        submit: hand in mail at all.
        relay: name recipients in domains that are not ours.
        any_sender: name a sender that is not its own address.
        own_domain_sender: name a sender of an authoritative domain of ours, without being that user.
        routing_headers: hand on Received and Resent-* fields.
        organisation_headers: hand on fields that only servers of ours may write.
        bypass_filters: have its mail not looked at by anti-spam.
        bypass_limits: send more than the organisation's limits on size and recipients.
    """

    submit: bool = False
    relay: bool = False
    any_sender: bool = False
    own_domain_sender: bool = False
    routing_headers: bool = False
    organisation_headers: bool = False
    bypass_filters: bool = False
    bypass_limits: bool = False

    def __or__(self, other: Rights) -> Rights:
        return Rights(
            **{each.name: getattr(self, each.name) or getattr(other, each.name) for each in fields(self)}
        )


NO_RIGHTS = Rights()
RELAY = Rights(relay=True)

RIGHTS_OF_GROUP = {
    PermissionGroup.ANONYMOUS: Rights(
        submit=True, any_sender=True, own_domain_sender=True, routing_headers=True
    ),
    PermissionGroup.USERS: Rights(submit=True, relay=True, routing_headers=True, bypass_filters=True),
    PermissionGroup.SERVERS: Rights(*(True for _ in fields(Rights))),
    # Any sender but ours: a partner speaks for itself and those that it forwards for.
    PermissionGroup.PARTNERS: Rights(submit=True, any_sender=True, routing_headers=True),
}

# Exchange's custom connectors begin without any group; one for relaying that
# lets nobody in would only be a riddle, so it knows the same clients as port 25.
GROUPS_OF_USAGE = {
    Usage.INTERNET: (PermissionGroup.ANONYMOUS,),
    Usage.CLIENT: (PermissionGroup.USERS,),
    Usage.INTERNAL: (PermissionGroup.SERVERS,),
    Usage.PARTNER: (PermissionGroup.PARTNERS,),
    Usage.RELAY: (PermissionGroup.ANONYMOUS,),
}


class ClientKind(enum.Enum):
    """Who a client turned out to be."""

    ANONYMOUS = "nobody that we know"
    USER = "a user who signed in"
    SERVER = "a server of ours"
    PARTNER = "a partner"


@dataclass(slots=True)
class Client:
    """Who is at the other end of a session, as far as is known now.

    Attributes:
        signed_in: the mailbox that signed in, or None.
        server: the server of ours that it has proved to be by its certificate; empty otherwise, also where
            its address alone makes it one.
    """

    kind: ClientKind
    rights: Rights
    signed_in: MailboxId | None = None
    server: str = ""


_GROUP_OF_KIND = {
    ClientKind.ANONYMOUS: PermissionGroup.ANONYMOUS,
    ClientKind.USER: PermissionGroup.USERS,
    ClientKind.SERVER: PermissionGroup.SERVERS,
    ClientKind.PARTNER: PermissionGroup.PARTNERS,
}


def groups_of(connector: ReceiveConnector) -> tuple[PermissionGroup, ...]:
    """The permission groups that a connector knows: those it names, else those of its usage (RC-3)."""
    groups = connector.permission_groups or GROUPS_OF_USAGE[connector.usage]
    if connector.externally_secured and PermissionGroup.SERVERS not in groups:
        return (*groups, PermissionGroup.SERVERS)
    return groups


def server_addresses_of(organisation: Organisation) -> frozenset[str]:
    """The IP addresses that alone make a server of ours: of those that no certificate is known of.

    In the form that ``str`` of an address has.
    """
    return _addresses_of(organisation, certified=False)


def certified_addresses_of(organisation: Organisation) -> frozenset[str]:
    """The IP addresses whose clients are asked for the certificate of a server of ours."""
    return _addresses_of(organisation, certified=True)


def _addresses_of(organisation: Organisation, *, certified: bool) -> frozenset[str]:
    return frozenset(
        str(ipaddress.ip_address(address))
        for server in organisation.servers
        if bool(known_certificates(server)) is certified
        for address in server.addresses
    )


def kind_of(
    connector: ReceiveConnector,
    server_addresses: frozenset[str],
    client_address: str,
    *,
    certified: bool = False,
    server: str = "",
) -> ClientKind:
    """Say who a client is before it signs in.

    Args:
        connector: the one that it came in by.
        server_addresses: of the servers of ours that are known by their address alone.
        client_address: its IP address as text.
        certified: whether it showed a certificate that the connector asks for.
        server: the server of ours that it has proved to be by its certificate; empty otherwise.

    Source: exchange-behaviour RC-4, RC-5, TL-4. An address alone makes a server of ours
    only on a connector that is for servers, since addresses can be lied about on the way in.
    """
    if connector.externally_secured or (server and PermissionGroup.SERVERS in groups_of(connector)):
        return ClientKind.SERVER
    if connector.usage is Usage.INTERNAL and client_address in server_addresses:
        return ClientKind.SERVER
    groups = groups_of(connector)
    # Where no certificate is asked for, the range of addresses alone says who the partner is.
    if PermissionGroup.PARTNERS in groups and (certified or not connector.client_certificate_domains):
        return ClientKind.PARTNER
    return ClientKind.ANONYMOUS


def rights_of(connector: ReceiveConnector, kind: ClientKind) -> Rights:
    """Say what a client of a kind may do on a connector."""
    return _rights(groups_of(connector), connector.anonymous_relay, kind)


@lru_cache(maxsize=256)  # there are few different connectors, and one of these per connection
def _rights(groups: tuple[PermissionGroup, ...], anonymous_relay: bool, kind: ClientKind) -> Rights:
    rights = NO_RIGHTS
    if _GROUP_OF_KIND[kind] in groups:
        rights = RIGHTS_OF_GROUP[_GROUP_OF_KIND[kind]]
    elif kind is ClientKind.PARTNER and PermissionGroup.ANONYMOUS in groups:
        rights = RIGHTS_OF_GROUP[PermissionGroup.ANONYMOUS]
    # RC-5: the deliberate exception; whoever may send at all on it may then send anywhere.
    return rights | RELAY if anonymous_relay and rights.submit else rights
