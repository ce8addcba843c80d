"""The table of kinds agrees with the model, and every setting says what it is for."""

from __future__ import annotations

import dataclasses

import pytest

from holdfast.directory.kinds import (
    KINDS,
    kind_of,
    make_object,
    name_of,
    objects_of,
    settings_of,
    subject_of,
)
from holdfast.directory.model import (
    ImapListener,
    Mailbox,
    Organisation,
    OrganisationSettings,
    ReceiveConnector,
    Site,
)

RECORDS = [*(kind.type for kind in KINDS), ImapListener, Organisation]


@pytest.mark.parametrize("record_type", RECORDS)
def test_every_setting_says_reason_and_source(record_type: type) -> None:
    for setting in settings_of(record_type):
        assert setting.reason, setting.attribute
        assert setting.source, setting.attribute


def test_every_collection_of_the_organisation_has_a_kind() -> None:
    settings = {each.name for each in dataclasses.fields(OrganisationSettings)}
    collections = {each.name for each in dataclasses.fields(Organisation)} - settings - {"revision"}
    assert {kind.collection for kind in KINDS} == collections


@pytest.mark.parametrize("record_type", RECORDS)
def test_keys_are_unique(record_type: type) -> None:
    keys = [setting.key for setting in settings_of(record_type)]
    assert len(set(keys)) == len(keys)


def test_keys_leave_out_the_unit() -> None:
    keys = {setting.attribute: setting.key for setting in settings_of(ReceiveConnector)}
    assert keys["message_bytes_max"] == "message_size_max"
    assert keys["tarpit_s"] == "tarpit"
    assert keys["hop_count_max"] == "hop_count_max"
    assert {each.attribute: each.key for each in settings_of(Mailbox)}["quota_bytes"] == "quota"


def test_objects_have_name_subject_and_kind(organisation: Organisation) -> None:
    alice = organisation.mailboxes[0]
    assert name_of(alice) == "alice@example.test"
    assert subject_of(alice) == 'mailbox "alice@example.test"'
    assert subject_of(organisation.receive_connectors[2]) == 'receive connector "client-tls"'
    assert objects_of(organisation, kind_of(Mailbox)) == organisation.mailboxes


def test_object_is_made_from_its_attributes() -> None:
    assert make_object(kind_of(Site), {"name": "A"}) == Site("A")
