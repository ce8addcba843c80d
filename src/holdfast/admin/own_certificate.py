"""Keep this server's certificate in its entry of the directory, where other servers know it by.

An administrator who joins a second server should find the first one's
certificate there already, and a file that is imported need not name it. One that
is there stays: the others may have no other yet, and a change is their business
as well (event DRV-0324).

Source: exchange-behaviour TL-3, TL-4.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from holdfast.directory.edit import with_object
from holdfast.directory.model import Organisation, Role
from holdfast.directory.server_certificates import write_certificates
from holdfast.kernel.errors import Unavailable


def with_own_certificate(organisation: Organisation, home: Path, server_name: str) -> Organisation:
    """Enter our certificate, unless there is one, or nobody else who would have to know it.

    Args:
        organisation: what would be in force.
        home: the state directory.
        server_name: our name; empty where it was not told.
    """
    server = organisation.own_server(server_name)
    others = [each for each in organisation.servers if Role.TRANSPORT in each.roles and each is not server]
    if server is None or server.certificate or Role.TRANSPORT not in server.roles or not others:
        return organisation
    from holdfast.drivers.certificate_store import describe_own

    try:
        own = describe_own(home, organisation, server.name)
    except Unavailable:
        return organisation  # its own event says so, and a later change, or the next start, tries again
    return with_object(organisation, dataclasses.replace(server, certificate=write_certificates((own.der,))))
