"""Read every mailbox of a drill by IMAP, as its owner would, and count what is in it."""

from __future__ import annotations

import contextlib
import imaplib
import re
import ssl
from collections import Counter
from dataclasses import dataclass

from holdfast.kernel.errors import Unavailable
from holdfast.lab.load import HEADER, Place

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class MailboxAccess:
    """A mailbox, where IMAP with TLS from the first byte serves it, and its password."""

    address: str
    place: Place
    password: str


def read_mailbox(access: MailboxAccess, run: str) -> Counter[int]:
    """Count the letters of one drill in one mailbox, by number.

    Raises:
        Unavailable: it cannot be read.
    """
    place = access.place
    # Self-signed, and the lab's own: nothing is proved by it here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    wanted = re.compile(
        rb"^" + HEADER.encode() + rb": " + re.escape(run).encode() + rb" ([0-9]{1,12})\s*$", re.M
    )
    found: Counter[int] = Counter()
    try:
        client = imaplib.IMAP4_SSL(place.address, place.port, ssl_context=context, timeout=TIMEOUT_S)
        try:
            client.login(access.address, access.password)
            _, count = client.select("INBOX", readonly=True)
            if not int(count[0] or 0):
                return found
            _, answer = client.fetch("1:*", f"(BODY.PEEK[HEADER.FIELDS ({HEADER})])")
            for part in answer:
                if isinstance(part, tuple) and (match := wanted.search(part[1])):
                    found[int(match[1])] += 1
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                client.logout()
    except (OSError, imaplib.IMAP4.error, ValueError) as error:
        raise Unavailable(f"cannot read {access.address} at {place.server}: {error}") from None
    return found
