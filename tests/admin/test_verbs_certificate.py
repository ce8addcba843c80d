"""Certificates as the administrator sees them, read from a state directory."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.admin.catalogue import find_verb, read_arguments
from holdfast.admin.context import Context, Surroundings
from holdfast.admin.results_explain import CertificateList
from holdfast.admin.verbs_certificate import SERVER, certificate_of, warn_of_pin
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.drivers.tls import ensure_certificate

Call = Callable[..., Any]


@pytest.fixture
def context(store: DirectoryStore, tmp_path: Path) -> Context:
    """One call of a verb that asks no role."""
    surroundings = Surroundings(tmp_path, "demo", list, lambda *_: [], lambda *_: b"")
    return Context(surroundings, store, "root", 1_800_000_000.0, random.Random(1), lambda *_: None)


@pytest.fixture
def certificates(tmp_path: Path) -> None:
    ensure_certificate(tmp_path / "tls", ("demo.example.test",))


@pytest.mark.usefixtures("certificates")
def test_each_certificate_says_who_shows_it_and_why(call: Call) -> None:
    shown = call("certificate list").certificates
    assert shown
    row = next(each for each in shown if SERVER in each.used_by)
    assert row.self_signed
    assert not row.trusted
    assert len(row.used_by) == len(row.why) > 1
    assert len(row.sha256) == 64


@pytest.mark.usefixtures("certificates")
def test_one_that_expires_is_a_warning(context: Context) -> None:
    context.now += 30 * 365 * 86_400.0
    verb = find_verb("certificate", "list")
    assert verb is not None
    assert verb.perform is not None
    shown = verb.perform(context, read_arguments(verb, {}))
    assert isinstance(shown, CertificateList)
    assert all(row.expires_in_s < 0 for row in shown.certificates)
    assert len(context.warnings) == len(shown.certificates)
    assert "has expired; put a new one in its place" in context.warnings[0]
    assert "it expired " in certificate_of(context, context.organisation.receive_connectors[0].name)


@pytest.mark.usefixtures("certificates")
def test_the_certificate_of_a_connector_in_a_sentence(context: Context) -> None:
    name = context.organisation.receive_connectors[0].name
    assert "demo.example.test" in certificate_of(context, name)
    assert "expire" in certificate_of(context, name)
    assert certificate_of(context, "of another server") == ""
    assert certificate_of(context, "") == ""


def test_without_any_certificate_the_reason_is_said(context: Context, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    context.surroundings = replace(context.surroundings, home=blocked)
    name = context.organisation.receive_connectors[0].name
    assert certificate_of(context, name).startswith("none: ")


def test_a_pin_is_judged_on_the_server_that_shows_it(context: Context, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    context.surroundings = replace(context.surroundings, home=blocked)
    organisation = context.organisation
    pinning = replace(organisation.receive_connectors[0], certificate="0" * 64)
    warn_of_pin(context, organisation, replace(pinning, server="other"))
    assert context.warnings == []
    warn_of_pin(context, organisation, pinning)
    assert "until it is put into its folder tls, none can be shown: " in context.warnings[0]
