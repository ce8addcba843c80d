"""Log events of the access room."""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

SIGNED_IN = declare(
    "ACC-0101",
    Severity.INFO,
    "{user} signed in from {source}",
    "A client gave the right password. Nothing to do.",
)
SIGN_IN_FAILED = declare(
    "ACC-0102",
    Severity.WARNING,
    "sign-in as {user} from {source} failed",
    "A wrong password, or a user that does not exist. A few of these are people who mistype; many from one "
    "source are somebody who guesses. Each further failure makes the next try wait longer; block the source "
    "at the firewall if it does not stop.",
)
SIGN_IN_DELAYED = declare(
    "ACC-0103",
    Severity.WARNING,
    "sign-in as {user} from {source} waits {wait_s} s after too many failures",
    "The source or the account had many failures in the last 15 minutes. The wait ends by itself; a right "
    "password clears it. If a person is locked out, look for a device that still sends an old password.",
)
SESSION_REFUSED = declare(
    "ACC-0104",
    Severity.WARNING,
    "{user} has {session_count} IMAP sessions already; one from {source} was refused",
    "A client opens connections without closing them, or one account is used on very many devices. Close "
    "some of the clients.",
)
CONNECTION_REFUSED = declare(
    "ACC-0106",
    Severity.WARNING,
    "IMAP connections were refused, {refused_count} since this was last said: {reason}; the last came from "
    "{source}",
    "There are as many connections as are allowed, in all or from one source (an IPv4 address, or a /64 of "
    "IPv6). One source with very many is a client that does not close its connections, many users behind one "
    "address, or an attack; block it at the firewall in that case. Said once a minute at most.",
)
SESSION_TIMED_OUT = declare(
    "ACC-0105",
    Severity.INFO,
    "IMAP session from {source} said nothing for {silence_s} s and was closed",
    "Clients that sleep or lose their network end like this. Nothing to do.",
)
DATABASE_LOST = declare(
    "ACC-0201",
    Severity.ERROR,
    "mailbox database {database} went away; {question_count} questions to it were not answered",
    "Mail clients read NO [UNAVAILABLE] until it is back, and try again by themselves. Look at the mailbox "
    "role of the server that holds the database.",
)
DATABASE_BACK = declare(
    "ACC-0202",
    Severity.INFO,
    "mailbox database {database} can be asked",
    "Nothing to do.",
)
