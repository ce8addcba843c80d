r"""The folders that every mailbox has from the start, and what they are for.

They stand for Exchange's default folders. All are subscribed, and none of them
can be deleted or renamed: clients and later rooms (calendar, out of office,
cleaning) find them by their use and would make second ones. INBOX alone may be
renamed, which moves its messages (RFC 3501 section 6.3.5).

Source: RFC 6154 section 2. It has no use for an outbox, so ours has none.
"""

from __future__ import annotations

INBOX = "INBOX"

SPECIAL_FOLDERS: dict[str, str] = {
    INBOX: "",
    "Drafts": "\\Drafts",
    "Sent Items": "\\Sent",
    "Deleted Items": "\\Trash",
    "Junk": "\\Junk",
    "Outbox": "",
    "Archive": "\\Archive",
}
