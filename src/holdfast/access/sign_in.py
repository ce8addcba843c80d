"""Decide who may sign in, and how long a guesser has to wait.

A password travels only over TLS or from this machine itself. A failure is
remembered for the source it came from and for the account it was about; the
first few are free (people mistype), each further one doubles the wait before
the next password is looked at. The memory is bounded: when it is full, the
oldest failure is forgotten first.

Invariant: what a client reads does not tell whether the account exists.

Source: RFC 3501 section 11.2; RFC 4616 for PLAIN; RFC 5530 for the codes.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from holdfast.directory.model import Mailbox, Organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId

FREE_FAILURE_COUNT = 5
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
FORGOTTEN_AFTER_S = 900.0
REMEMBERED_MAX = 20_000
CREDENTIAL_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in: the mailbox, where it is kept, and how much it may hold."""

    address: str
    mailbox_id: MailboxId
    database: str
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class PlainCredentials:
    """What SASL PLAIN carries; ``authorise_as`` is empty for "as myself"."""

    authorise_as: str
    user: str
    password: str


@dataclass(slots=True)
class _Failures:
    count: int
    last_at: float


class FailureMemory:
    """Remembers failed sign-ins and says how long the next try has to wait."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, now: float, source: str, account: str) -> float:
        """Return how long to wait before a password of this account from this source is looked at."""
        return max(
            self._wait_of(now, f"source {source}"), self._wait_of(now, f"account {account.casefold()}")
        )

    def failed(self, now: float, source: str, account: str) -> None:
        """Remember a wrong password."""
        for key in (f"source {source}", f"account {account.casefold()}"):
            failures = self._failures.pop(key, None)
            if failures is None or now - failures.last_at > FORGOTTEN_AFTER_S:
                failures = _Failures(0, now)
            failures.count += 1
            failures.last_at = now
            self._failures[key] = failures
            if len(self._failures) > REMEMBERED_MAX:
                self._failures.popitem(last=False)

    def succeeded(self, source: str, account: str) -> None:
        """Forget the failures: whoever knows the password is not guessing it."""
        self._failures.pop(f"source {source}", None)
        self._failures.pop(f"account {account.casefold()}", None)

    def _wait_of(self, now: float, key: str) -> float:
        failures = self._failures.get(key)
        if failures is None or now - failures.last_at > FORGOTTEN_AFTER_S:
            return 0.0
        excess = failures.count - FREE_FAILURE_COUNT
        if excess < 0:
            return 0.0
        # The exponent is bounded because 2.0 ** 5000 would overflow a float.
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(excess, 16))


def find_mailbox(organisation: Organisation, user: str) -> Mailbox | None:
    """Find the enabled mailbox whose primary address or alias a user name is."""
    holder = organisation.recipients.get(user.casefold())
    if isinstance(holder, Mailbox) and holder.enabled:
        return holder
    return None


def account_of(organisation: Organisation, mailbox_id: MailboxId) -> Account | None:
    """Describe an enabled mailbox for a session, or None when there is no such mailbox (any more)."""
    for mailbox in organisation.mailboxes:
        if mailbox.mailbox_id == mailbox_id and mailbox.enabled:
            return Account(
                mailbox.address, mailbox.mailbox_id, mailbox.database, organisation.quota_bytes(mailbox)
            )
    return None


def is_loopback(address: str) -> bool:
    """Whether a peer is this machine itself, so that nobody can listen in."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def read_credential(data: bytes) -> str:
    """Read a user name or a password.

    Raises:
        Refusal: it is empty, too long, not UTF-8, or holds a NUL.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("user name or password is not UTF-8") from None
    if not text or len(data) > CREDENTIAL_BYTES_MAX or "\0" in text:
        raise Refusal("user name or password is empty, too long or holds a NUL")
    return text


def parse_plain(message: bytes) -> PlainCredentials:
    """Read the message of SASL PLAIN: authorisation identity, NUL, user, NUL, password.

    A message of two fields (user, NUL, password) is read as well, because
    clients of the 1990s and James's scripts send it.

    Raises:
        Refusal: it is not such a message.

    Source: RFC 4616 section 2.
    """
    fields = message.split(b"\0")
    if len(fields) == 2:
        fields = [b"", *fields]
    if len(fields) != 3:
        raise Refusal("not a PLAIN message")
    authorise_as = read_credential(fields[0]) if fields[0] else ""
    return PlainCredentials(authorise_as, read_credential(fields[1]), read_credential(fields[2]))
