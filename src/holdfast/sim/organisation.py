"""The organisation of the made-up world: its servers, a few people, two groups, settings as drawn.

Each server has one mailbox database, a door for everybody and, where there are
several servers, a door for the others. Sites are linked each with the next.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    Mailbox,
    MailboxDatabase,
    Organisation,
    Protect,
    ReceiveConnector,
    SendConnector,
    SendTls,
    Server,
    Site,
    SiteLink,
    TlsMode,
    Usage,
)
from holdfast.directory.server_certificates import write_certificates
from holdfast.kernel.ids import MailboxId, Revision
from holdfast.kernel.iprange import parse_ip_range
from holdfast.sim.elsewhere import SMART_HOST
from holdfast.sim.next_hops import hop_place
from holdfast.sim.scenario import Rates

DATABASE = "db1"
DOMAIN = "example.test"
SERVER = "hub"
CONNECTOR = "smtp"
SMTP_PORT, SERVERS_PORT = 25, 2525
_SERVER_ADDRESSES = "192.0.2.0/24"


def server_address(index: int = 0) -> str:
    """Where a server of ours is: its IP address."""
    return f"192.0.2.{index + 1}"


def server_addresses(rates: Rates) -> tuple[str, ...]:
    """Where all servers of ours are."""
    return tuple(server_address(index) for index in range(max(1, rates.server_count)))


def server_name(index: int, rates: Rates) -> str:
    """What a server is called."""
    return SERVER if rates.server_count <= 1 else f"{SERVER}{index + 1}"


def certificate_of(name: str) -> bytes:
    """What stands for the certificate of a server: a DER sequence with its name."""
    return bytes((0x30, len(name))) + name.encode()


def make_organisation(rates: Rates, luck: random.Random) -> Organisation:
    """Make the organisation; the nested group sometimes contains the group that contains it."""
    server_count = max(1, rates.server_count)
    mailboxes = tuple(
        Mailbox(
            f"user{number}@{DOMAIN}",
            MailboxId(f"mailbox-{number}"),
            f"db{number % server_count + 1}",
            aliases=(f"alias{number}@{DOMAIN}",),
            quota_bytes=rates.quota_bytes if number == 0 and rates.quota_bytes else None,
        )
        for number in range(max(1, rates.mailbox_count))
    )
    everybody = DistributionGroup(f"all@{DOMAIN}", tuple(mailbox.address for mailbox in mailboxes))
    nested_members = [everybody.address, mailboxes[0].aliases[0]]
    if luck.random() < 0.3:
        nested_members.append(f"nested@{DOMAIN}")
    nested = DistributionGroup(f"nested@{DOMAIN}", tuple(nested_members))
    outwards: tuple[SendConnector, ...] = ()
    if rates.outside_rate:
        outwards = (_send_connector(rates, luck),)
    servers = _servers(rates)
    acquainted = len(servers) > 1 and luck.random() < rates.shadow_rate
    if acquainted:
        servers = tuple(
            replace(server, certificate=write_certificates((certificate_of(server.name),)))
            for server in servers
        )
    if outwards and len(servers) > 1 and luck.random() < 0.4:  # what leaves crosses to one of them
        source = servers[luck.randrange(len(servers))]
        outwards = (replace(outwards[0], source_servers=(source.name,)),)
    sites = tuple(dict.fromkeys(server.site for server in servers))
    return Organisation(
        name="made up",
        revision=Revision(1),
        sites=tuple(Site(name) for name in sites),
        site_links=tuple(SiteLink(f"{near}-{far}", (near, far)) for near, far in pairwise(sites)),
        servers=servers,
        accepted_domains=(AcceptedDomain(DOMAIN),),
        receive_connectors=_receive_connectors(rates, servers, luck, acquainted=acquainted),
        send_connectors=outwards,
        dane=False,
        mta_sts=False,
        glitch_retry_s=rates.glitch_retry_s,
        transient_retry_s=max(rates.glitch_retry_s, 5 * rates.glitch_retry_s),
        retry_s=10 * rates.glitch_retry_s,
        message_retry_s=rates.message_retry_s,
        mailbox_databases=tuple(
            MailboxDatabase(f"db{index + 1}", server.name) for index, server in enumerate(servers)
        ),
        shadow_wait_s=rates.shadow_wait_s,
        shadow_heartbeat_s=rates.shadow_heartbeat_s,
        shadow_takeover_s=rates.shadow_takeover_s,
        safety_net_hold_s=rates.safety_net_hold_s,
        mailboxes=mailboxes,
        distribution_groups=(everybody, nested),
    )


def _servers(rates: Rates) -> tuple[Server, ...]:
    names = [server_name(index, rates) for index in range(max(1, rates.server_count))]
    sites = ["here", *(f"there{number}" for number in range(1, max(1, rates.site_count)))]
    return tuple(
        Server(
            name, f"{name}.{DOMAIN}", sites[min(index, len(sites) - 1)], addresses=(server_address(index),)
        )
        for index, name in enumerate(names)
    )


def _receive_connectors(
    rates: Rates, servers: tuple[Server, ...], luck: random.Random, *, acquainted: bool
) -> tuple[ReceiveConnector, ...]:
    """Make the doors; those for servers offer TLS as drawn, and where they know each other by certificate."""
    alone = len(servers) == 1
    required = acquainted and luck.random() < rates.required_rate
    connectors = [
        ReceiveConnector(
            CONNECTOR if alone else f"{CONNECTOR} {server.name}",
            server.name,
            (f"{server.addresses[0]}:{SMTP_PORT}",),
            (parse_ip_range("0.0.0.0-255.255.255.255"),),
            tls=TlsMode.NONE,
            message_bytes_max=rates.message_bytes_max,
            recipient_count_max=max(1, rates.recipient_count_max),
            connection_count_max=max(1, rates.connection_count_max),
            inactivity_s=rates.inactivity_s,
            session_s=rates.session_s,
            tarpit_s=rates.tarpit_s,
            anonymous_relay=bool(rates.outside_rate),
            protect=Protect.REQUIRED if required else Protect.PREFERRED,
        )
        for server in servers
    ]
    if not alone:
        tls = TlsMode.STARTTLS if luck.random() < rates.server_tls_rate or acquainted else TlsMode.NONE
        connectors += [
            ReceiveConnector(
                f"servers {server.name}",
                server.name,
                (f"{server.addresses[0]}:{SERVERS_PORT}",),
                (parse_ip_range(_SERVER_ADDRESSES),),
                usage=Usage.INTERNAL,
                tls=tls,
                inactivity_s=rates.inactivity_s,
                session_s=rates.session_s,
            )
            for server in servers
        ]
    return tuple(connectors)


def _send_connector(rates: Rates, luck: random.Random) -> SendConnector:
    """Make the one door outwards: by DNS, or by one or two smart hosts."""
    by_smart_host, variant = luck.random(), luck.randrange(3)
    smart_hosts: tuple[str, ...] = ()
    if by_smart_host < rates.smart_host_rate:
        smart_hosts = ((SMART_HOST,), (f"[{hop_place(0)}]",), ("mx0.example", SMART_HOST))[variant]
    return SendConnector(
        "outwards",
        ("*",),
        smart_hosts,
        tls=SendTls.OPPORTUNISTIC,
        inactivity_s=rates.hop_inactivity_s,
        connection_count_per_domain_max=max(1, rates.hop_connection_count_max),
        message_count_per_connection_max=max(1, rates.hop_message_count_max),
        private_ranges=(parse_ip_range("203.0.113.0/24"),),
    )
