"""What a verb may use: planning, refusing and applying a change."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.admin.catalogue import Arguments
from holdfast.admin.context import Context, Surroundings, change_text, not_found
from holdfast.directory.model import Organisation
from holdfast.directory.plan import Change, FieldChange, plan_change
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal


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


def _context(store: DirectoryStore, home: Path, known: Organisation | None) -> Context:
    surroundings = Surroundings(home, "demo", list, lambda database, ids: [], lambda role, verb, body: b"")
    return Context(
        surroundings, store, "root", 1.0, random.Random(1), lambda done, total, text: None, known=known
    )


def test_organisation_in_memory_is_taken_while_it_is_the_one_in_force(
    store: DirectoryStore, tmp_path: Path
) -> None:
    in_force = store.read()
    assert _context(store, tmp_path, in_force).organisation is in_force
    store.apply(plan_change(in_force, replace(in_force, name="New")), who="x", why="", at=2.0)
    assert _context(store, tmp_path, in_force).organisation.name == "New"
    assert _context(store, tmp_path, None).organisation.name == "New"


def test_what_a_role_knows_is_a_danger_like_the_others(store: DirectoryStore, tmp_path: Path) -> None:
    context = _context(store, tmp_path, None)
    after = replace(context.organisation, name="New")
    arguments = Arguments({"plan": False, "yes": False, "why": ""})
    with pytest.raises(Refusal, match="dangerous") as caught:
        context.change(arguments, after, more_dangers=["3 clients lose something"])
    assert [each.text for each in caught.value.problems] == ["3 clients lose something"]
    done = context.change(
        Arguments({"plan": False, "yes": True, "why": ""}), after, more_dangers=["3 clients lose something"]
    )
    assert (done.applied, done.dangers) == (True, ["3 clients lose something"])
