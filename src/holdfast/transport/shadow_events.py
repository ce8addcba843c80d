"""What transport may say in the log about shadow copies, take-over and the Safety Net."""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

PARTNER_READY = declare(
    "TRN-0501",
    Severity.INFO,
    "partner {partner} takes shadow copies: it holds {held_count} of ours, {unprotected_count} of our "
    "messages are unprotected",
    "From now on every new message has a copy there before its sender reads 250. What is unprotected is "
    "copied now, the oldest first; `holdfast message protection` shows how far that is.",
)
PARTNER_LOST = declare(
    "TRN-0502",
    Severity.WARNING,
    "partner {partner} takes no shadow copies: {reason}",
    "Mail goes on. New messages are kept by one server only (*unprotected*), or are put off with 451 4.4.0 "
    "where the receive connector or the domain demands a copy (`protect`). Look whether the other server "
    "runs, whether the network between the two is well, and whether each knows the other's certificate "
    "(`holdfast server show`). It is tried again by itself; event TRN-0501 says when it is back.",
)
COPIES_MISSING = declare(
    "TRN-0503",
    Severity.ERROR,
    "partner {partner} no longer has the copies of {message_count} messages of ours",
    "It came back without its queue database, or with an older one. The messages are here and are delivered; "
    "they have a copy again in a moment. Find out what happened to the disk of the partner.",
)
COPY_REFUSED = declare(
    "TRN-0504",
    Severity.WARNING,
    "partner {partner} could not make a shadow copy: {reason}",
    "Usually its disk is full, or it is under back pressure (`holdfast pressure show` there). Messages that "
    "it cannot copy are kept by one server only, or put off where a copy is demanded.",
)
TAKE_OVER = declare(
    "TRN-0505",
    Severity.WARNING,
    "taking over {message_count} messages of server {server}: {reason}",
    "They are delivered from here now; nothing that the server had acknowledged is lost as far as it had a "
    "copy. If the server lives after all, recipients in our mailboxes get each message once all the same, "
    "and event TRN-0507 there counts what may have gone to others twice.",
)
TAKEN_OVER_HERE = declare(
    "TRN-0506",
    Severity.WARNING,
    "server {server} took over {message_count} messages of ours; {left_count} that waited here are left to "
    "it",
    "It believed that this server was lost: it was declared lost, or was silent for too long. Nothing to do "
    "for the messages. When this server was running all the time, look at the network between the two, and "
    "at `shadow_takeover` of the organisation.",
)
SENT_BY_BOTH = declare(
    "TRN-0507",
    Severity.WARNING,
    "{message_count} messages that server {server} took over had left this server, or were about to: hosts "
    "outside may get them twice",
    "Both servers answered for these messages at the same time. Mailboxes of ours have each once. What both "
    "have handed to hosts outside arrives twice: it has SEND lines in the tracking logs of both servers, "
    "with the same network-message-id.",
)
WRONG_SERVER = declare(
    "TRN-0508",
    Severity.ERROR,
    "a shadow link with {address} is refused: {reason}",
    "Who connected, or whom we connected to, is not the server that its certificate or its address says, or "
    "speaks another version. No message went there. Compare the certificates (`holdfast server show` on both "
    "servers); when a server has a new one, tell the organisation (`holdfast server set NAME "
    "--certificate`).",
)
RESUBMITTED = declare(
    "TRN-0510",
    Severity.INFO,
    "{message_count} messages of the Safety Net are delivered again to mailbox database {database}",
    "Somebody asked for it (`holdfast safety-net resubmit`), or the database came back older than it was. "
    "Mailboxes that have a message already drop the second one; nobody is told.",
)
