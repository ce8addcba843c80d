"""An organisation for the tests of the directory."""

from __future__ import annotations

import pytest

from holdfast.directory.defaults import DemonstrationPorts, demonstration_organisation
from holdfast.directory.model import Organisation
from holdfast.kernel.ids import MailboxId


@pytest.fixture
def organisation() -> Organisation:
    """The demonstration: one server, three connectors, two mailboxes."""
    return demonstration_organisation(
        server_name="mail1",
        fqdn="mail1.example.test",
        alice=MailboxId("a1"),
        bob=MailboxId("b1"),
        ports=DemonstrationPorts(),
    )
