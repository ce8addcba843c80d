"""The organisation of the made-up world: one server, a few people, two groups, settings as drawn."""

from __future__ import annotations

import random

from holdfast.directory.model import (
    AcceptedDomain,
    DistributionGroup,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    SendConnector,
    SendTls,
    Server,
    Site,
    TlsMode,
)
from holdfast.kernel.ids import MailboxId, Revision
from holdfast.kernel.iprange import parse_ip_range
from holdfast.sim.elsewhere import SMART_HOST
from holdfast.sim.next_hops import hop_place
from holdfast.sim.scenario import Rates

DATABASE = "db1"
DOMAIN = "example.test"
SERVER = "hub"
CONNECTOR = "smtp"


def make_organisation(rates: Rates, luck: random.Random) -> Organisation:
    """Make the organisation; the nested group sometimes contains the group that contains it."""
    mailboxes = tuple(
        Mailbox(
            f"user{number}@{DOMAIN}",
            MailboxId(f"mailbox-{number}"),
            DATABASE,
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
    connector = ReceiveConnector(
        CONNECTOR,
        SERVER,
        ("192.0.2.1:25",),
        (parse_ip_range("0.0.0.0-255.255.255.255"),),
        tls=TlsMode.NONE,
        message_bytes_max=rates.message_bytes_max,
        recipient_count_max=max(1, rates.recipient_count_max),
        connection_count_max=max(1, rates.connection_count_max),
        inactivity_s=rates.inactivity_s,
        session_s=rates.session_s,
        tarpit_s=rates.tarpit_s,
        anonymous_relay=bool(rates.outside_rate),
    )
    outwards: tuple[SendConnector, ...] = ()
    if rates.outside_rate:
        outwards = (_send_connector(rates, luck),)
    return Organisation(
        name="made up",
        revision=Revision(1),
        sites=(Site("here"),),
        servers=(Server(SERVER, f"{SERVER}.{DOMAIN}", "here"),),
        accepted_domains=(AcceptedDomain(DOMAIN),),
        receive_connectors=(connector,),
        send_connectors=outwards,
        dane=False,
        mta_sts=False,
        glitch_retry_s=rates.glitch_retry_s,
        transient_retry_s=max(rates.glitch_retry_s, 5 * rates.glitch_retry_s),
        retry_s=10 * rates.glitch_retry_s,
        message_retry_s=rates.message_retry_s,
        mailbox_databases=(MailboxDatabase(DATABASE, SERVER),),
        mailboxes=mailboxes,
        distribution_groups=(everybody, nested),
    )


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
