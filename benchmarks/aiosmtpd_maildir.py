"""A maildir for aiosmtpd that is durable before its 250, as all servers of ``relay.py`` are.

Its own handler syncs the file while it is in ``tmp``, and not that it was linked into ``new``: after a power
failure the message is in no mailbox. The folder is synced, too, here.
"""

from __future__ import annotations

import os
from email.message import Message as Letter

from aiosmtpd.handlers import Mailbox


class SyncedMailbox(Mailbox):
    """The same handler, and its folder is synced."""

    def handle_message(self, message: Letter) -> None:
        """Store a message."""
        super().handle_message(message)
        folder = os.open(f"{self.mail_dir}/new", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
