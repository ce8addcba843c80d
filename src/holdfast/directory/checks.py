"""What must hold across the objects of an organisation before a server may go by it.

All problems are found in one go, so that the administrator corrects them in one
go. Rooms rely on what is checked here: every name that one object uses for
another exists, every limit is positive, every address can be looked up.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

from holdfast.directory.about import UNITS_WITH_LINES
from holdfast.directory.checks_connectors import check_receive_connectors, check_send_connectors
from holdfast.directory.checks_dhcp import check_dhcp
from holdfast.directory.checks_mail import check_addresses, check_groups, check_quotas
from holdfast.directory.checks_settings import check_settings
from holdfast.directory.kinds import KINDS, Setting, name_of, objects_of, settings_of, subject_of
from holdfast.directory.listening import check_listening
from holdfast.directory.model import Organisation, Role, Server, Site
from holdfast.directory.references import Names, check_fqdn
from holdfast.directory.server_certificates import check_server_certificates
from holdfast.directory.shadow_rules import check_shadow
from holdfast.kernel.errors import Problem, Refusal
from holdfast.kernel.iprange import IPRange, parse_ip_range

NAME_CHARACTERS_MAX = 64
TEXT_CHARACTERS_MAX = 256
# These names become parts of file names, and a socket's path has room for 107 bytes.
_FILE_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")
_MAILBOX_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def check_organisation(organisation: Organisation) -> tuple[Problem, ...]:
    """List everything that is wrong, object by object; empty when a server may go by it."""
    return tuple(
        problem
        for check in (
            _names,
            _texts_and_limits,
            _sites,
            _servers,
            check_server_certificates,
            check_receive_connectors,
            check_listening,
            check_send_connectors,
            check_settings,
            check_shadow,
            check_quotas,
            check_addresses,
            check_groups,
            check_dhcp,
        )
        for problem in check(organisation)
    )


def _names(organisation: Organisation) -> Iterator[Problem]:
    for kind in KINDS:
        seen: dict[str, str] = {}
        for item in objects_of(organisation, kind):
            name = name_of(item)
            known = len(seen)
            first = seen.setdefault(name.casefold(), name)
            if len(seen) == known:
                same = "" if first == name else f', but for the case of letters, as "{first}"'
                yield Problem(
                    subject_of(item), f"is declared twice{same}", "take one away or give it another name"
                )
            if kind.name_attribute == "name":
                yield from _name(
                    name, subject_of(item), file_safe=kind.word in ("server", "mailbox database")
                )
    ids: dict[str, str] = {}
    for mailbox in organisation.mailboxes:
        subject = subject_of(mailbox)
        if not _MAILBOX_ID.fullmatch(mailbox.mailbox_id):
            yield Problem(
                subject, f'mailbox id "{mailbox.mailbox_id}" is malformed', "leave it out and one is drawn"
            )
        first = ids.setdefault(mailbox.mailbox_id, mailbox.address)
        if first != mailbox.address:
            yield Problem(
                subject,
                f'has the same mailbox id as "{first}"',
                "leave out the id of the newer one and one is drawn",
            )


def _name(name: str, subject: str, *, file_safe: bool) -> Iterator[Problem]:
    if file_safe and not _FILE_SAFE.fullmatch(name):
        yield Problem(
            subject, "its name becomes part of file names", "use 1 to 40 of the characters A-Z a-z 0-9 . _ -"
        )
    elif (
        not 1 <= len(name) <= NAME_CHARACTERS_MAX
        or not name.isprintable()
        or name != name.strip()
        or '"' in name
    ):
        yield Problem(
            subject,
            "its name is empty, too long or has characters that cannot be shown",
            f"use 1 to {NAME_CHARACTERS_MAX} letters, digits, spaces or signs, but no quotation mark",
        )


def _texts_and_limits(organisation: Organisation) -> Iterator[Problem]:
    """Every text can be shown, every limit is a positive number; found by the type of the field."""
    for kind in KINDS:
        settings = settings_of(kind.type)
        for item in objects_of(organisation, kind):
            for setting in settings:
                value = getattr(item, setting.attribute)
                # Nearly everything that a large organisation has is a default, and that is right.
                if value is not setting.default:
                    for text, advice in _value(setting, value):
                        yield Problem(subject_of(item), text, advice)
    for setting in settings_of(Organisation):
        for text, advice in _value(setting, getattr(organisation, setting.attribute)):
            yield Problem("the organisation", text, advice)


def _value(setting: Setting, value: object) -> Iterator[tuple[str, str]]:
    """What is wrong with one value, and what to do."""
    key = setting.key
    if isinstance(value, tuple):
        for each in value:
            if dataclasses.is_dataclass(each) and not isinstance(each, IPRange):
                for inner in settings_of(type(each)):
                    yield from _value(inner, getattr(each, inner.attribute))
            else:
                yield from _value(setting, each if isinstance(each, str) else "")
    elif isinstance(value, str):
        characters_max = setting.most or TEXT_CHARACTERS_MAX
        has_lines = setting.unit in UNITS_WITH_LINES
        shown = value.replace("\n", "") if has_lines else value
        if len(value) > characters_max or not shown.isprintable():
            lines = "" if has_lines else " on one line"
            yield (
                f"{key} has more than {characters_max} characters or some that cannot be shown",
                f"write a shorter text{lines}",
            )
    elif isinstance(value, int) and not isinstance(value, bool):
        if value < setting.least:
            yield f"{key} is {value}", f"it is at least {setting.least}"
        elif setting.most is not None and value > setting.most:
            yield f"{key} is {value}", f"it is at most {setting.most}"
    elif isinstance(value, float) and (not math.isfinite(value) or value < 0):
        what = "seconds" if setting.unit == "seconds" else "percent or messages"
        yield f"{key} is {value} {what}", "it is 0 or more"


def _sites(organisation: Organisation) -> Iterator[Problem]:
    names = Names(organisation)
    ranges = [(subnet, site) for site in organisation.sites for subnet in site.subnets]
    yield from _shared_ranges(ranges, "site")
    for link in organisation.site_links:
        subject = subject_of(link)
        if len(set(link.sites)) < 2 or len(set(link.sites)) != len(link.sites):
            yield Problem(
                subject,
                f"links {', '.join(link.sites) or 'no site'}",
                "a link needs two or more different sites",
            )
        yield from names.check("site", link.sites, subject)


def _shared_ranges(ranges: list[tuple[IPRange, Site]], word: str) -> Iterator[Problem]:
    ranges.sort(key=lambda pair: (pair[0].first.version, int(pair[0].first)))
    reach: tuple[IPRange, Site] | None = None
    for subnet, site in ranges:
        if reach is not None and reach[0].overlaps(subnet) and reach[1] is not site:
            one, other = sorted((reach[1].name, site.name))
            yield Problem(
                f'{word}s "{one}" and "{other}"',
                f"share addresses: {reach[0]} and {subnet}",
                f"give each address to one {word}",
            )
        if (
            reach is None
            or reach[0].first.version != subnet.first.version
            or int(subnet.last) > int(reach[0].last)
        ):
            reach = (subnet, site)


def _servers(organisation: Organisation) -> Iterator[Problem]:
    names = Names(organisation)
    owner: dict[IPRange, str] = {}
    for server in organisation.servers:
        subject = subject_of(server)
        yield from names.check("site", (server.site,), subject)
        yield from check_fqdn(server.fqdn, subject, required=True)
        if not server.roles or len(set(server.roles)) != len(server.roles):
            yield Problem(subject, "has no role, or one twice", "name each role once, for example transport")
        for text in server.addresses:
            yield from _server_address(organisation, server, text, owner)
    for database in organisation.mailbox_databases:
        yield from names.check_role(database.server, Role.MAILBOX, subject_of(database))


def _server_address(
    organisation: Organisation, server: Server, text: str, owner: dict[IPRange, str]
) -> Iterator[Problem]:
    subject = subject_of(server)
    try:
        address = parse_ip_range(text)
        if address.address_count != 1:
            raise Refusal("a range")
    except Refusal:
        yield Problem(subject, f'"{text}" is not an IP address', "write one address, for example 192.0.2.10")
        return
    other = owner.setdefault(address, server.name)
    if other != server.name and not address.first.is_loopback:
        yield Problem(
            subject, f'has the address {address} of server "{other}"', "give each server its own address"
        )
    for site in organisation.sites:
        if site.name != server.site and any(address.first in subnet for subnet in site.subnets):
            yield Problem(
                subject,
                f'its address {address} lies in site "{site.name}", but it belongs to site "{server.site}"',
                "correct the site or its subnets",
            )
