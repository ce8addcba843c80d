"""What holds for the whole organisation: its settings, the words of its reports, its back-pressure marks.

Source: exchange-behaviour RC-11, QU-1..9, BP, MT.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from holdfast.directory.about import about


class Resource(enum.Enum):
    """What back pressure looks at (exchange-behaviour BP)."""

    QUEUE_DISK = "queue-disk"  # use of the queue database's file system, percent
    LOG_DISK = "log-disk"  # use of the tracking log's file system, percent
    PROCESS_MEMORY = "process-memory"  # of the transport role, percent of the machine's memory
    SYSTEM_MEMORY = "system-memory"  # of everything on the machine, percent
    SUBMISSION_QUEUE = "submission-queue"  # messages that were taken and have no next hop yet
    UNCOMMITTED = "uncommitted"  # messages that wait for the disk


class ShadowPreference(enum.Enum):
    """Which server keeps the second copy of a message in transit (exchange-behaviour SR13-4)."""

    PREFER_REMOTE = "prefer-remote"  # one in another site, else one in the same
    REMOTE_ONLY = "remote-only"
    LOCAL_ONLY = "local-only"
    OFF = "off"  # there is no second copy


@dataclass(frozen=True, slots=True)
class DsnText:
    """Words of ours in delivery reports, in place of the built-in ones (exchange-behaviour QU-9)."""

    name: str = field(
        metadata=about(
            "language and what it is for: a status code, a class of them, or delayed, delivered, relayed or "
            'expanded; for example "de 5.1.1", "de 5" or "en delayed"'
        )
    )
    text: str = field(
        metadata=about("what the sender reads", unit="lines", source="exchange-behaviour QU-9", most=4000)
    )


@dataclass(frozen=True, slots=True)
class ResourceThreshold:
    """Where back pressure begins and ends for one resource, in place of the built-in marks.

    Source: exchange-behaviour BP. Up and down differ, so that it does not flap.
    """

    resource: Resource = field(metadata=about("what is measured", source="exchange-behaviour BP"))
    medium: float = field(metadata=about("at or above it: mail from outside is put off", unit="mark"))
    high: float = field(metadata=about("at or above it: all mail is put off", unit="mark"))
    high_to_medium: float = field(metadata=about("below it: no longer high", unit="mark"))
    medium_to_low: float = field(metadata=about("below it: no longer medium", unit="mark"))
    history_count: int = field(
        default=1,
        metadata=about(
            "looks in a row before anything is put off; one every two seconds", unit="count", most=10_000
        ),
    )


@dataclass(frozen=True)
class OrganisationSettings:
    """Settings that hold for the whole organisation; ``Organisation`` has them all."""

    name: str = field(default="", metadata=about("how the organisation is called, for people"))
    tracking_subject: bool = field(
        default=True,
        metadata=about("whether subjects are written to the tracking log", source="exchange-behaviour MT"),
    )
    receive_memory_bytes: int = field(
        default=256 << 20,
        metadata=about(
            "how much memory messages may take on one server while they are received; above it senders "
            "are asked to come back later (452 4.3.1)",
            unit="bytes",
        ),
    )
    duplicate_memory_s: float = field(
        default=2 * 86400.0,
        metadata=about(
            "how long a mailbox database knows a delivered message again when it comes a second time",
            unit="seconds",
            source="exchange-behaviour SN-1",
        ),
    )

    message_bytes_max: int = field(
        default=36 << 20,
        metadata=about(
            "the largest message sent or received at all; Exchange's 10 MB refuse what people send today",
            unit="bytes",
            source="exchange-behaviour RC-11",
        ),
    )
    recipient_count_max: int = field(
        default=500,
        metadata=about(
            "recipients of one message of a user", unit="count", source="exchange-behaviour RC-11"
        ),
    )
    glitch_retry_count: int = field(
        default=4,
        metadata=about(
            "quick tries after a next hop failed",
            unit="count",
            source="exchange-behaviour QU-1",
            least=0,
            most=1000,
        ),
    )
    glitch_retry_s: float = field(
        default=60.0,
        metadata=about("between quick tries", unit="seconds", source="exchange-behaviour QU-1"),
    )
    transient_retry_count: int = field(
        default=6,
        metadata=about(
            "slower tries after those", unit="count", source="exchange-behaviour QU-1", least=0, most=1000
        ),
    )
    transient_retry_s: float = field(
        default=300.0,
        metadata=about("between slower tries", unit="seconds", source="exchange-behaviour QU-1"),
    )
    retry_s: float = field(
        default=600.0,
        metadata=about("between all later tries", unit="seconds", source="exchange-behaviour QU-1"),
    )
    message_retry_s: float = field(
        default=900.0,
        metadata=about(
            "before a message that a next hop put off (4xx) is tried again; the others go on",
            unit="seconds",
            source="exchange-behaviour QU-1",
        ),
    )
    idle_resubmit_s: float = field(
        default=43200.0,
        metadata=about(
            "after so long without any delivery a queue is routed anew",
            unit="seconds",
            source="exchange-behaviour QU-2",
        ),
    )
    delay_notice_s: float = field(
        default=14400.0,
        metadata=about(
            "after so long a sender is told that a message waits",
            unit="seconds",
            source="exchange-behaviour QU-3",
        ),
    )
    delay_notice_internal: bool = field(
        default=True,
        metadata=about("whether our own senders are told", source="exchange-behaviour QU-3"),
    )
    delay_notice_external: bool = field(
        default=True,
        metadata=about("whether other senders are told", source="exchange-behaviour QU-3"),
    )
    expiry_s: float = field(
        default=2 * 86400.0,
        metadata=about(
            "after so long a message is returned to its sender",
            unit="seconds",
            source="exchange-behaviour QU-3",
        ),
    )
    poison_count: int = field(
        default=2,
        metadata=about(
            "crashes of the transport role over one message after which it is set aside; 1 to 10",
            unit="count",
            source="exchange-behaviour QU-5",
            most=10,
        ),
    )
    outbound_connection_count_max: int = field(
        default=1000,
        metadata=about("connections out, of one server", unit="count", source="exchange-behaviour QU-7"),
    )
    outbound_connection_rate_max: int = field(
        default=1200,
        metadata=about(
            "new connections out a minute, of one server", unit="count", source="exchange-behaviour QU-7"
        ),
    )
    dsn_language: str = field(
        default="en",
        metadata=about(
            "of delivery reports when neither recipient nor message say one", source="exchange-behaviour QU-9"
        ),
    )
    resolver_addresses: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "DNS servers that are asked, address or address:port; none asks those of the machine",
            unit="IP addresses",
        ),
    )
    resolver_validates: bool = field(
        default=False,
        metadata=about(
            "whether the DNS servers validate DNSSEC and the way to them is safe; needed for DANE. One on "
            "this machine's loopback is trusted anyway",
            source="RFC 7672 section 2.1",
        ),
    )
    dane: bool = field(
        default=True,
        metadata=about("whether DANE is honoured where it is published", source="RFC 7672"),
    )
    mta_sts: bool = field(
        default=True,
        metadata=about("whether MTA-STS is honoured where it is published", source="RFC 8461"),
    )
    tls_reports: bool = field(
        default=False,
        metadata=about("whether daily TLS reports are sent to domains that ask for them", source="RFC 8460"),
    )
    tls_report_contact: str = field(
        default="",
        metadata=about(
            "who is named in TLS reports; empty takes postmaster of the first domain", unit="mail address"
        ),
    )
    sign_in_failure_count_max: int = field(
        default=10,
        metadata=about(
            "failed sign-ins of one account, or of one source, before further ones are refused for a while",
            unit="count",
        ),
    )
    sign_in_lock_s: float = field(
        default=300.0,
        metadata=about("for how long they are refused, counted from the last failure", unit="seconds"),
    )
    shadow_preference: ShadowPreference = field(
        default=ShadowPreference.PREFER_REMOTE,
        metadata=about(
            "which server keeps the second copy of a message in transit: one in another site before one in "
            "the same, only one of them, or none at all",
            source="exchange-behaviour SR13-4",
        ),
    )
    shadow_wait_s: float = field(
        default=5.0,
        metadata=about(
            "how long a sender's 250 waits for the second copy before the message is taken without one, or "
            "put off where protect is required",
            unit="seconds",
            source="exchange-behaviour SR13-1, SR13-3",
        ),
    )
    shadow_heartbeat_s: float = field(
        default=2.0,
        metadata=about(
            "how often servers tell each other that they live; after three that are missing it is silent",
            unit="seconds",
            source="exchange-behaviour SR13-6",
        ),
    )
    shadow_takeover_s: float = field(
        default=180.0,
        metadata=about(
            "how long a server is silent before those that keep copies for it deliver them; 0 means never by "
            "silence, only by an administrator's word or a new queue database",
            unit="seconds",
            source="exchange-behaviour SR13-8",
        ),
    )
    safety_net_hold_s: float = field(
        default=2 * 86400.0,
        metadata=about(
            "how long a delivered message is kept for a mailbox database that asks again after a restore or "
            "a failover; 0 keeps none",
            unit="seconds",
            source="exchange-behaviour SN-1",
        ),
    )
