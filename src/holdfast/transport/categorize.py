"""Decide who a recipient is: a mailbox, a group, somebody we do not serve, or nobody.

Asked twice: at RCPT, where a refusal goes to the client at once, and at delivery,
because the organisation may have changed in between.

Source: exchange-behaviour RC-4, RC-8, RT-9; RFC 5321 sections 3.6.1, 4.5.1; RFC 3463 for the codes.
"""

from __future__ import annotations

from holdfast.directory.model import (
    DistributionGroup,
    DomainKind,
    Mailbox,
    Organisation,
    ReceiveConnector,
)
from holdfast.kernel.address import Address, parse_address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.queue import Failure
from holdfast.transport.rights import Client

# RFC 2606 sections 2 and 3: names that nobody can own.
RESERVED_TOP_LEVELS = frozenset(("test", "example", "invalid", "localhost"))
RESERVED_SECOND_LEVELS = frozenset(("example.com", "example.net", "example.org"))


class Categorizer:
    """Who is who in one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self._recipients = organisation.recipients
        self._host_names = {
            name.casefold()
            for name in (
                *(server.fqdn for server in organisation.servers),
                *(connector.fqdn for connector in organisation.receive_connectors),
            )
        }
        self._domain_kinds = {domain.name: domain.kind for domain in organisation.accepted_domains}
        self._mailboxes = {mailbox.mailbox_id: mailbox for mailbox in organisation.mailboxes}

    def mailbox(self, mailbox_id: MailboxId) -> Mailbox | None:
        """Find a mailbox by its id."""
        return self._mailboxes.get(mailbox_id)

    def find(self, recipient: str) -> Mailbox | DistributionGroup | None:
        """Find whom an envelope recipient names; also a disabled mailbox."""
        found = self._recipients.get(recipient.casefold())
        if found is not None:
            return found
        try:
            address = parse_address(recipient)
        except Refusal:
            return None
        return self._find(address)

    def _find(self, address: Address) -> Mailbox | DistributionGroup | None:
        key = address.key
        found = self._recipients.get(key)
        if found is None and key == f"postmaster@{address.domain}":
            return self._postmaster(address.domain)
        return found

    def _postmaster(self, domain: str) -> Mailbox | None:
        # RFC 5321 section 4.5.1: postmaster of every domain we serve must be reachable. Where the
        # administrator gave the address to nobody, the first enabled mailbox of that domain takes
        # it, else the first of all; docs/decisions/0004. <Postmaster> without a domain comes with
        # the name of the connector.
        if domain not in self.organisation.domain_names and domain not in self._host_names:
            return None
        enabled = [mailbox for mailbox in self.organisation.mailboxes if mailbox.enabled]
        of_domain = (each for each in enabled if each.address.casefold().endswith("@" + domain))
        return next(of_domain, enabled[0] if enabled else None)

    def judge_recipient(self, connector: ReceiveConnector, address: Address, client: Client) -> None:
        """Allow or refuse a recipient at RCPT.

        Whether a way leads to a domain that is not ours is not asked: without one
        the message waits in the unreachable queue (RT-9).

        Raises:
            Refusal: 550 5.1.1 unknown, 5.2.1 disabled, 5.7.1 relay refused,
                5.1.4 to 5.1.6 domains that the connector does not send to.
        """
        found = self._find(address)
        if found is not None:
            if isinstance(found, Mailbox) and not found.enabled:
                raise Refusal("mailbox is disabled", code=550, status="5.2.1")
            return
        kind = self._domain_kinds.get(address.domain)
        if kind is DomainKind.AUTHORITATIVE:
            raise Refusal("no such recipient here", code=550, status="5.1.1")
        if kind is not None:  # its other mailboxes are elsewhere
            return
        if not client.rights.relay:
            raise Refusal("relay refused: we do not take mail for this domain", code=550, status="5.7.1")
        if connector.reject_reserved_domains:
            _refuse_reserved(address.domain)
        if connector.reject_single_label_domains and "." not in address.domain:
            raise Refusal("recipient's domain has one label only", code=550, status="5.1.6")

    def judge_sender(self, address: Address | None, client: Client) -> None:
        """Allow or refuse a sender at MAIL.

        A signed-in user may send as any address of its own mailbox. The null
        sender is allowed too: a mail client reports "read" with it (RFC 8098
        section 3). Who did not sign in goes by its rights (RC-4).

        Raises:
            Refusal: 550 5.7.1, the client may not send as this address.
        """
        if address is None:
            return
        rights = client.rights
        if client.signed_in is not None and not rights.any_sender:
            found = self._recipients.get(address.key)
            if not isinstance(found, Mailbox) or found.mailbox_id != client.signed_in:
                raise Refusal(
                    "you may not send as this address: it is not one of yours", code=550, status="5.7.1"
                )
            return
        authoritative = self._domain_kinds.get(address.domain) is DomainKind.AUTHORITATIVE
        if authoritative and not rights.own_domain_sender:
            raise Refusal("you may not send as an address of ours", code=550, status="5.7.1")

    def target(self, recipient: str) -> Mailbox | DistributionGroup | Failure:
        """Decide at delivery where a recipient's mail goes."""
        found = self.find(recipient)
        if found is None:
            return Failure("5.1.1", "there is no such recipient any more")
        if isinstance(found, Mailbox) and not found.enabled:
            return Failure("5.2.1", "the mailbox is disabled")
        return found

    def expand(self, group: DistributionGroup, present: tuple[str, ...]) -> tuple[str, ...]:
        """Open a group and the groups inside it.

        Args:
            group: whom to expand; groups that contain each other are opened once.
            present: recipients the message has anyway; their mailboxes are left out.

        Returns:
            Addresses that are not groups; each mailbox at most once.
        """
        seen: set[str] = set()
        for recipient in present:
            found = self.find(recipient)
            if isinstance(found, Mailbox):
                seen.add(found.mailbox_id)
        members: list[str] = []
        opened = {group.address.casefold()}
        waiting = list(reversed(group.members))
        while waiting:
            member = waiting.pop()
            found = self.find(member)
            if isinstance(found, DistributionGroup):
                if found.address.casefold() not in opened:
                    opened.add(found.address.casefold())
                    waiting.extend(reversed(found.members))
                continue
            # Elsewhere the case of a local part may mean something (RFC 5321 section 2.4).
            identity = found.mailbox_id if found is not None else member
            if identity not in seen:
                seen.add(identity)
                members.append(member)
        return tuple(members)


def _refuse_reserved(domain: str) -> None:
    """Refuse what RFC 2606 sets aside, also below it (RC-8)."""
    labels = domain.split(".")
    if labels[-1] in RESERVED_TOP_LEVELS:
        raise Refusal("recipient's top-level domain is reserved", code=550, status="5.1.4")
    if ".".join(labels[-2:]) in RESERVED_SECOND_LEVELS:
        raise Refusal("recipient's domain is reserved", code=550, status="5.1.5")
