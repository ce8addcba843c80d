"""Settings of the whole organisation that contradict themselves are told."""

from __future__ import annotations

import typing

import pytest

from holdfast.directory.checks_settings import check_settings
from holdfast.directory.model import (
    DsnText,
    Mailbox,
    Organisation,
    RequiredTls,
    Resource,
    ResourceThreshold,
    SendTls,
)
from holdfast.kernel.ids import MailboxId

MEMORY = ResourceThreshold(Resource.PROCESS_MEMORY, 72, 75, 73, 71, 30)

CASES: dict[str, tuple[dict[str, typing.Any], list[str]]] = {
    "defaults": ({}, []),
    "no wait": ({"retry_s": 0.0, "expiry_s": 0.0}, ["retry is 0 seconds; give it", "expiry is 0 seconds"]),
    "a notice after the message was returned": (
        {"delay_notice_s": 3 * 86400.0},
        [
            "the organisation: delay_notice is 3d, not shorter than expiry with 2d; a message is returned "
            "before its sender is told that it waits: lower delay_notice or raise expiry"
        ],
    ),
    "a notice with the return": (
        {"delay_notice_s": 172800.0},
        ["delay_notice is 2d, not shorter than expiry"],
    ),
    "a notice for nobody": (
        {"delay_notice_s": 3 * 86400.0, "delay_notice_internal": False, "delay_notice_external": False},
        [],
    ),
    "a return before the second try": ({"expiry_s": 60.0, "delay_notice_s": 30.0}, []),
    "languages": (
        {
            "dsn_language": "German",
            "mailboxes": (
                Mailbox("a@x", MailboxId("a"), "DB", language="pt-BR"),
                Mailbox("b@x", MailboxId("b"), "DB", language="?"),
            ),
        },
        ['dsn_language "German" is not a language; write its code', 'mailbox "b@x": language "?" is not'],
    ),
    "resolvers": (
        {"resolver_addresses": ("192.0.2.53", "[2001:db8::53]:5353", "2001:db8::53", "192.0.2.53:54")},
        [],
    ),
    "odd resolvers": (
        {"resolver_addresses": ("dns.example", "192.0.2.53", "192.0.2.53", "192.0.2.53:0")},
        ['has "dns.example", which is no IP address', 'has "192.0.2.53:0"', "names a server twice"],
    ),
    "many resolvers": (
        {"resolver_addresses": tuple(f"192.0.2.{index}" for index in range(11))},
        ["has 11 servers, more than 10"],
    ),
    "contact": ({"tls_report_contact": "tls@example.com"}, []),
    "odd contact": ({"tls_report_contact": "tls"}, ['tls_report_contact "tls" is not a mail address']),
    "required TLS": (
        {
            "required_tls": (
                RequiredTls("*.example.com"),
                RequiredTls("example.org", SendTls.DOMAIN, "mx.example.org"),
            )
        },
        [],
    ),
    "odd required TLS": (
        {
            "required_tls": (
                RequiredTls("*"),
                RequiredTls("Example.com"),
                RequiredTls("a.example", SendTls.OPPORTUNISTIC),
                RequiredTls("b.example", SendTls.ENCRYPTED, "mx.b.example"),
            )
        },
        [
            '"*" is not a host name',
            "is not in the form in which domains are compared; write example.com",
            'required tls "a.example": has the level opportunistic, which requires nothing',
            'has a tls_domain, but its level is "encrypted"',
        ],
    ),
    "texts": (
        {
            "dsn_texts": (
                DsnText("de 5.1.1", "Diese Adresse\ngibt es nicht."),
                DsnText("en delayed", "It waits."),
                DsnText("pt-BR 5", "x"),
            )
        },
        [],
    ),
    "odd texts": (
        {
            "dsn_texts": (
                DsnText("5.1.1", "x"),
                DsnText("de 3.0.0", "x"),
                DsnText("de late", "x"),
                DsnText("de 5.1.1", " "),
                DsnText("de 5.1.2", "x" * 901),
            )
        },
        [
            'dsn text "5.1.1": its name is not a language and what it is for; write for example "de 5.1.1"',
            'dsn text "de 3.0.0": its name',
            'dsn text "de late": its name',
            "has no text",
            "has a line of more than 900 characters",
        ],
    ),
    "marks": ({"resource_thresholds": (MEMORY,)}, []),
    "marks that never end": (
        {"resource_thresholds": (ResourceThreshold(Resource.UNCOMMITTED, 999, 1500, 1000, 0),)},
        ["medium_to_low is 0; nothing is below 0"],
    ),
    "marks upside down": (
        {"resource_thresholds": (ResourceThreshold(Resource.UNCOMMITTED, 5, 4, 6, 7),)},
        [
            "medium is 5, more than high with 4",
            "medium_to_low is 7, more than medium with 5",
            "high_to_medium is 6, more than high with 4",
            "medium_to_low is 7, more than high_to_medium with 6",
        ],
    ),
    "marks above all": (
        {"resource_thresholds": (ResourceThreshold(Resource.QUEUE_DISK, 96, 101, 97, 94),)},
        ["a mark is 101 percent; use marks up to 100"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_settings(case: str) -> None:
    changes, expected = CASES[case]
    problems = [str(problem) for problem in check_settings(Organisation(**changes))]
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem
