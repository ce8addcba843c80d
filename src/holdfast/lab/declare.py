"""Write the organisation of a lab: the same on every server, and the same each time.

Who serves whom follows from the sheet alone: one domain, a site per place, a
mailbox database on each server with the mailbox role, and the doors of each.
Mail between servers comes in by a connector of its own, which shares port 25
with the one for strangers and is for the addresses of our servers.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping

from holdfast.directory.checks import check_organisation
from holdfast.directory.model import (
    AcceptedDomain,
    ImapListener,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    Role,
    Server,
    Site,
    SiteLink,
    TlsMode,
    Usage,
)
from holdfast.directory.toml_format import write_organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId, new_mailbox_id
from holdfast.kernel.iprange import IPRange, parse_ip_range
from holdfast.lab.sheet import SITE_PREFIX, Machine, Sheet

DOMAIN = "lab.test"
ANYBODY = (parse_ip_range("0.0.0.0/0"),)
# A next hop that was down is tried again at once: a drill does not wait a minute for what it wants to see.
RETRY_S = 1.0
RETRY_COUNT = 1000
# Nor three minutes until a server counts as lost.
HEARTBEAT_S = 1.0
TAKEOVER_S = 10.0


def addresses_of(machine: Machine) -> tuple[str, ...]:
    """The mailboxes that a server of the lab has."""
    if Role.MAILBOX not in machine.roles:
        return ()
    return tuple(
        f"{machine.name.lower()}.user{number}@{DOMAIN}" for number in range(1, machine.mailbox_count + 1)
    )


def fqdn_of(machine: Machine) -> str:
    """The domain name of a server of the lab."""
    return f"{machine.name.lower()}.{DOMAIN}"


def declare(sheet: Sheet, certificates: Mapping[str, str]) -> Organisation:
    """Make the organisation of a lab.

    Args:
        sheet: the servers, with the addresses that they have.
        certificates: the certificate of each server as PEM, by its name: how the others know it.

    Raises:
        Refusal: a server may not go by it; ``problems`` lists why.
    """
    sites = sheet.sites
    links = (SiteLink("between sites", sites),) if len(sites) > 1 else ()
    organisation = Organisation(
        name="Lab",
        glitch_retry_s=RETRY_S,
        glitch_retry_count=RETRY_COUNT,
        shadow_heartbeat_s=HEARTBEAT_S,
        shadow_takeover_s=TAKEOVER_S,
        sites=tuple(Site(name, _subnets(sheet.of_site(name))) for name in sites),
        site_links=links,
        servers=tuple(_server(each, certificates.get(each.name, "")) for each in sheet.machines),
        accepted_domains=(AcceptedDomain(DOMAIN),),
        receive_connectors=tuple(door for each in sheet.machines for door in _doors(each, sheet)),
        mailbox_databases=tuple(
            MailboxDatabase(_database(each), each.name)
            for each in sheet.machines
            if Role.MAILBOX in each.roles
        ),
        mailboxes=tuple(
            Mailbox(address, _stable_id(address), _database(each))
            for each in sheet.machines
            for address in addresses_of(each)
        ),
    )
    problems = check_organisation(organisation)
    if problems:
        raise Refusal(f"the lab cannot be declared: {problems[0]}", problems=problems)
    return organisation


def declaration(organisation: Organisation) -> str:
    """The TOML that every server imports."""
    return write_organisation(organisation)


def _stable_id(address: str) -> MailboxId:
    """The same on every server and each time: mail in a database is found by it."""
    return new_mailbox_id(random.Random(address))


def _database(machine: Machine) -> str:
    return f"DB-{machine.name}"


def _subnets(machines: tuple[Machine, ...]) -> tuple[IPRange, ...]:
    """The networks of a site; on loopback, where all sites share one, the addresses themselves."""
    found: dict[str, IPRange] = {}
    for machine in machines:
        if ipaddress.ip_address(machine.address).is_loopback:
            text = machine.address
        else:
            text = str(ipaddress.ip_network(f"{machine.address}/{SITE_PREFIX}", strict=False))
        found[text] = parse_ip_range(text)
    return tuple(found.values())


def _server(machine: Machine, certificate: str) -> Server:
    imap: tuple[ImapListener, ...] = ()
    if Role.ACCESS in machine.roles:
        imap = (
            ImapListener(f"{machine.address}:{machine.ports.imap}", TlsMode.STARTTLS),
            ImapListener(f"{machine.address}:{machine.ports.imap_tls}", TlsMode.IMPLICIT),
        )
    return Server(
        machine.name,
        fqdn_of(machine),
        machine.site,
        machine.roles,
        (machine.address,),
        imap,
        metrics=f"{machine.address}:{machine.ports.metrics}",
        certificate=certificate,
    )


def _doors(machine: Machine, sheet: Sheet) -> tuple[ReceiveConnector, ...]:
    if Role.TRANSPORT not in machine.roles:
        return ()
    ports = machine.ports
    doors = [
        _door(machine, "internet", ports.smtp, Usage.INTERNET, TlsMode.STARTTLS),
        _door(machine, "client", ports.submission, Usage.CLIENT, TlsMode.STARTTLS),
        _door(machine, "client-tls", ports.submission_tls, Usage.CLIENT, TlsMode.IMPLICIT),
    ]
    peers = tuple(parse_ip_range(each.address) for each in sheet.machines if each.name != machine.name)
    if peers:
        doors.append(_door(machine, "servers", ports.smtp, Usage.INTERNAL, TlsMode.STARTTLS, peers))
    return tuple(doors)


def _door(
    machine: Machine,
    name: str,
    port: int,
    usage: Usage,
    tls: TlsMode,
    remote_ranges: tuple[IPRange, ...] = ANYBODY,
) -> ReceiveConnector:
    # All mail of a drill comes from one source: what protects a server from a source would only hide
    # what the drill is about.
    return ReceiveConnector(
        f"{machine.name} {name}",
        machine.name,
        (f"{machine.address}:{port}",),
        remote_ranges,
        usage,
        tls,
        tarpit_s=0.0,
        connection_percent_per_source=100,
    )
