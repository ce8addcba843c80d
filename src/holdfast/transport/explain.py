"""Explain, without sending, what would become of a message: door, rights, judgements, ways, queues.

Asks the very parts that decide when mail really comes (``Doors``, ``rights``,
``Categorizer``, ``Router``), so that the explanation cannot say something else.
What only the running server knows (DNS, health of hosts, certificates) is added by
whoever asks.

Source: issue "Explain"; exchange-behaviour RC-1, RC-4, RT-2..11, SC-2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, fields

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation, ReceiveConnector, TlsMode
from holdfast.kernel.address import Address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.quantities import format_size
from holdfast.transport.admission import Doors, parse_ip
from holdfast.transport.queue import NextHopKey
from holdfast.transport.rights import Client, ClientKind, Rights, groups_of, kind_of, rights_of
from holdfast.transport.route import HopProfile, RouteExplanation, Router, words_of_target
from holdfast.transport.session_terms import Terms, check_client
from holdfast.wire.smtp import parse_mail_from, parse_rcpt_to

TOO_MANY = 452  # RFC 5321 section 4.5.3.1.10
MEMBER_COUNT_MAX = 1000  # of all groups together; more are counted, not listed


@dataclass(frozen=True, slots=True)
class Asked:
    """The message that is asked about.

    Attributes:
        client_address: the client's IP address as text.
        sender: the envelope sender; empty for the null sender.
        recipients: envelope recipients.
        local_address: our address that the client comes to; empty takes any that is listened on.
        local_port: our port.
        user: who signed in; empty for nobody.
    """

    client_address: str
    sender: str
    recipients: tuple[str, ...]
    size_bytes: int = 5000
    local_address: str = ""
    local_port: int = 25
    user: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """Something that was judged, and the reply.

    Attributes:
        subject: what: ``MAIL FROM:<a@b>``.
        code: the SMTP reply code; 250 lets it pass.
        text: enhanced status code and words of a refusal; why it passes otherwise.
    """

    subject: str
    code: int
    text: str

    @property
    def passes(self) -> bool:
        """Whether it is not refused."""
        return self.code < 400


@dataclass(frozen=True, slots=True)
class ConnectorJudged:
    """A receive connector, and why it is not the one."""

    name: str
    why_not: str


@dataclass(frozen=True, slots=True)
class RecipientExplained:
    """One recipient, or a member of a group that is one.

    Attributes:
        judged: the reply at RCPT; for members of a group that the group passed.
        by_group: the group that it is a member of; empty for a recipient of the envelope.
        route: how it is routed; None when it is refused.
    """

    recipient: str
    judged: Judged
    by_group: str = ""
    route: RouteExplanation | None = None


@dataclass(frozen=True, slots=True)
class QueueExplained:
    """One copy of the message: the recipients that go the same way.

    Attributes:
        key: the next hop; None for mailboxes of this server and what goes nowhere.
        name: the queue as people type it.
        profile: how the next hop is reached.
    """

    name: str
    recipients: tuple[str, ...]
    key: NextHopKey | None = None
    profile: HopProfile | None = None


@dataclass(frozen=True, slots=True)
class MessageExplained:
    """All that the organisation says about a message.

    Attributes:
        connector: the receive connector that answers; empty when none does, then nothing else is said.
        connector_why: why it is the one, or why there is none.
        connectors: the others, each with why not.
        client: who the client is, with the certificate that it is asked for.
        groups: the permission groups that the connector knows.
        rights: what the client may do, in words.
        filters: what looks at the message, in order.
        tls: what it gets who does not begin TLS, or shows no certificate, where that is asked for.
        sender: the reply to MAIL, with all that.
        limits: size and number of recipients against what is allowed.
        recipients: in the order given, members after their group.
        queues: the copies that it is split into here.
        splits: where paths part later, in sentences.
    """

    connector: str
    connector_why: str
    connectors: tuple[ConnectorJudged, ...] = ()
    client: str = ""
    groups: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    tls: tuple[Judged, ...] = ()
    sender: Judged | None = None
    limits: tuple[Judged, ...] = ()
    recipients: tuple[RecipientExplained, ...] = ()
    queues: tuple[QueueExplained, ...] = ()
    splits: tuple[str, ...] = ()


def explain_message(organisation: Organisation, server_name: str, asked: Asked) -> MessageExplained:
    """Explain what would become of a message that a client hands in at this server.

    Raises:
        Refusal: a value is not what it should be, with which.
    """
    server = organisation.own_server(server_name)
    name = server.name if server is not None else server_name
    ours = [each for each in organisation.receive_connectors if each.server == name]
    peer = _read_ip(asked.client_address)
    local = asked.local_address or _local_address(ours, asked.local_port, peer.version)
    _read_ip(local)
    try:
        connector = Doors(ours).choose(asked.client_address, local, asked.local_port)
    except Refusal as refusal:
        why = f"at {local} port {asked.local_port}: {refusal.code} {refusal.status} {refusal.text}"
        return MessageExplained("", why, tuple(_others(ours, None, asked, local)))
    client = _client(organisation, connector, asked)
    router = Router(organisation, server_name)
    terms = Terms(connector, connector.fqdn or (server.fqdn if server is not None else ""), organisation)
    recipients = tuple(_recipients(router, terms, client, asked))
    return MessageExplained(
        connector.name,
        _why_connector(connector, asked, local),
        tuple(_others(ours, connector, asked, local)),
        client=client.kind.value,
        groups=tuple(each.value for each in groups_of(connector)),
        rights=_words_of_rights(client.rights),
        filters=_filters(client.rights),
        tls=tuple(_tls(terms, client)),
        sender=_judge_sender(router, terms, client, asked.sender),
        limits=_limits(terms, client, asked, recipients),
        recipients=recipients,
        queues=tuple(_queues(recipients)),
        splits=tuple(_splits(recipients)),
    )


# --- the door ------------------------------------------------------------------------------------


def _read_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return parse_ip(text)
    except ValueError:
        raise Refusal(f'"{text}" is not an IP address; write 192.0.2.1 or 2001:db8::1') from None


def _bound(connector: ReceiveConnector) -> Iterator[tuple[str, int]]:
    for binding in connector.bindings:
        host, _, port = binding.rpartition(":")
        yield host.strip("[]"), int(port)


def _local_address(connectors: list[ReceiveConnector], port: int, version: int) -> str:
    """An address of ours that is listened on at a port, for clients of an IP version."""
    for connector in connectors:
        for host, bound_port in _bound(connector):
            if bound_port == port and ipaddress.ip_address(host).version == version:
                return host
    return "0.0.0.0" if version == 4 else "::"  # only a word for any address; nothing listens


def _others(
    connectors: list[ReceiveConnector], chosen: ReceiveConnector | None, asked: Asked, local: str
) -> Iterator[ConnectorJudged]:
    for each in connectors:
        if chosen is None or each.name != chosen.name:
            yield ConnectorJudged(each.name, _why_not(each, chosen, asked, local))


def _why_not(connector: ReceiveConnector, chosen: ReceiveConnector | None, asked: Asked, local: str) -> str:
    if not connector.enabled:
        return "it is disabled"
    at = ipaddress.ip_address(local)
    there = [ipaddress.ip_address(host) for host, port in _bound(connector) if port == asked.local_port]
    if not any(each == at or (each.is_unspecified and each.version == at.version) for each in there):
        return f"it listens on {', '.join(connector.bindings)}, not at {local} port {asked.local_port}"
    peer = parse_ip(asked.client_address)
    if not any(peer in each for each in connector.remote_ranges):
        return f"{asked.client_address} is in none of its remote ranges"
    if chosen is None:
        return "it does not take this client"
    return f'"{chosen.name}" has a narrower remote range or binding'


def _why_connector(connector: ReceiveConnector, asked: Asked, local: str) -> str:
    peer = parse_ip(asked.client_address)
    ranges = [each for each in connector.remote_ranges if peer in each]
    narrowest = min(ranges, key=lambda each: each.address_count)
    return (
        f"{asked.client_address} is in its remote range {narrowest}, the narrowest at {local} port "
        f"{asked.local_port}"
    )


# --- who it is and what it may --------------------------------------------------------------------


def _client(organisation: Organisation, connector: ReceiveConnector, asked: Asked) -> Client:
    terms = Terms(connector, connector.fqdn, organisation)
    address = str(parse_ip(asked.client_address))
    if asked.user:
        found = organisation.recipients.get(asked.user.casefold())
        if not isinstance(found, Mailbox):
            raise Refusal(f'there is no mailbox "{asked.user}" to sign in as; see: holdfast mailbox list')
        if not found.enabled:
            raise Refusal(f'mailbox "{found.address}" is disabled: nobody signs in as it')
        if not terms.users_known:
            raise Refusal(
                f'receive connector "{connector.name}" lets nobody sign in: the permission group users is '
                "not among its own; leave out --signed-in, or name the port of one that does"
            )
        rights = rights_of(connector, ClientKind.USER)
        return Client(ClientKind.USER, rights, found.mailbox_id)
    # Whoever comes from there is asked for that server's certificate; here it is taken for the server.
    server = address if address in terms.certified_addresses else ""
    # Likewise where the connector asks for one: what it is told without is said beside it (``_tls``).
    kind = kind_of(connector, terms.server_addresses, address, certified=True, server=server)
    return Client(kind, rights_of(connector, kind))


_RIGHT_WORDS = {
    "submit": "hand in mail",
    "relay": "send to domains that are not ours",
    "any_sender": "name any sender",
    "own_domain_sender": "name a sender of our domains",
    "routing_headers": "keep its Received and Resent-* fields",
    "organisation_headers": "keep fields that only our servers may write",
    "bypass_filters": "pass by anti-spam filters",
    "bypass_limits": "pass by the organisation's limits",
}


def _words_of_rights(rights: Rights) -> tuple[str, ...]:
    return tuple(_RIGHT_WORDS[each.name] for each in fields(rights) if getattr(rights, each.name)) or (
        "none",
    )


def _filters(rights: Rights) -> tuple[str, ...]:
    """What looks at a message today, in order; content filters are a later issue."""
    removed = [
        words
        for words, kept in (
            ("Received and Resent-*", rights.routing_headers),
            ("X-Holdfast-Organization-* and the like", rights.organisation_headers),
        )
        if not kept
    ]
    return (
        "limits of the connector and the organisation",
        f"header firewall: removes {' and '.join(removed)}"
        if removed
        else "header firewall: removes nothing",
        "no content filters",
    )


def _tls(terms: Terms, client: Client) -> Iterator[Judged]:
    """What the door says to who comes without what it asks for; nothing when it asks for nothing."""
    names = ", ".join(terms.connector.client_certificate_domains)
    for subject, tls_active in (
        ("MAIL before TLS", False),
        (f"MAIL under TLS without a valid certificate of {names}", True),
    ):
        if tls_active and not names:
            return
        if not tls_active and terms.connector.tls is TlsMode.IMPLICIT:
            continue  # there is no before
        told = _judge_client(subject, terms, client, tls_active=tls_active, certified=not names)
        # Who is told the same with all that is asked for has it as the reply to MAIL.
        if told != _judge_client(subject, terms, client, tls_active=True, certified=True):
            yield told


def _judge_client(subject: str, terms: Terms, client: Client, *, tls_active: bool, certified: bool) -> Judged:
    try:
        check_client(terms, client, tls_active=tls_active, certified=certified)
    except Refusal as refusal:
        return _refused(subject, refusal)
    return Judged(subject, 250, "the client may send")


def _judge_sender(router: Router, terms: Terms, client: Client, sender: str) -> Judged:
    subject = f"MAIL FROM:<{sender}>"
    try:
        word = "" if sender.isascii() else " SMTPUTF8"
        address = parse_mail_from(f"MAIL {_path('FROM', sender)}{word}".encode()).address
        check_client(terms, client, tls_active=True, certified=True)
        router.categorizer.judge_sender(address, client)
    except Refusal as refusal:
        return _refused(subject, refusal)
    return Judged(subject, 250, "the sender is accepted")


def _path(word: str, text: str) -> str:
    """A path as a client writes it, whether it was asked with brackets or without."""
    inner = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    return f"{word}:<{inner}>".encode("utf-8", "replace").decode()


def _refused(subject: str, refusal: Refusal) -> Judged:
    return Judged(subject, refusal.code, f"{refusal.status} {refusal.text}")


def _limits(
    terms: Terms, client: Client, asked: Asked, recipients: tuple[RecipientExplained, ...]
) -> tuple[Judged, ...]:
    size_max, count_max = terms.message_bytes_max(client), terms.recipient_count_max(client)
    # As the session counts: who is refused or named again takes no place.
    count = sum(
        not each.by_group and (each.route is not None or each.judged.code == TOO_MANY) for each in recipients
    )
    size, most = format_size(asked.size_bytes), format_size(size_max)
    if size == most and asked.size_bytes != size_max:
        size, most = f"{asked.size_bytes} bytes", f"{size_max}"
    size = f"{size} of at most {most}"
    number = f"{count} of at most {count_max} recipients"
    return (
        Judged("size", 552, f"5.3.4 {size}") if asked.size_bytes > size_max else Judged("size", 250, size),
        Judged("recipients", TOO_MANY, f"4.5.3 {number}; the others are to be sent in another message")
        if count > count_max
        else Judged("recipients", 250, number),
    )


# --- where it goes --------------------------------------------------------------------------------


def _recipients(router: Router, terms: Terms, client: Client, asked: Asked) -> Iterator[RecipientExplained]:
    member_count = 0
    present = asked.recipients
    named: set[str] = set()
    for recipient in asked.recipients:
        subject = f"RCPT TO:<{recipient}>"
        try:
            asked_for = parse_rcpt_to(f"RCPT {_path('TO', recipient)}".encode(), smtputf8=True)
            # As the session has it: without source route, and our own postmaster by name.
            address = asked_for.address or Address("postmaster", terms.fqdn.lower())
            recipient = asked_for.forward_path if asked_for.address is not None else str(address)
            key = terms.recipient_key(address)
            terms.check_recipient_count(client, named, key)
            router.categorizer.judge_recipient(terms.connector, address, client)
        except Refusal as refusal:
            yield RecipientExplained(recipient, _refused(subject, refusal))
            continue
        if key in named:
            again = Judged(subject, 250, "named before: it gets the message once")
            yield RecipientExplained(recipient, again)
            continue
        named.add(key)
        route = router.explain(recipient, asked.size_bytes)
        yield RecipientExplained(recipient, Judged(subject, 250, "the recipient is accepted"), route=route)
        if not isinstance(route.target, DistributionGroup):
            continue
        members = router.categorizer.expand(route.target, present)
        present += members
        judged = Judged(subject, 250, f"a member of {route.target.address}")
        for member in members[: max(0, MEMBER_COUNT_MAX - member_count)]:
            explained = router.explain(member, asked.size_bytes)
            yield RecipientExplained(member, judged, route.target.address, explained)
        member_count += len(members)


def _queues(recipients: tuple[RecipientExplained, ...]) -> Iterator[QueueExplained]:
    """The copies: recipients of one next hop travel together (exchange-behaviour RT-5)."""
    found: dict[str, list[RecipientExplained]] = {}
    for each in recipients:
        if each.route is not None and not isinstance(each.route.target, DistributionGroup):
            found.setdefault(_queue_name(each.route), []).append(each)
    for name, explained in found.items():
        route = explained[0].route
        assert route is not None
        key = route.target if isinstance(route.target, NextHopKey) else None
        yield QueueExplained(name, tuple(each.recipient for each in explained), key, route.profile)


def _queue_name(route: RouteExplanation) -> str:
    match route.target:
        case NextHopKey():
            return str(route.target)
        case Mailbox(database=database):
            return f"mailbox:{database}"
        case _:
            return words_of_target(route.target)


def _splits(recipients: tuple[RecipientExplained, ...]) -> Iterator[str]:
    queues = {each.name for each in _queues(recipients)}
    if len(queues) > 1:
        yield f"here, into {len(queues)} copies: {', '.join(sorted(queues))}"
    by_hub: dict[str, set[str]] = {}
    for each in recipients:
        if each.route is not None and each.route.hubs and each.route.path is not None:
            by_hub.setdefault(each.route.hubs[0], set()).add(each.route.path.sites[-1])
    for hub, sites in sorted(by_hub.items()):
        if len(sites) > 1:
            yield f"at the hub site {hub}, into copies for {', '.join(sorted(sites))}"
