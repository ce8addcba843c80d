"""Verbs about the organisation as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_export_and_import_round_trip(call: Call, store: DirectoryStore) -> None:
    text = call("organisation export").text
    again = call("organisation import", file=["organisation.toml", text])
    assert (again.applied, again.changes) == (False, [])
    assert store.revision() == 1


def test_import_plans_refuses_danger_and_applies(call: Call, store: DirectoryStore) -> None:
    text = call("organisation export").text
    call("mailbox add", address="carol@example.test")
    planned = call("organisation import", file=["organisation.toml", text], plan=True)
    assert planned.dangers
    assert any(each.startswith('remove mailbox "carol@example.test"') for each in planned.changes)
    with pytest.raises(Refusal, match="dangerous"):
        call("organisation import", file=["organisation.toml", text])
    assert call("organisation import", file=["organisation.toml", text], yes=True, why="back").applied
    assert "carol@example.test" not in store.read().recipients
    newest, added, _ = call("organisation history").entries
    assert (newest.why, newest.who, newest.revision) == ("back", "root", 3)
    assert call("organisation history", before=2).entries[0].revision == 1
    assert call("organisation history", limit=1).entries == [newest]
    assert added.revision == 2


def test_import_names_file_line_and_nearest_key(call: Call, store: DirectoryStore) -> None:
    text = call("organisation export").text.replace("fqdn", "fqdm", 1)
    with pytest.raises(Refusal) as refused:
        call("organisation import", file=["house.toml", text])
    said = refused.value.text + "".join(str(each) for each in refused.value.problems)
    assert "house.toml" in said
    assert "fqdn" in said
    assert store.revision() == 1


def test_show_and_check(call: Call) -> None:
    shown = call("organisation show")
    assert (shown.name, shown.revision, shown.mailbox_count) == ("Example", 1, 2)
    assert call("organisation check").problem_count == 0


def test_settings_are_shown_with_their_reasons_and_changed(call: Call, store: DirectoryStore) -> None:
    rows = {row.name: row for row in call("organisation settings").settings}
    assert (rows["expiry"].value, rows["expiry"].default) == ("2d", "2d")
    assert rows["expiry"].reason == "after so long a message is returned to its sender"
    call(
        "organisation set",
        expiry="3d",
        delay_notice_internal="no",
        resolver_address=["127.0.0.1:5353", "192.0.2.53"],
        tls_report_contact="tls@Example.test",
    )
    after = store.read()
    assert (after.expiry_s, after.delay_notice_internal) == (3 * 86400.0, False)
    assert after.resolver_addresses == ("127.0.0.1:5353", "192.0.2.53")
    assert after.tls_report_contact == "tls@example.test"
    assert {row.name: row for row in call("organisation settings").settings}["expiry"].value == "3d"
    with pytest.raises(Refusal, match="dangerous"):
        call("organisation set", default=["expiry"])
    call("organisation set", default=["expiry", "resolver-address"], yes=True)
    assert (store.read().expiry_s, store.read().resolver_addresses) == (2 * 86400.0, ())
    with pytest.raises(Refusal, match="nothing was changed"):
        call("organisation set", poison_count="11")


def test_a_server_without_a_name_stays_the_only_one(call: Call, store: DirectoryStore, world: Any) -> None:
    text = call("organisation export").text
    two = text + '\n[[server]]\nname = "mail2"\nfqdn = "mail2.example.test"\nsite = "Main"\n'
    world.server_name = ""
    for given in ({"plan": True}, {"yes": True}):
        with pytest.raises(Refusal, match=r"of 2 servers .* `holdfast up --server demo`"):
            call("organisation import", file=["two.toml", two], **given)
    assert len(store.read().servers) == 1
    renamed = two.replace('"demo"', '"mail1"')
    with pytest.raises(Refusal, match=r"`holdfast up --server NAME`"):
        call("organisation import", file=["two.toml", renamed], yes=True)
    world.server_name = "demo"
    assert call("organisation import", file=["two.toml", two], yes=True).applied
    world.server_name = ""  # it serves nobody already: nothing is lost by a change
    assert call("organisation import", file=["two.toml", text], yes=True).applied
