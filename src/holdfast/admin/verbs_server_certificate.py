"""The verbs about how servers of ours know each other, and the other settings of a server."""

from __future__ import annotations

import datetime
from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, not_found
from holdfast.admin.results import Changed, Text
from holdfast.admin.setting_arguments import DEFAULT, default_argument, given_settings, setting_arguments
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.model import Server
from holdfast.directory.server_certificates import (
    known_certificates,
    read_certificates,
    sha256_of,
    write_certificates,
)
from holdfast.kernel.errors import Refusal

CERTIFICATE = "certificate"


def _certificates(arguments: Arguments, name: str) -> tuple[bytes, ...]:
    file_name, text = arguments.texts(name)
    try:
        found = read_certificates(text)
    except Refusal as refusal:
        raise Refusal(f"{file_name} cannot be used: {refusal.text}") from None
    if not found:
        raise Refusal(f"{file_name} is empty; give what `holdfast server certificate` printed")
    return found


def _set(context: Context, arguments: Arguments) -> Changed:
    server = find_object(context.organisation, Server, arguments.text("name"))
    values = given_settings(arguments, Server, skip=(CERTIFICATE,)) | {"name": server.name}
    reset = CERTIFICATE in arguments.texts(DEFAULT)
    if arguments.given(CERTIFICATE):
        if reset:
            raise Refusal(f"{CERTIFICATE} is given, and to have its default; say one of them")
        values["certificate"] = write_certificates(_certificates(arguments, CERTIFICATE))
    elif reset:
        values["certificate"] = ""
    return context.change(arguments, with_object(context.organisation, replace(server, **values)))


def _trust(context: Context, arguments: Arguments) -> Changed:
    server = find_object(context.organisation, Server, arguments.text("name"))
    known = known_certificates(server)
    after = write_certificates((*known, *_certificates(arguments, "file")))
    if after == write_certificates(known):
        context.warnings.append(f'server "{server.name}" is known by that certificate already')
    return context.change(arguments, with_object(context.organisation, replace(server, certificate=after)))


def _show(context: Context, arguments: Arguments) -> Text:
    from holdfast.drivers.certificate_store import describe_own

    organisation, name = context.organisation, context.surroundings.server_name
    server = organisation.own_server(name)
    if server is None:
        raise not_found("server", name, (each.name for each in organisation.servers))
    own = describe_own(context.surroundings.home, organisation, server.name)
    if not own.known and server.certificate:
        context.warnings.append(
            f'the directory knows "{server.name}" by another certificate; run on every server: '
            f"holdfast server trust {server.name} FILE, with what this printed"
        )
    until = datetime.datetime.fromtimestamp(own.pair.facts.not_after, datetime.UTC)
    head = f"server {server.name}, SHA-256 {sha256_of(own.der)}, until {until:%Y-%m-%d}"
    return Text(f"{head}\n{write_certificates((own.der,))}")


_NAME = Argument(
    "name", Kind.TEXT, "name of the server", required=True, positional=True, completes="server.servers.name"
)
# IMAP listeners have several parts each; they are declared in a file.
_SETTINGS = (
    *setting_arguments(Server, leave_out=("name", "imap", CERTIFICATE)),
    Argument(
        CERTIFICATE,
        Kind.FILE,
        "a file with the certificates by which the other servers know it, in place of those known now",
    ),
)

VERBS = (
    Verb(
        "server",
        "certificate",
        "Print the certificate by which the other servers know this one.",
        "holdfast server certificate mail1.pem",
        Text,
        (Argument("file", Kind.OUTPUT, "where to write; the terminal if not given", positional=True),),
        detail="Compare its SHA-256 when you give it to another server: holdfast server trust.",
        perform=_show,
    ),
    Verb(
        "server",
        "trust",
        "Let a server be known by one more certificate.",
        "holdfast server trust mail2 mail2.pem",
        Changed,
        (
            _NAME,
            Argument(
                "file",
                Kind.FILE,
                "what `server certificate` wrote on that server",
                required=True,
                positional=True,
            ),
            *CHANGE_ARGUMENTS,
        ),
        detail="Those known before stay known; `server set --certificate` takes them away.",
        changes=True,
        perform=_trust,
    ),
    Verb(
        "server",
        "set",
        "Change a server.",
        "holdfast server set mail2 --certificate mail2.pem",
        Changed,
        (_NAME, *_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        detail="What may be given several times takes the place of all that was there.",
        changes=True,
        perform=_set,
    ),
)
