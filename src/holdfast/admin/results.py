"""What the verbs give back: typed, stable, the same for ``--json``, tables and other screens.

Field names carry their units: ``_bytes``, ``_s``, ``_at`` (seconds since the
epoch). A field that holds a list of structures is shown as a table.
"""

from __future__ import annotations

import msgspec


class Result(msgspec.Struct, frozen=True):
    """Base of all results; a plain object in JSON."""


class ProblemRow(Result, frozen=True):
    """One thing that is wrong, and what to do."""

    subject: str
    text: str
    advice: str


class Changed(Result, frozen=True):
    """What a change did, or would do when ``applied`` is false (``--plan``).

    ``opens`` says which further hosts may send anywhere without a password.
    """

    applied: bool
    revision: int
    changes: list[str]
    dangers: list[str]
    opens: list[str] = []


class MailboxAdded(Result, frozen=True):
    """A new mailbox. ``password`` is there when it was made up: it is shown this once."""

    applied: bool
    revision: int
    address: str
    mailbox_id: str
    database: str
    changes: list[str]
    password: str | None = None


class PasswordSet(Result, frozen=True):
    """A password was set. ``password`` is there when it was made up: it is shown this once."""

    address: str
    password: str | None = None


class PasswordsSet(Result, frozen=True):
    """How many mailboxes have a new password."""

    mailbox_count: int


class Text(Result, frozen=True):
    """A text to print or to save."""

    text: str


class OrganisationShown(Result, frozen=True):
    """The organisation in numbers."""

    name: str
    revision: int
    site_count: int
    server_count: int
    accepted_domains: list[str]
    receive_connector_count: int
    send_connector_count: int
    database_count: int
    mailbox_count: int
    group_count: int
    tracking_subject: bool
    duplicate_memory_s: float


class HistoryRow(Result, frozen=True):
    """One entry of the change log."""

    revision: int
    at: float
    who: str
    why: str
    changes: list[str]


class History(Result, frozen=True):
    """The change log, newest first."""

    entries: list[HistoryRow]


class Checked(Result, frozen=True):
    """What is wrong with the organisation as it is."""

    revision: int
    problem_count: int
    problems: list[ProblemRow]


class MailboxRow(Result, frozen=True):
    """One mailbox in a list; size and messages are empty while its database does not answer."""

    address: str
    display_name: str
    database: str
    enabled: bool
    quota_bytes: int
    size_bytes: int | None
    message_count: int | None


class MailboxList(Result, frozen=True):
    """Mailboxes by address."""

    mailboxes: list[MailboxRow]


class MailboxShown(Result, frozen=True):
    """All of one mailbox."""

    address: str
    mailbox_id: str
    display_name: str
    aliases: list[str]
    database: str
    enabled: bool
    quota_bytes: int
    quota_from: str
    has_password: bool
    groups: list[str]
    size_bytes: int | None
    message_count: int | None
    language: str = ""


class GroupRow(Result, frozen=True):
    """One distribution group."""

    address: str
    aliases: list[str]
    members: list[str]


class GroupList(Result, frozen=True):
    """Distribution groups by address."""

    groups: list[GroupRow]


class DomainRow(Result, frozen=True):
    """One accepted domain, who has its mailboxes, and how many addresses of ours are in it."""

    name: str
    kind: str
    address_count: int
    protect: str


class DomainList(Result, frozen=True):
    """Accepted domains by name."""

    domains: list[DomainRow]


class SiteRow(Result, frozen=True):
    """One site with its subnets and servers."""

    name: str
    subnets: list[str]
    servers: list[str]
    hub: bool = False


class SiteList(Result, frozen=True):
    """Sites by name."""

    sites: list[SiteRow]


class SiteLinkRow(Result, frozen=True):
    """One link between sites; without a limit larger messages pass too."""

    name: str
    sites: list[str]
    cost: int
    message_size_max_bytes: int | None


class SiteLinkList(Result, frozen=True):
    """Site links by name."""

    links: list[SiteLinkRow]


class ServerRow(Result, frozen=True):
    """One server."""

    name: str
    fqdn: str
    site: str
    roles: list[str]
    addresses: list[str]
    known: bool


class ServerList(Result, frozen=True):
    """Servers by name."""

    servers: list[ServerRow]


class ServerShown(Result, frozen=True):
    """All of one server, with what listens on it."""

    name: str
    fqdn: str
    site: str
    roles: list[str]
    addresses: list[str]
    smtp: list[str]
    imap: list[str]
    metrics: str
    databases: list[str]
    certificates: list[str]


class DatabaseRow(Result, frozen=True):
    """One mailbox database; its size is empty while it does not answer."""

    name: str
    server: str
    mailbox_count: int
    size_bytes: int | None
    message_count: int | None


class DatabaseList(Result, frozen=True):
    """Mailbox databases by name."""

    databases: list[DatabaseRow]


