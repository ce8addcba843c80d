"""What drivers and daemons may say in a log: ports, the log itself, processes, management.

Source: the catalogue's rules are in ``kernel.events``.
"""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

PORT_NOT_OPENED = declare(
    "DRV-0001",
    Severity.ERROR,
    "{role} does not serve {host} port {port}: {reason}",
    "When another process holds the port, the text names it: stop it, or give the connector or listener "
    "another port (`ss -ltnp` shows all listeners of the machine). When the address cannot be assigned, "
    "it is not one of this machine. Ports below 1024 need a right that the packaged systemd unit gives. "
    "Nothing needs a restart: Holdfast tries again by itself, and serves its other ports meanwhile.",
)
PORT_OPENED_LATE = declare(
    "DRV-0002",
    Severity.INFO,
    "{role} serves {host} port {port} now",
    "What kept the port from being opened (DRV-0001) is gone. Nothing needs to be done.",
)
LOG_LINES_LOST = declare(
    "DRV-0006",
    Severity.WARNING,
    "{lost_count} log lines could not be written and are lost",
    "Where the log goes was full or closed for a while. The service went on. The message tracking log and "
    "the ledger are kept apart from this log and are complete.",
)

ROLE_READY = declare(
    "DRV-0101",
    Severity.INFO,
    "role {role} is ready, listening on: {listening}",
    "The process of this role serves. Nothing needs to be done.",
)
ROLE_ENDED = declare(
    "DRV-0103",
    Severity.ERROR,
    "role {role} ended ({reason}); it is started again in {wait_s} s",
    "A process of Holdfast died. Acknowledged mail is on disk and is taken up again by the next process. "
    "When it happens again and again, look at the lines before this one; a killed process without such a "
    "line usually means that the machine ran out of memory (`journalctl -k`).",
)
ROLE_CANNOT_SERVE = declare(
    "DRV-0104",
    Severity.FATAL,
    "role {role} cannot serve: {reason}",
    "Something outside the process keeps it from serving. The text says what; correct it. The supervisor "
    "tries again with growing waits, so no restart is needed.",
)
ROLE_BROKEN = declare(
    "DRV-0105",
    Severity.BROKEN,
    "role {role} met an error of our own and ends: {error}",
    "This is a bug in Holdfast. The process ends rather than go on with a state that nobody foresaw; it "
    "is started again and takes up what was acknowledged. Please report the whole line.",
)

QUEUE_WRITER_ENDED = declare(
    "DRV-0106",
    Severity.ERROR,
    "the process that writes the queue database ended ({reason}); the transport role ends, too",
    "Nothing could be acknowledged without it. The role is started again at once and takes up what was "
    "acknowledged; senders that had no answer try again. A process that was killed by signal 9 usually means "
    "that the machine ran out of memory (`journalctl -k`).",
)

MANAGEMENT_LISTENING = declare(
    "DRV-0201",
    Severity.INFO,
    "management answers at {path}, organisation revision {revision}",
    "The command line and the roles of this server can reach management. Nothing needs to be done.",
)
MANAGEMENT_REFUSED_PEER = declare(
    "DRV-0202",
    Severity.WARNING,
    "a process {pid} of user {user} was refused at the management socket",
    "Only the user that Holdfast runs as, and root, may manage this server. Use `sudo`, or run the "
    "command as that user.",
)
METRICS_LISTENING = declare(
    "DRV-0203",
    Severity.INFO,
    "metrics can be read at http://{address}/metrics",
    "Point Prometheus at this address. `metrics` of the server changes it; empty switches it off.",
)
CHANGE_APPLIED = declare(
    "DRV-0204",
    Severity.INFO,
    "{who} changed the organisation to revision {revision}: {changes}",
    "The change log has the whole of it: `holdfast organisation history`.",
)
ORGANISATION_WRONG = declare(
    "DRV-0209",
    Severity.WARNING,
    "the stored organisation has something wrong: {problem}",
    "An earlier version took it, or the file was changed by other means. The server goes by what is "
    "stored; the text says what to do. Other changes can be made meanwhile. All that is wrong is listed by "
    "`holdfast organisation check`.",
)
ROLE_CONNECTED = declare(
    "DRV-0205",
    Severity.INFO,
    "role {role} (process {pid}) is connected to management and works with revision {revision}",
    "Nothing needs to be done.",
)
ROLE_BEHIND = declare(
    "DRV-0206",
    Severity.WARNING,
    "role {role} (process {pid}) has not applied revision {revision} within {waited_s} s",
    "The change is stored, and the role applies it as soon as it can; until then it works with the "
    "revision before. When it stays so (`holdfast status`), look at the role's own log lines.",
)
VERB_BROKEN = declare(
    "DRV-0208",
    Severity.BROKEN,
    "the verb {verb} met an error of our own: {error}",
    "This is a bug in Holdfast. Nothing was changed, and management goes on. Please report the whole line.",
)
DIRECTORY_UNREADABLE = declare(
    "DRV-0207",
    Severity.ERROR,
    "role {role} cannot read the organisation: {reason}",
    "The role goes on with the organisation that it has. The text says what is wrong with the directory "
    "database; changes take effect once it can be read again, `holdfast organisation check` looks at it.",
)

