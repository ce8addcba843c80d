"""What an administrator should be told before a change: mail out of reach, doors that close, doors too wide.

A danger is not an error; it is a consequence that is easily overlooked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from holdfast.directory.dangers_connectors import find_connector_dangers
from holdfast.directory.dangers_dhcp import find_dhcp_dangers
from holdfast.directory.dangers_failover import find_failover_dangers
from holdfast.directory.model import Mailbox, Organisation, Role
from holdfast.directory.shadow_rules import find_shadow_dangers
from holdfast.kernel.quantities import format_size


def find_dangers(before: Organisation, after: Organisation) -> tuple[str, ...]:
    """List the consequences of going from one organisation to the other, as sentences."""
    return (
        *_mailboxes(before, after),
        *_databases(before, after),
        *_domains(before, after),
        *_doors(before, after),
        *find_connector_dangers(before, after),
        *find_dhcp_dangers(before, after),
        *find_failover_dangers(before, after),
        *_servers(before, after),
        *_hubs(before, after),
        *_settings(before, after),
        *find_shadow_dangers(before, after),
    )


def _mailboxes(before: Organisation, after: Organisation) -> Iterator[str]:
    by_id = {each.mailbox_id: each for each in after.mailboxes}
    addresses = {each.address.casefold() for each in after.mailboxes}
    for old in before.mailboxes:
        new = by_id.get(old.mailbox_id)
        if new is not None:
            yield from _mailbox(old, new, before, after)
        elif old.address.casefold() in addresses:
            yield (
                f'mailbox "{old.address}" gets another id: it begins empty and without a password, '
                "the mail under the old id can no longer be reached"
            )
        else:
            yield (
                f'mailbox "{old.address}" is removed: its mail can no longer be reached, '
                "its password is forgotten"
            )


def _mailbox(old: Mailbox, new: Mailbox, before: Organisation, after: Organisation) -> Iterator[str]:
    subject = f'mailbox "{old.address}"'
    if new.address.casefold() != old.address.casefold():
        yield f'{subject} signs in as "{new.address}" from now on'
        if old.address.casefold() not in after.recipients:
            yield f"mail to {old.address} is refused from now on; make it an alias to go on taking it"
    if new.database != old.database:
        yield (
            f'{subject} changes from database "{old.database}" to "{new.database}": its mail stays in '
            f'"{old.database}" and the mailbox begins empty'
        )
    if old.enabled and not new.enabled:
        yield f"{subject} is disabled: mail to it is refused, and its user cannot sign in"
    # A change of the database's own quota is told once, with the database.
    if new.quota_bytes != old.quota_bytes and new.database == old.database:
        was, will_be = _quota(before, old), _quota(after, new)
        if was is not None and will_be is not None and will_be < was:
            sizes = f"{format_size(will_be)} instead of {format_size(was)}"
            yield f"{subject} may hold {sizes}: when it holds more already, it takes no mail"


def _quota(organisation: Organisation, mailbox: Mailbox) -> int | None:
    if mailbox.quota_bytes is None and mailbox.database not in organisation.databases_by_name:
        return None
    return organisation.quota_bytes(mailbox)


def _databases(before: Organisation, after: Organisation) -> Iterator[str]:
    mailbox_count = Counter(each.database for each in before.mailboxes)
    for old in before.mailbox_databases:
        subject = f'mailbox database "{old.name}"'
        new = after.databases_by_name.get(old.name)
        held = mailbox_count[old.name]
        if new is None:
            if held:
                words = _mailbox_words(held)
                yield f"{subject} is removed while it holds {words}: their mail can no longer be reached"
            continue
        if new.server != old.server and held:
            yield f'{subject} goes from server "{old.server}" to "{new.server}", its mail does not'
        for word, was, will_be in (
            ("warn", old.warn_bytes, new.warn_bytes),
            ("prohibit_send", old.prohibit_send_bytes, new.prohibit_send_bytes),
            ("prohibit_send_receive", old.prohibit_send_receive_bytes, new.prohibit_send_receive_bytes),
        ):
            if will_be < was:
                yield (
                    f"{subject} lowers {word} from {format_size(was)} to {format_size(will_be)}: "
                    "it holds at once for all its mailboxes without a quota of their own"
                )


def _mailbox_words(count: int) -> str:
    return "1 mailbox" if count == 1 else f"{count} mailboxes"


def _domains(before: Organisation, after: Organisation) -> Iterator[str]:
    used = Counter(address.rpartition("@")[2] for address in before.recipients)
    for name in sorted(before.domain_names - after.domain_names):
        count = used[name]
        has = f", which {count} {'address uses' if count == 1 else 'addresses use'}," if count else ""
        yield f'accepted domain "{name}"{has} is removed: mail for it is refused from now on'


def _doors(before: Organisation, after: Organisation) -> Iterator[str]:
    open_after = {text for _, text in _listening(after)}
    for subject, text in _listening(before):
        if text not in open_after:
            yield f"{subject} no longer listens on {text}: clients that use it cannot connect"


def _listening(organisation: Organisation) -> Iterator[tuple[str, str]]:
    for connector in organisation.receive_connectors:
        for binding in connector.bindings if connector.enabled else ():
            yield f'receive connector "{connector.name}"', binding
    for server in organisation.servers:
        for listener in server.imap:
            yield f'IMAP on server "{server.name}"', listener.bind
        if server.metrics:
            yield f'metrics of server "{server.name}"', server.metrics


def _servers(before: Organisation, after: Organisation) -> Iterator[str]:
    for old in before.servers:
        new = after.server(old.name)
        if new is None:
            yield f'server "{old.name}" is removed: it stops, mail that is queued on it waits there'
            continue
        for role in old.roles:
            if role not in new.roles:
                yield f'server "{old.name}" no longer has the role {role.value}'
        if old.certificate and not new.certificate:
            yield (
                f'server "{old.name}" is no longer known by a certificate: its address alone says who it is, '
                "and mail between it and the others is no longer protected by a second copy"
            )


def _hubs(before: Organisation, after: Organisation) -> Iterator[str]:
    known = _hubs_without_transport(before)
    for name in _hubs_without_transport(after):
        if name not in known:
            yield (
                f'site "{name}" is a hub, but has no server with the role transport: '
                "mail whose path leads through it has nowhere to stop"
            )


def _hubs_without_transport(organisation: Organisation) -> list[str]:
    served = {each.site for each in organisation.servers if Role.TRANSPORT in each.roles}
    return [each.name for each in organisation.sites if each.hub and each.name not in served]


def _settings(before: Organisation, after: Organisation) -> Iterator[str]:
    if after.expiry_s < before.expiry_s:
        yield (
            f"expiry goes down from {before.expiry_s:g} to {after.expiry_s:g} seconds: "
            "queued mail that is older is returned to its senders at once"
        )
    if before.dane and not after.dane:
        yield "DANE is no longer honoured: mail to domains that publish it can be led astray"
    if before.mta_sts and not after.mta_sts:
        yield "MTA-STS is no longer honoured: mail to domains that publish it can be led astray"
    if after.resolver_validates and not before.resolver_validates:
        yield (
            "answers of the DNS servers are believed to be validated: that is safe only when the way to them "
            "is, for example on this machine or in a network that nobody else reaches"
        )