class DatabaseShown(Result, frozen=True):
    """All of one mailbox database."""

    name: str
    server: str
    mailbox_count: int
    size_bytes: int | None
    message_count: int | None
    warn_bytes: int
    prohibit_send_bytes: int
    prohibit_send_receive_bytes: int


class ConnectorRow(Result, frozen=True):
    """One connector in a list; ``where`` are bindings, or address spaces of a send connector.

    ``peers`` are the remote ranges of a receive connector, the smart hosts of a send connector.
    """

    name: str
    direction: str
    enabled: bool
    server: str
    where: list[str]
    peers: list[str]
    usage: str
    tls: str


class ConnectorList(Result, frozen=True):
    """Receive connectors, then send connectors."""

    connectors: list[ConnectorRow]


class SettingRow(Result, frozen=True):
    """One setting of an object, as text."""

    name: str
    value: str


class BindingRow(Result, frozen=True):
    """One binding of a receive connector; ``open``: yes, no, or not known, with the reason."""

    binding: str
    open: str
    reason: str


class ConnectorShown(Result, frozen=True):
    """All settings of one connector, and whether it is open on the server that was asked."""

    name: str
    direction: str
    certificate: str
    settings: list[SettingRow]
    bindings: list[BindingRow] = []


class RelayAllowed(Result, frozen=True):
    """What a relay connector opens, in plain words, and what was changed for it."""

    applied: bool
    revision: int
    opens: list[str]
    changes: list[str]
    dangers: list[str]


class ConnectorPasswordSet(Result, frozen=True):
    """Whether a send connector has a password for its smart hosts now."""

    name: str
    has_password: bool


class RequiredTlsRow(Result, frozen=True):
    """One domain that mail is sent to with TLS only; ``tls_domain`` is the name in the certificate."""

    domain: str
    level: str
    tls_domain: str


class RequiredTlsList(Result, frozen=True):
    """Required TLS by domain."""

    domains: list[RequiredTlsRow]


class DsnTextRow(Result, frozen=True):
    """One text of ours in delivery reports, line by line."""

    name: str
    lines: list[str]


class DsnTextList(Result, frozen=True):
    """Texts of delivery reports by name."""

    texts: list[DsnTextRow]


class ThresholdRow(Result, frozen=True):
    """The marks of one resource, percent or messages; ``look_count`` looks in a row decide."""

    resource: str
    medium: float
    high: float
    high_to_medium: float
    medium_to_low: float
    look_count: int


class ThresholdList(Result, frozen=True):
    """The marks that take the place of built-in ones."""

    thresholds: list[ThresholdRow]


class OrganisationSettingRow(Result, frozen=True):
    """One setting of the whole organisation, with the reason of its default."""

    name: str
    value: str
    default: str
    reason: str


class OrganisationSettingList(Result, frozen=True):
    """The settings that hold for the whole organisation."""

    settings: list[OrganisationSettingRow]


class TrackedRow(Result, frozen=True):
    """One line of the message tracking log (exchange-behaviour MT)."""

    at: float
    event: str
    source: str
    sender: str
    recipients: list[str]
    subject: str
    size_bytes: int
    status: str
    network_message_id: str
    message_id: str


class Tracked(Result, frozen=True):
    """What the tracking log says, oldest first; not complete when the limit cut it."""

    rows: list[TrackedRow]
    complete: bool


class UnaccountedRow(Result, frozen=True):
    """A recipient of an accepted message of whom nothing is known: this must not be."""

    network_message_id: str
    recipient: str


class Ledger(Result, frozen=True):
    """accepted = delivered + relayed + transferred_out + queued + bounced + dropped, counted in recipients.

    ``transferred_in`` is a part of accepted: what another server of ours had before. Of the messages behind
    ``queued``: how many another server has, too, and how many should be and are not.
    """

    accepted: int
    delivered: int
    relayed: int
    transferred_out: int
    queued: int
    bounced: int
    dropped: int
    transferred_in: int
    unaccounted: int
    missing: list[UnaccountedRow]
    protected_message_count: int = 0
    unprotected_message_count: int = 0
    unprotected_since_at: float | None = None


class RoleRow(Result, frozen=True):
    """One role process; without a process id it is not running or not connected."""

    role: str
    state: str
    pid: int | None
    uptime_s: float | None
    restart_count: int | None
    revision: int | None
    ports: str
    detail: str


class Status(Result, frozen=True):
    """This server and its roles; what waits in the queues is not known while transport does not answer."""

    server: str
    version: str
    home: str
    revision: int
    queued_message_count: int | None
    waiting_queue_count: int | None
    back_pressure: str
    roles: list[RoleRow]


class Explained(Result, frozen=True):
    """One event of the log catalogue."""

    event_id: str
    severity: str
    text: str
    advice: str


class Version(Result, frozen=True):
    """Which Holdfast this is, on which Python."""

    version: str
    python: str


class Nothing(Result, frozen=True):
    """A program was run; there is nothing to show."""
