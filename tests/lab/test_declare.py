"""The organisation of a lab is one that servers go by, and the same each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.directory.checks import check_organisation
from holdfast.directory.model import Organisation, Role, Usage
from holdfast.directory.server_certificates import servers_by_certificate
from holdfast.directory.toml_format import read_organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId
from holdfast.lab.declare import addresses_of, declaration, declare, fqdn_of
from holdfast.lab.pairs import ensure_pair
from holdfast.lab.sheet import TWO_SERVERS, Sheet, on_loopback, read_sheet

TWO_SITES = read_sheet("name,site\nmail1,North\nmail2,South\nedge,North\n", "lab.csv")


@pytest.mark.parametrize("sheet", [TWO_SERVERS, TWO_SITES, on_loopback(TWO_SITES, "3f21aa")])
def test_a_server_may_go_by_it_and_reads_it_back_equal(sheet: Sheet) -> None:
    organisation = declare(sheet, {})
    assert check_organisation(organisation) == ()
    read = read_organisation(
        declaration(organisation), "lab.toml", existing=Organisation(), new_id=lambda: MailboxId("new")
    )
    assert read == organisation
    assert declare(sheet, {}) == organisation


def test_each_server_has_its_doors_and_one_for_the_other_servers() -> None:
    organisation = declare(TWO_SITES, {})
    doors = [each for each in organisation.receive_connectors if each.server == "mail1"]
    assert {each.usage for each in doors} == {Usage.INTERNET, Usage.CLIENT, Usage.INTERNAL}
    internal = next(each for each in doors if each.usage is Usage.INTERNAL)
    assert [str(each) for each in internal.remote_ranges] == ["10.61.1.12", "10.61.0.13"]
    assert [link.sites for link in organisation.site_links] == [("North", "South")]


def test_what_has_no_role_has_no_mailboxes_and_no_doors() -> None:
    front = replace(TWO_SERVERS.machines[0], roles=(Role.ACCESS,))
    organisation = declare(Sheet((front, TWO_SERVERS.machines[1])), {})
    assert addresses_of(front) == ()
    assert {each.server for each in organisation.mailbox_databases} == {"mail2"}
    assert {each.server for each in organisation.receive_connectors} == {"mail2"}


def test_one_server_alone_is_a_lab() -> None:
    organisation = declare(Sheet(TWO_SERVERS.machines[:1]), {})
    assert check_organisation(organisation) == ()
    assert organisation.site_links == ()


def test_what_no_server_may_go_by_is_refused() -> None:
    clash = replace(TWO_SERVERS.machines[0], ports=replace(TWO_SERVERS.machines[0].ports, metrics=25))
    with pytest.raises(Refusal, match="the lab cannot be declared"):
        declare(Sheet((clash,)), {})


def test_servers_know_each_other_by_their_certificates(tmp_path: Path) -> None:
    known = {each.name: ensure_pair(tmp_path / each.name, fqdn_of(each)) for each in TWO_SERVERS.machines}
    organisation = declare(TWO_SERVERS, known)
    assert set(servers_by_certificate(organisation).values()) == {"mail1", "mail2"}
