"""Decide how much TLS a connection out needs, from what the connector and the destination ask for.

Source: exchange-behaviour SC-7, SC-10; RFC 3207; RFC 7672 (DANE); RFC 8461 (MTA-STS).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from holdfast.wire.dns_answers import TlsaRecord


class TlsLevel(enum.Enum):
    """What must hold before a message is sent, from little to much."""

    OPPORTUNISTIC = "opportunistic"  # TLS where it is offered; in the clear when it fails
    ENCRYPTED = "encrypted"  # TLS; any certificate
    VERIFIED = "verified"  # TLS; a valid certificate for one of the names
    DANE = "dane"  # TLS; a certificate that matches the TLSA records


@dataclass(frozen=True, slots=True)
class TlsDemand:
    """What one connection needs.

    Attributes:
        level: see ``TlsLevel``.
        server_name: what is sent as SNI.
        names: for VERIFIED and DANE-TA: the certificate must have one; ``*.`` stands for one label.
        tlsa: for DANE: the usable records.
        why: for people: which rule asks for it, for example ``MTA-STS of example.org``.
        only_report: verification is tried and its failure reported, but mail goes out
            (MTA-STS mode testing).
    """

    level: TlsLevel
    server_name: str
    names: tuple[str, ...] = ()
    tlsa: tuple[TlsaRecord, ...] = ()
    why: str = "opportunistic"
    only_report: bool = False


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a handshake gave.

    Attributes:
        version: for example ``TLSv1.3``.
        cipher: the suite's name.
        verified: whether the demand's names or records are satisfied.
        problem: why not, for people; empty when verified or nothing was asked.
        peer_names: names of the peer's certificate, for a mutual TLS partner and for explanations.
    """

    version: str
    cipher: str
    verified: bool
    problem: str = ""
    peer_names: tuple[str, ...] = ()
