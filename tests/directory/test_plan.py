"""A plan says what changes, object by object and field by field."""

from __future__ import annotations

import dataclasses

from holdfast.directory.edit import with_object, without_object
from holdfast.directory.model import Mailbox, Organisation, Site
from holdfast.directory.plan import Change, FieldChange, plan_change
from holdfast.kernel.ids import MailboxId, Revision
from holdfast.kernel.iprange import parse_ip_range


def test_no_change_is_an_empty_plan_of_the_same_revision(organisation: Organisation) -> None:
    before = dataclasses.replace(organisation, revision=Revision(4))
    plan = plan_change(before, organisation)
    assert (plan.base_revision, plan.changes, plan.problems, plan.dangers) == (4, (), (), ())
    assert plan.after == before


def test_order_alone_is_no_change(organisation: Organisation) -> None:
    turned = dataclasses.replace(organisation, mailboxes=organisation.mailboxes[::-1])
    assert plan_change(organisation, turned).changes == ()


def test_added_object_shows_what_differs_from_the_default(organisation: Organisation) -> None:
    plan = plan_change(organisation, with_object(organisation, Site("B", (parse_ip_range("192.0.2.0/24"),))))
    assert plan.changes == (
        Change(
            "add", "site", "B", (FieldChange("name", "", "B"), FieldChange("subnets", "", "192.0.2.0/24"))
        ),
    )
    assert plan.after.revision == 1


def test_removed_object_is_a_change_and_a_danger(organisation: Organisation) -> None:
    plan = plan_change(organisation, without_object(organisation, Mailbox, "bob@example.test"))
    (change,) = plan.changes
    assert (change.action, change.kind, change.name) == ("remove", "mailbox", "bob@example.test")
    assert FieldChange("display_name", "Bob", "") in change.fields
    assert len(plan.dangers) == 1


def test_changed_fields_are_shown_before_and_after(organisation: Organisation) -> None:
    alice = dataclasses.replace(organisation.mailboxes[0], quota_bytes=4 << 30, enabled=False)
    plan = plan_change(organisation, with_object(organisation, alice))
    assert plan.changes == (
        Change(
            "change",
            "mailbox",
            "alice@example.test",
            (FieldChange("quota", "not set", "4GB"), FieldChange("enabled", "yes", "no")),
        ),
    )


def test_mailbox_that_keeps_its_id_is_renamed_not_replaced(organisation: Organisation) -> None:
    alice = dataclasses.replace(organisation.mailboxes[0], address="al@example.test")
    carol = Mailbox("carol@example.test", MailboxId("c1"), "DB01")
    plan = plan_change(organisation, dataclasses.replace(organisation, mailboxes=(alice, carol)))
    assert [(each.action, each.name) for each in plan.changes] == [
        ("change", "alice@example.test"),
        ("remove", "bob@example.test"),
        ("add", "carol@example.test"),
    ]
    assert plan.changes[0].fields == (FieldChange("address", "alice@example.test", "al@example.test"),)


def test_settings_of_the_whole_are_a_change_of_the_organisation(organisation: Organisation) -> None:
    plan = plan_change(organisation, dataclasses.replace(organisation, tracking_subject=False))
    assert plan.changes == (
        Change("change", "organisation", "Example", (FieldChange("tracking_subject", "yes", "no"),)),
    )


def test_problems_are_those_of_the_result(organisation: Organisation) -> None:
    broken = dataclasses.replace(organisation, sites=())
    plan = plan_change(organisation, broken)
    assert [str(problem) for problem in plan.problems] == [
        'server "mail1": site "Main" does not exist; declare the site or name another'
    ]
    assert plan_change(broken, organisation).problems == ()


def test_what_was_wrong_before_does_not_stand_in_the_way_of_another_change(
    organisation: Organisation,
) -> None:
    # A newer version finds more: an organisation that an older one took must stay one that can be changed.
    broken = dataclasses.replace(organisation, delay_notice_s=9 * 86400.0)
    plan = plan_change(broken, dataclasses.replace(broken, tracking_subject=False))
    assert plan.problems == ()
    (standing,) = plan.standing
    assert standing.text == "delay_notice is 9d, not shorter than expiry with 2d"
    worse = plan_change(broken, dataclasses.replace(broken, delay_notice_s=10 * 86400.0))
    assert [each.text for each in worse.problems] == ["delay_notice is 10d, not shorter than expiry with 2d"]
    assert worse.standing == ()
