"""A mailbox that cannot be read is said, not counted as empty. Real ones are read in test_drill.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.kernel.errors import Unavailable
from holdfast.lab.load import Place
from holdfast.lab.reading import MailboxAccess, read_mailbox


def test_nobody_listens(free_port: Callable[[], int]) -> None:
    access = MailboxAccess("a@lab.test", Place("mail1", "127.0.0.1", free_port()), "secret")
    with pytest.raises(Unavailable, match=r"cannot read a@lab\.test at mail1"):
        read_mailbox(access, "run")
