"""The organisation that the first command makes, so that it gives a running server."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.directory.model import (
    AcceptedDomain,
    ImapListener,
    Mailbox,
    MailboxDatabase,
    Organisation,
    ReceiveConnector,
    Server,
    Site,
    TlsMode,
    Usage,
)
from holdfast.kernel.ids import MailboxId
from holdfast.kernel.iprange import parse_ip_range

ANYBODY = (parse_ip_range("0.0.0.0/0"), parse_ip_range("::/0"))


@dataclass(frozen=True, slots=True)
class DemonstrationPorts:
    """Where the demonstration listens; all above 1023, so that nobody needs to be root."""

    smtp: int = 2525
    submission: int = 2587
    submission_tls: int = 2465
    imap: int = 2143
    imap_tls: int = 2993
    metrics: int = 2090


def demonstration_organisation(
    *, server_name: str, fqdn: str, alice: MailboxId, bob: MailboxId, ports: DemonstrationPorts
) -> Organisation:
    """Declare example.test: one server, mailboxes of Alice and Bob, reachable from this machine alone."""
    return Organisation(
        name="Example",
        sites=(Site("Main", (parse_ip_range("127.0.0.0/8"),)),),
        servers=(
            Server(
                server_name,
                fqdn,
                "Main",
                addresses=("127.0.0.1",),
                imap=(
                    ImapListener(f"127.0.0.1:{ports.imap}", TlsMode.STARTTLS),
                    ImapListener(f"127.0.0.1:{ports.imap_tls}", TlsMode.IMPLICIT),
                ),
                metrics=f"127.0.0.1:{ports.metrics}",
            ),
        ),
        accepted_domains=(AcceptedDomain("example.test"),),
        receive_connectors=(
            _connector("internet", server_name, ports.smtp, Usage.INTERNET, TlsMode.STARTTLS),
            _connector("client", server_name, ports.submission, Usage.CLIENT, TlsMode.STARTTLS),
            _connector("client-tls", server_name, ports.submission_tls, Usage.CLIENT, TlsMode.IMPLICIT),
        ),
        mailbox_databases=(MailboxDatabase("DB01", server_name),),
        mailboxes=(
            Mailbox("alice@example.test", alice, "DB01", display_name="Alice"),
            Mailbox("bob@example.test", bob, "DB01", display_name="Bob"),
        ),
    )


def _connector(name: str, server: str, port: int, usage: Usage, tls: TlsMode) -> ReceiveConnector:
    # On loopback everybody is one source, also a load generator with its hundred sessions: neither
    # the share of one source nor the wait before a refusal would protect anything.
    return ReceiveConnector(
        name,
        server,
        (f"127.0.0.1:{port}",),
        ANYBODY,
        usage,
        tls,
        tarpit_s=0.0,
        connection_percent_per_source=100,
    )