DATABASE_NOT_OPENED = declare(
    "DRV-0301",
    Severity.ERROR,
    "mailbox database {database} is not served: {reason}; tried again every {wait_s} s",
    "The text says what is wrong with the file. Its mailboxes cannot be read now, and mail for them waits "
    "in the queue; the other databases are served. Restore the file from a backup when it is damaged; no "
    "restart is needed.",
)

DNS_SILENT = declare(
    "DRV-0370",
    Severity.WARNING,
    "no DNS server answers ({servers}): {reason}",
    "Mail to destinations whose names are not known already waits, and is tried again by itself; mail to our "
    "own mailboxes goes on. Ask one of the servers by hand (`dig @ADDRESS example.org MX`), and look at what "
    "lies between. `resolver_addresses` of the organisation says which servers are asked; without it they "
    "are those of /etc/resolv.conf. DRV-0371 says when one answers.",
)
DNS_ANSWERS_AGAIN = declare(
    "DRV-0371",
    Severity.INFO,
    "DNS answers again ({servers})",
    "Mail that waited for names goes on by itself. Nothing to do.",
)

HANDSHAKE_FAILED = declare(
    "DRV-0320",
    Severity.INFO,
    "no TLS with the client {address} at {place}: {reason}; {unsaid_count} others since the last such line",
    "The client ended the handshake or could not agree with us. Scanners do that all day. When it is a "
    "sender or a mail program that you know: `certificate unknown` and `unknown ca` mean that it does not "
    "trust our certificate (put one of a known authority into `tls/` of the state directory); `no shared "
    "cipher` and `unsupported protocol` mean that it is too old for TLS 1.2; a client's certificate that is "
    "not valid is refused at connectors with `client_certificate_domains`. One line a minute at most.",
)
CERTIFICATE_UNUSABLE = declare(
    "DRV-0321",
    Severity.ERROR,
    "the certificate {path} cannot be used: {reason}",
    "Another certificate is shown in its place, the self-signed one at last, so that TLS is still offered. "
    "Each `NAME.pem` in `tls/` of the state directory needs its key in the same file or in `NAME.key.pem`. "
    "Correct the files and run `holdfast certificate list`; no restart is needed.",
)
CERTIFICATE_EXPIRES = declare(
    "DRV-0322",
    Severity.WARNING,
    "the certificate {path}, shown at {connector}, is valid until {not_after}: {days} days",
    "Renew it: partners that verify certificates will send nothing once it is over. Put the new pair into "
    "`tls/` of the state directory beside the old one; the newer one is chosen by itself.",
)
SERVER_CERTIFICATE_UNKNOWN = declare(
    "DRV-0324",
    Severity.ERROR,
    "this server's certificate {path} is not one by which the other servers know it: SHA-256 {sha256}",
    "Mail between this server and the others waits, because each takes the other for a stranger. Either put "
    "the old certificate and its key beside the new one in `tls/` of the state directory, or run `holdfast "
    "server certificate` here and `holdfast server trust NAME FILE` with what it printed, on every server.",
)
SERVER_REFUSED = declare(
    "DRV-0325",
    Severity.ERROR,
    "a client at {address}, where a server of ours is, did not prove at {place} to be it: {reason}; "
    "{unsaid_count} others since the last such line",
    "It was not taken for a server of ours. Usually that server has a new certificate: run `holdfast server "
    "certificate` there, compare its SHA-256, and run `holdfast server trust NAME FILE` here and on the "
    "others. If its certificate has not changed, somebody else uses its address. One line a minute at most.",
)
FILE_NOT_KEPT = declare(
    "DRV-0323",
    Severity.WARNING,
    "{path} cannot be written below the state directory: {reason}",
    "Mail goes on. After a restart MTA-STS policies are fetched anew, and counts for TLS reports are lost. "
    "Usually the disk is full.",
)
