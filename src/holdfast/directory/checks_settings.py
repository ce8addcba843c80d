"""Checks of what holds for the whole organisation, and of its lists: required TLS, DSN texts, thresholds."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from holdfast.directory.kinds import subject_of
from holdfast.directory.listening import parse_binding
from holdfast.directory.model import (
    Organisation,
    RequiredTls,
    Resource,
    ResourceThreshold,
    SendTls,
)
from holdfast.directory.references import check_fqdn
from holdfast.directory.values import write_text
from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Problem, Refusal

RESOLVER_COUNT_MAX = 10
TEXT_LINE_CHARACTERS_MAX = 900  # RFC 5322 section 2.1.1 ends at 998 bytes; a report folds nothing
DSN_OCCASIONS = ("delayed", "delivered", "relayed", "expanded")
_ORGANISATION = "the organisation"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # RFC 5646 section 2.1, without what nobody uses
_STATUS = re.compile(r"[245](\.[0-9]{1,3}\.[0-9]{1,3})?")  # RFC 3463 section 2, or its class alone
_PERCENTS = (Resource.QUEUE_DISK, Resource.LOG_DISK, Resource.PROCESS_MEMORY, Resource.SYSTEM_MEMORY)
# A wait of nothing would try for ever, as fast as it goes.
_SPANS_ABOVE_ZERO = (
    "glitch_retry_s",
    "transient_retry_s",
    "retry_s",
    "message_retry_s",
    "idle_resubmit_s",
    "delay_notice_s",
    "expiry_s",
)


def check_settings(organisation: Organisation) -> Iterator[Problem]:
    """The organisation's own settings, and the lists that only they are for."""
    for attribute in _SPANS_ABOVE_ZERO:
        if getattr(organisation, attribute) == 0:
            yield Problem(
                _ORGANISATION, f"{attribute.removesuffix('_s')} is 0 seconds", "give it some time, 1m or more"
            )
    yield from _before_expiry(organisation)
    yield from _language(organisation.dsn_language, "dsn_language", _ORGANISATION)
    for mailbox in organisation.mailboxes:
        if mailbox.language:
            yield from _language(mailbox.language, "language", subject_of(mailbox))
    yield from _resolvers(organisation.resolver_addresses)
    yield from _contact(organisation.tls_report_contact)
    for required in organisation.required_tls:
        yield from _required_tls(required)
    for text in organisation.dsn_texts:
        yield from _dsn_text(text.name, text.text, subject_of(text))
    for threshold in organisation.resource_thresholds:
        yield from _threshold(threshold)


def _before_expiry(organisation: Organisation) -> Iterator[Problem]:
    """A sender is told that a message waits before it comes back (exchange-behaviour QU-3)."""
    notice_s, expiry_s = organisation.delay_notice_s, organisation.expiry_s
    told = organisation.delay_notice_internal or organisation.delay_notice_external
    if told and notice_s >= expiry_s > 0:
        yield Problem(
            _ORGANISATION,
            f"delay_notice is {write_text(notice_s, 'seconds')}, not shorter than expiry with "
            f"{write_text(expiry_s, 'seconds')}",
            "a message is returned before its sender is told that it waits: lower delay_notice or raise "
            "expiry; to tell nobody, set delay_notice_internal and delay_notice_external to no",
        )


def _language(language: str, key: str, subject: str) -> Iterator[Problem]:
    if not _LANGUAGE.fullmatch(language):
        yield Problem(
            subject, f'{key} "{language}" is not a language', "write its code, for example en, de or pt-BR"
        )


def _resolvers(addresses: tuple[str, ...]) -> Iterator[Problem]:
    if len(addresses) > RESOLVER_COUNT_MAX:
        yield Problem(
            _ORGANISATION,
            f"resolver_addresses has {len(addresses)} servers, more than {RESOLVER_COUNT_MAX}",
            "name two or three",
        )
    for text in addresses:
        if parse_binding(text) is not None:
            continue
        try:
            ipaddress.ip_address(text)
        except ValueError:
            yield Problem(
                _ORGANISATION,
                f'resolver_addresses has "{text}", which is no IP address',
                "write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353",
            )
    if len(set(addresses)) != len(addresses):
        yield Problem(_ORGANISATION, "resolver_addresses names a server twice", "take one away")


def _contact(address: str) -> Iterator[Problem]:
    if not address:
        return
    try:
        parse_address(address)
    except Refusal as refusal:
        yield Problem(
            _ORGANISATION,
            f'tls_report_contact "{address}" is not a mail address: {refusal.text}',
            "write name@example.com",
        )


def _required_tls(required: RequiredTls) -> Iterator[Problem]:
    subject = subject_of(required)
    yield from check_fqdn(required.domain.removeprefix("*."), subject, required=True)
    if required.domain != required.domain.lower():
        yield Problem(
            subject,
            "is not in the form in which domains are compared",
            f"write {required.domain.lower()}",
        )
    yield from check_fqdn(required.tls_domain.removeprefix("*."), subject, required=False)
    if required.level is SendTls.OPPORTUNISTIC:
        yield Problem(
            subject,
            "has the level opportunistic, which requires nothing",
            "set the level to encrypted, certificate or domain, or remove the entry",
        )
    if required.tls_domain and required.level is not SendTls.DOMAIN:
        yield Problem(
            subject,
            f'has a tls_domain, but its level is "{required.level.value}"',
            "set the level to domain, or take tls_domain away",
        )


def _dsn_text(name: str, text: str, subject: str) -> Iterator[Problem]:
    language, space, occasion = name.partition(" ")
    if (
        not space
        or not _LANGUAGE.fullmatch(language)
        or not (occasion in DSN_OCCASIONS or _STATUS.fullmatch(occasion))
    ):
        yield Problem(
            subject,
            "its name is not a language and what it is for",
            f'write for example "de 5.1.1", "de 5" or "en delayed"; words are {", ".join(DSN_OCCASIONS)}',
        )
    if not text.strip():
        yield Problem(subject, "has no text", "write it, or remove it to have the built-in one")
    if any(len(line) > TEXT_LINE_CHARACTERS_MAX for line in text.split("\n")):
        yield Problem(
            subject,
            f"has a line of more than {TEXT_LINE_CHARACTERS_MAX} characters",
            "break it into shorter lines",
        )


def _threshold(threshold: ResourceThreshold) -> Iterator[Problem]:
    """Up and down marks in an order in which a resource can rise and fall again (exchange-behaviour BP)."""
    subject = subject_of(threshold)
    low, medium = threshold.medium_to_low, threshold.medium
    falling, high = threshold.high_to_medium, threshold.high
    if not low > 0:
        yield Problem(
            subject, f"medium_to_low is {low:g}", "nothing is below 0, so back pressure would never end"
        )
    for smaller, larger, words in (
        (medium, high, ("medium", "high")),
        (low, medium, ("medium_to_low", "medium")),
        (falling, high, ("high_to_medium", "high")),
        (low, falling, ("medium_to_low", "high_to_medium")),
    ):
        if smaller > larger:
            yield Problem(
                subject,
                f"{words[0]} is {smaller:g}, more than {words[1]} with {larger:g}",
                "let medium_to_low be the lowest and high the highest of the four",
            )
    if threshold.resource in _PERCENTS and max(medium, high, falling, low) > 100:
        yield Problem(
            subject, f"a mark is {max(medium, high, falling, low):g} percent", "use marks up to 100"
        )
