"""Decide who a recipient is: a mailbox, a group, somebody we do not serve, or nobody.

Asked twice: at RCPT, where a refusal goes to the client at once, and at delivery,
because the organisation may have changed in between.

Source: exchange-behaviour RC-4; RFC 5321 sections 3.6.1, 4.5.1; RFC 3463 for the codes.
"""

from __future__ import annotations

from holdfast.directory.model import DistributionGroup, Mailbox, Organisation, ReceiveConnector, Usage
from holdfast.kernel.address import Address, parse_address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.transport.queue import Failure


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

    def judge_recipient(self, address: Address, signed_in: MailboxId | None) -> None:
        """Allow or refuse a recipient at RCPT.

        Raises:
            Refusal: 550 5.1.1 unknown, 5.2.1 disabled, 5.7.1 relay refused,
                5.4.4 no way out (a signed-in user sends outside).
        """
        found = self._find(address)
        if isinstance(found, Mailbox) and not found.enabled:
            raise Refusal("mailbox is disabled", code=550, status="5.2.1")
        if found is not None:
            return
        if address.domain in self.organisation.domain_names:
            raise Refusal("no such recipient here", code=550, status="5.1.1")
        if signed_in is None:
            raise Refusal("relay refused: we do not take mail for this domain", code=550, status="5.7.1")
        raise Refusal("no send connector leads to this domain", code=550, status="5.4.4")

    def judge_sender(
        self, connector: ReceiveConnector, address: Address | None, signed_in: MailboxId | None
    ) -> None:
        """Allow or refuse a sender at MAIL.

        A signed-in user may send as any address of its own mailbox. The null
        sender is allowed too: a mail client reports "read" with it (RFC 8098
        section 3). Who did not sign in may name any sender (RC-4), but not
        on a connector for clients.

        Raises:
            Refusal: 530 5.7.0 not signed in, 550 5.7.1 not its own address.
        """
        if signed_in is None:
            if connector.usage is Usage.CLIENT:
                raise Refusal("sign in first", code=530, status="5.7.0")
            return
        if address is None:
            return
        found = self._recipients.get(address.key)
        if not isinstance(found, Mailbox) or found.mailbox_id != signed_in:
            raise Refusal(
                "you may not send as this address: it is not one of yours", code=550, status="5.7.1"
            )

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
            identity = found.mailbox_id if found is not None else member.casefold()
            if identity not in seen:
                seen.add(identity)
                members.append(member)
        return tuple(members)
