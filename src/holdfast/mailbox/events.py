"""What the mailbox role may say in a log.

Source: the catalogue's rules are in ``kernel.events``.
"""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

CLIENT_MALFORMED = declare(
    "MBX-0101",
    Severity.BROKEN,
    "store client {client_id} was disconnected: {reason}",
    "A process that asks the mailbox role did not speak its protocol. Both are ours, so this is a bug, or "
    "two versions run side by side after an upgrade. Restart the server's roles; report it if it returns.",
)
CLIENT_OVERLOADED = declare(
    "MBX-0102",
    Severity.WARNING,
    "store client {client_id} has {outstanding_count} questions of {outstanding_bytes} bytes open; "
    "further ones are refused until some are answered",
    "The mailbox database is slower than what is asked of it. Transport and access try again by themselves. "
    "If it stays so, look at the disk's latency (iostat) and at free space.",
)
OPERATION_BROKEN = declare(
    "MBX-0201",
    Severity.BROKEN,
    "the mailbox operation {operation} failed and was undone: {reason}",
    "A bug of ours met with one operation. Nothing of it was stored, the others of the same commit were. "
    "Whoever asked was told to try later. Please report it with this line.",
)
DATABASE_UNWRITABLE = declare(
    "MBX-0202",
    Severity.ERROR,
    "the mailbox database {path} cannot be written: {reason}; {operation_count} operations were refused",
    "Most often the disk is full; it may also be failing. What was acknowledged is safe, and mail waits in "
    "the queue. Free space on the file system of the state directory; no restart is needed.",
)
DATABASE_WRITABLE = declare(
    "MBX-0203",
    Severity.INFO,
    "the mailbox database {path} can be written again",
    "A commit succeeded after at least one had failed. Queued mail is delivered by itself.",
)
DATABASE_UNREADABLE = declare(
    "MBX-0204",
    Severity.ERROR,
    "the mailbox database {path} could not be read: {reason}",
    "The file is damaged or the disk is failing. Look at the kernel's log for disk errors, make a copy of "
    "the file, then run `sqlite3 FILE 'PRAGMA integrity_check'` on the copy.",
)
