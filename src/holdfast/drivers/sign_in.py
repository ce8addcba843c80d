"""Verify passwords off the event loop, since argon2id takes tens of milliseconds on purpose.

At most ``CHECKS_AT_ONCE`` run at a time: each needs tens of megabytes, and
clients that guess must not take the memory from those that work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfast.directory.model import Mailbox, Organisation
from holdfast.drivers.passwords import verify_password
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal, Unavailable
from holdfast.kernel.ids import MailboxId

CHECKS_AT_ONCE = 2


class SignIn:
    """Answers ``CheckPassword`` from the directory database of this server."""

    def __init__(self, directory_path: Path, organisation: Callable[[], Organisation]) -> None:
        self._path = directory_path
        self._organisation = organisation
        self._store: DirectoryStore | None = None
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="sign-in")

    def check(self, user: str, password: str, done: Callable[[MailboxId | None], None]) -> None:
        """Verify a password and call ``done`` in the event loop."""
        loop = asyncio.get_running_loop()
        mailbox = self._organisation().recipients.get(user.casefold())
        mailbox_id = mailbox.mailbox_id if isinstance(mailbox, Mailbox) and mailbox.enabled else None

        def work() -> None:
            try:
                found = mailbox_id if self._verify(mailbox_id, password) else None
            except (Refusal, Unavailable):  # whoever signs in waits for an answer in any case
                found = None
            loop.call_soon_threadsafe(done, found)

        self._threads.submit(work)

    def _verify(self, mailbox_id: MailboxId | None, password: str) -> bool:
        if self._store is None:
            self._store = DirectoryStore.open(self._path, writable=False)
        # Without a mailbox a dummy is verified: the time taken must not tell whether a user exists.
        secret = self._store.secret(mailbox_id) if mailbox_id is not None else None
        return verify_password(secret, password)

    def close(self) -> None:
        """Forget checks that have not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._store is not None:
            self._store.close()
