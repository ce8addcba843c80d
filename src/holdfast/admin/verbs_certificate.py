"""The verbs about certificates: which there are, until when, and which door shows which and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.admin.catalogue import Arguments, Verb
from holdfast.admin.context import Context
from holdfast.admin.results_explain import CertificateList, CertificateRow
from holdfast.directory.kinds import subject_of
from holdfast.directory.model import Organisation, ReceiveConnector
from holdfast.kernel.errors import Unavailable

if TYPE_CHECKING:
    from holdfast.certificates.choose import CertificateFacts
    from holdfast.drivers.certificate_store import DoorCertificate

SOON_S = 14 * 86_400.0
SERVER = "(server)"  # the door without a connector: IMAP


def _doors(context: Context, organisation: Organisation) -> tuple[DoorCertificate, ...]:
    from holdfast.drivers.certificate_store import describe

    home, name = context.surroundings.home, context.surroundings.server_name
    return describe(home, organisation, name)


def certificate_of(context: Context, connector: str) -> str:
    """The certificate that a receive connector of this server shows and why, in a sentence.

    Empty for a connector of another server; the reason when none can be used.
    """
    try:
        doors = _doors(context, context.organisation)
    except Unavailable as error:
        return f"none: {error.text}"
    found = next((each for each in doors if each.connector == connector), None)
    if found is None or not connector:
        return ""
    facts = found.choice.certificate
    if facts is None:
        return f"none: {found.choice.why}"
    return f"{facts.path} ({', '.join(facts.names)}): {found.choice.why}; {_until(facts, context.now)}"


def warn_of_pin(context: Context, after: Organisation, connector: ReceiveConnector) -> None:
    """Warn where a receive connector of this server pins a certificate that is not here.

    No reason to refuse: it may be put here later, and of other servers we do not know what they have.
    """
    from holdfast.certificates.choose import is_pinned

    own = after.own_server(context.surroundings.server_name)
    if not connector.certificate or own is None or connector.server != own.name:
        return
    try:
        doors = _doors(context, after)
    except Unavailable as error:
        shown, known = f"none can be shown: {error.text}", []
    else:
        choice = next(each.choice for each in doors if each.connector == connector.name)
        known = [
            each for each in (choice.certificate, *(one for one, _ in choice.others)) if each is not None
        ]
        shown = "none is shown" if choice.certificate is None else f"{choice.certificate.path} is shown"
    if not any(is_pinned(each, connector.certificate) for each in known):
        context.warnings.append(
            f'{subject_of(connector)} pins the certificate "{connector.certificate}", which is not on this '
            f"server; until it is put into its folder tls, {shown}; see: holdfast certificate list"
        )


def _until(facts: CertificateFacts, now: float) -> str:
    days = (facts.not_after - now) / 86_400.0
    return f"it expired {-days:.0f} days ago" if days < 0 else f"it expires in {days:.0f} days"


def _list(context: Context, arguments: Arguments) -> CertificateList:
    doors = _doors(context, context.organisation)
    found: dict[str, CertificateFacts] = {}
    for door in doors:
        for facts in (door.choice.certificate, *(each for each, _ in door.choice.others)):
            if facts is not None:
                found[facts.path] = facts
    rows = [_row(context, facts, doors) for facts in found.values()]
    for row in rows:
        if row.expires_in_s < SOON_S:
            word = "has expired" if row.expires_in_s < 0 else "expires within 14 days"
            context.warnings.append(f"certificate {row.file} {word}; put a new one in its place")
    return CertificateList(sorted(rows, key=lambda each: (each.expires_at, each.file)))


def _row(context: Context, facts: CertificateFacts, doors: tuple[DoorCertificate, ...]) -> CertificateRow:
    users = [each for each in doors if each.choice.certificate == facts]
    return CertificateRow(
        file=facts.path,
        names=list(facts.names),
        expires_at=facts.not_after,
        expires_in_s=facts.not_after - context.now,
        trusted=facts.trusted,
        self_signed=facts.self_signed,
        used_by=[each.connector or SERVER for each in users],
        why=[f"{each.connector or SERVER}: {each.choice.why}" for each in users]
        or sorted({why for each in doors for other, why in each.choice.others if other == facts}),
        sha256=facts.sha256,
    )


VERBS = (
    Verb(
        "certificate",
        "list",
        "List the certificates of this server, until when they are valid, and which connector shows which.",
        "holdfast certificate list",
        CertificateList,
        detail="They lie in the folder tls of the state directory: certificate.pem with key.pem, and any "
        "NAME.pem with NAME.key.pem. A change is seen within seconds.",
        perform=_list,
    ),
)
