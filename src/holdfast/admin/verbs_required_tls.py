"""The verbs about domains that mail is sent to with TLS only (exchange-behaviour SC-7)."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import Changed, RequiredTlsList, RequiredTlsRow
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import RequiredTls, SendTls
from holdfast.kernel.address import parse_domain
from holdfast.kernel.errors import Refusal


def _require(context: Context, arguments: Arguments) -> Changed:
    domain = _comparable(arguments.text("domain"))
    tls_domain = arguments.optional_text("tls-domain")
    required = RequiredTls(
        domain, SendTls(arguments.text("level")), "" if tls_domain is None else _comparable(tls_domain)
    )
    return context.change(arguments, with_object(context.organisation, required))


def _comparable(text: str) -> str:
    star, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        return star + parse_domain(name)
    except Refusal as refusal:
        raise Refusal(
            f'"{text}" is not a domain: {refusal.text}; write example.com or *.example.com'
        ) from None


def _list(context: Context, arguments: Arguments) -> RequiredTlsList:
    return RequiredTlsList(
        [
            RequiredTlsRow(each.domain, each.level.value, each.tls_domain)
            for each in sorted(context.organisation.required_tls, key=lambda each: each.domain)
        ]
    )


def _remove(context: Context, arguments: Arguments) -> Changed:
    after = without_object(context.organisation, RequiredTls, arguments.text("domain"))
    return context.change(arguments, after)


_DOMAIN = Argument(
    "domain",
    Kind.TEXT,
    "the recipients' domain; *.example.com means it and all below",
    required=True,
    positional=True,
    completes="tls.domains.domain",
)
_LEVELS = tuple(each.value for each in SendTls if each is not SendTls.OPPORTUNISTIC)

VERBS = (
    Verb(
        "tls",
        "require",
        "Send mail to a domain with TLS only, whatever the domain publishes.",
        "holdfast tls require partner.example --level certificate",
        Changed,
        (
            replace(_DOMAIN, completes=""),
            Argument(
                "level",
                Kind.CHOICE,
                "encrypted: any certificate; certificate: one of the host; domain: one of the domain",
                default=SendTls.CERTIFICATE.value,
                choices=_LEVELS,
            ),
            Argument("tls-domain", Kind.TEXT, "for level domain: the name in the certificate, if another"),
            *CHANGE_ARGUMENTS,
        ),
        detail="Takes the place of what was required before. Mail waits, and is returned, rather than sent "
        "with less.",
        changes=True,
        perform=_require,
    ),
    Verb(
        "tls",
        "list",
        "List the domains that mail is sent to with TLS only.",
        "holdfast tls list",
        RequiredTlsList,
        perform=_list,
    ),
    Verb(
        "tls",
        "remove",
        "Require TLS no more for a domain.",
        "holdfast tls remove partner.example --yes",
        Changed,
        (_DOMAIN, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
