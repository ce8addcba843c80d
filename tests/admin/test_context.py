"""What a verb may use: planning, refusing and applying a change."""

from __future__ import annotations

from holdfast.admin.context import change_text, not_found
from holdfast.directory.plan import Change, FieldChange


def test_a_change_is_one_line() -> None:
    quota = FieldChange("quota", "2GB", "5GB")
    assert change_text(Change("change", "mailbox", "a@b.test", (quota,))) == (
        'change mailbox "a@b.test": quota 2GB -> 5GB'
    )
    added = (FieldChange("name", "", "berlin"), FieldChange("subnets", "", "192.0.2.0/24"))
    assert change_text(Change("add", "site", "berlin", added)) == 'add site "berlin": subnets 192.0.2.0/24'
    assert change_text(Change("add", "domain", "x.test", (FieldChange("name", "", "x.test"),))) == (
        'add domain "x.test"'
    )
    assert change_text(Change("remove", "site", "berlin", added)) == 'remove site "berlin"'
    assert change_text(Change("change", "organisation", "", (FieldChange("name", "A", "B"),))) == (
        "change organisation: name A -> B"
    )


def test_a_name_that_is_not_there_comes_with_the_nearest_or_the_list() -> None:
    assert 'did you mean "berlin"?' in not_found("site", "berlim", ["berlin", "paris"]).text
    assert "see: holdfast site list" in not_found("site", "x", ["berlin"]).text
