"""What transport may say in the log."""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

SERVER_NOT_PROVEN = declare(
    "TRN-0340",
    Severity.ERROR,
    "what answers at {address} does not prove to be server {server} of ours: {reason}; mail for it waits",
    "Nothing was sent to it, neither in the clear nor under TLS. Usually that server has a new certificate: "
    "run `holdfast server certificate` there, compare its SHA-256, and run `holdfast server trust NAME FILE` "
    "here. If its certificate has not changed, find out who answers in its place.",
)
SERVER_WITHOUT_CERTIFICATE = declare(
    "TRN-0341",
    Severity.WARNING,
    "the directory has no certificate of server {server}: mail to it goes as to a stranger, under any TLS",
    "It is believed to be itself because of its address, and mail between it and this server has no second "
    "copy and begins its age anew. Run `holdfast server certificate` there and `holdfast server trust NAME "
    "FILE` here. Said once after each start.",
)
MESSAGE_DUPLICATE = declare(
    "TRN-0101",
    Severity.INFO,
    "second try of message {network_message_id} from {client_ip} answered without a second copy",
    "The sender did not read our first 250 (its connection broke, or this server was stopped by force) and "
    "sent the message again. It has its answer now and its recipients have one copy. Nothing to do. Many of "
    "these from one sender mean that connections from it break: look at the network in between.",
)
QUEUE_NOT_WRITABLE = declare(
    "TRN-0102",
    Severity.ERROR,
    "queue database cannot be written: {reason}; new mail gets 452 until it can",
    "Nothing that was acknowledged is lost and senders try again by themselves. Usually the disk is full: "
    "make room on the file system of the state directory (the tracking logs in it may be moved away). It "
    "recovers by itself; event TRN-0103 says when.",
)
QUEUE_WRITABLE = declare(
    "TRN-0103",
    Severity.INFO,
    "queue database can be written again",
    "Mail is taken again. If it happens often, give the state directory a larger file system.",
)
QUEUE_FOUND = declare(
    "TRN-0104",
    Severity.INFO,
    "{message_count} messages found in the queue at start, {uncertain_count} of uncertain acknowledgement",
    "The messages were accepted before the stop and are delivered now. Of uncertain acknowledgement are "
    "messages whose sender may not have read our 250; if it sends them again they are not delivered twice.",
)
STORE_LOST = declare(
    "TRN-0201",
    Severity.WARNING,
    "mailbox database {database} went away; {message_count} messages wait for it",
    "Mail for it stays in the queue and is delivered when the mailbox role answers again; messages that it "
    "had taken but not confirmed are sent again and recognised. If it stays away, look at the mailbox role's "
    "log and at the free space of its disk.",
)
DELIVERY_REFUSED = declare(
    "TRN-0202",
    Severity.WARNING,
    "mailbox database {database} did not take {message_count} messages: {reason}; next try in {wait_s} s",
    "The messages wait and are tried again with growing waits (at most five minutes) for two days; then "
    "their senders get a bounce. The reason tells what the mailbox database lacks; often disk space.",
)
RECIPIENT_FAILED = declare(
    "TRN-0203",
    Severity.WARNING,
    "message {network_message_id} not delivered to {recipient}: {status} {reason}",
    "The recipient was valid when the message was accepted and cannot be served now. Its sender gets a "
    "bounce if it is one of our users. Search for the message with `holdfast message track`.",
)
BOUNCE_NOT_SENT = declare(
    "TRN-0204",
    Severity.WARNING,
    "no bounce for message {network_message_id}: {reason}",
    "The message failed and nobody could be told: it came from the null sender (it was a bounce itself), or "
    "its sender is not one of our users and no send connector leads to it. The ledger counts it as bounced "
    "and the tracking log has FAIL and DROP with the reason.",
)
MESSAGE_UNREADABLE = declare(
    "TRN-0205",
    Severity.ERROR,
    "data of queued message {network_message_id} cannot be read; next try in {wait_s} s",
    "The queue database is on a disk that does not answer or is damaged. The message stays in the queue. "
    "Check the disk, and the kernel log for I/O errors.",
)
MESSAGE_CROWDED_OUT = declare(
    "TRN-0206",
    Severity.WARNING,
    "a message from {source} was put off (452): messages being received take {held_bytes} bytes",
    "Many large messages come at the same time. Their senders try again by themselves and nothing is lost. "
    "When it happens often and the machine has memory to spare, raise `receive_memory` of the organisation; "
    "when one source does it, give its connector a smaller message size or fewer connections.",
)
NEXT_HOP_UNREACHABLE = declare(
    "TRN-0330",
    Severity.WARNING,
    "queue {queue} with {message_count} messages cannot reach its next hop: {reason}; next try in {wait_s} s",
    "The messages wait and are tried again: four times after a minute, six times after five minutes, then "
    "every ten minutes, for two days. `holdfast queue list` shows the queue, `holdfast queue retry` tries at "
    "once, `holdfast queue redirect` sends it another way. If the reason names DNS, TLS or a sign-in, that "
    "is what to look at.",
)
ANSWER_LOST = declare(
    "TRN-0331",
    Severity.WARNING,
    "{host} may have message {network_message_id} although it did not say so ({reason}); it is sent again",
    "The connection broke between the end of the message and the answer to it. Nobody can know whether the "
    "next hop has it (RFC 1047), so it is sent once more; its recipients may get it twice. Many of these "
    "from one host mean that it takes too long to answer, or that something in between cuts connections.",
)
DUPLICATES_POSSIBLE = declare(
    "TRN-0332",
    Severity.WARNING,
    "{message_count} messages were being handed to next hops when this server was stopped by force; they are "
    "sent again",
    "The next hop may have taken them in the last moment, and we could not write that down. Their recipients "
    'may get them twice; the tracking log names each (DEFER, "may be delivered twice"). Nothing to do.',
)
QUEUE_ROUTED_ANEW = declare(
    "TRN-0333",
    Severity.INFO,
    "queue {queue} with {message_count} messages delivered nothing for long and is routed anew",
    "Nothing left by it for `idle_resubmit` of the organisation. Each message goes where today's "
    "organisation leads it, which may be the same queue. If it is, look at its last error with "
    "`holdfast queue list`.",
)
MESSAGE_POISON = declare(
    "TRN-0334",
    Severity.ERROR,
    "message {network_message_id} is set aside: the transport role died {crash_count} times while it was at "
    "work on it",
    "This is our fault: please report it with the message (`holdfast message export`) and the log of the "
    "crashes. It waits in the poison queue and is neither tried nor returned until you release it "
    "(`holdfast queue release`) or remove it (`holdfast queue remove`). All other mail goes on.",
)
RESOURCE_MEDIUM = declare(
    "TRN-0400",
    Severity.WARNING,
    "{resource} is short: {value} {unit} (mark {mark}), level medium, was {before}",
    "A resource runs short, and the server takes less mail so that it can go on with what it has: mail from "
    "outside is put off with 452 4.3.1, at once or after a while (`holdfast pressure show` says which), and "
    "senders come back by themselves. Make room: for queue-disk and log-disk delete or move files of that "
    "disk, or shorten how long the tracking log is kept; for memory look which program takes it; for "
    "submission-queue and uncommitted look at the disk's speed and at `holdfast queue list`. The marks are "
    "settings: `holdfast threshold list`.",
)
RESOURCE_HIGH = declare(
    "TRN-0401",
    Severity.ERROR,
    "{resource} is nearly used up: {value} {unit} (mark {mark}), level high, was {before}",
    "As TRN-0400, and now mail of our own users and servers is put off too (452 4.3.1), since the next "
    "message might be one too many. Nothing that was accepted is lost. Make room at once; the server takes "
    "mail again by itself as soon as the value is below its lower mark.",
)
RESOURCE_LOW = declare(
    "TRN-0402",
    Severity.INFO,
    "{resource} is no longer short: {value} {unit} (below {mark}), was {before}",
    "The level of a resource is low again. Nothing to do; when it comes and goes every day, the machine is "
    "too small for its mail.",
)
MAIL_PUT_OFF = declare(
    "TRN-0403",
    Severity.ERROR,
    "mail from {whom} is put off (452 4.3.1): {reason}",
    "Back pressure has begun to refuse mail: from outside, or from everybody, our users included. Senders "
    "keep their messages and come back; mail clients show the refusal to their user. Make room as TRN-0400 "
    "says for the resource that is named.",
)
MAIL_TAKEN_AGAIN = declare(
    "TRN-0404",
    Severity.INFO,
    "mail is taken again from everybody",
    "Back pressure has ended. What was put off arrives as its senders try again, within minutes to hours.",
)
HOST_DOWN = declare(
    "TRN-0370",
    Severity.WARNING,
    "next hop {host} ({address} port {port}) cannot be used: {reason}; it is tried again in {retry_s} s",
    "A smart host, or another server of yours, does not answer or does not want us. Mail goes to the others "
    "of its preference, and to the next preference when all of these are down; nothing is lost meanwhile. It "
    "is tried again by itself, and TRN-0371 says when it is back. `holdfast queue show` has the state of all "
    "hosts of a queue.",
)
HOST_UP = declare(
    "TRN-0371",
    Severity.INFO,
    "next hop {host} ({address} port {port}) can be used again after {down_s} s",
    "Mail goes there again, and hosts of a later preference that stood in are no longer used. Nothing to do.",
)
SIGN_IN_LOCKED = declare(
    "TRN-0301",
    Severity.WARNING,
    "too many failed sign-ins of {user} from {source}; further ones are refused for {lock_s} s",
    "Somebody guesses passwords, or a device still has an old one. The account is locked for others as well "
    "until the time is over; the right password does not help before. Who guesses from one address can be "
    "kept out by the remote ranges of the connector. The limits are `sign_in_failure_count_max` and "
    "`sign_in_lock` of the organisation.",
)
BALANCER_SILENT = declare(
    "TRN-0302",
    Severity.WARNING,
    "balancer {source} did not say who its client is: {reason}",
    "The address is one of `proxy_from` of a receive connector, so each connection from it must begin with a "
    "header of the PROXY protocol; this one did not and was closed. Switch the protocol on at the balancer "
    "(`send-proxy` or `send-proxy-v2`), or take the address out of `proxy_from`. This is said at most once a "
    "minute.",
)
PLAIN_PYTHON = declare(
    "TRN-0303",
    Severity.INFO,
    "messages are taken and handed on by plain Python and not by compiled code: {reason}",
    "Everything works, with fewer messages a second; a server of a few thousand mailboxes does not notice. "
    "`make compiled`, or `python packaging/compile.py` with the Python that runs Holdfast, compiles it (it "
    "needs a C compiler); it takes effect at the next start of the role.",
)
