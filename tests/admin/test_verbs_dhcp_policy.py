"""Policies come in an order, change, move and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.admin.verbs_dhcp_policy import condition_text, parse_condition
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, Match
from holdfast.directory.model import Organisation
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import parse_ip_range

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _office(call: Call) -> None:
    call("dhcp enable")
    call("dhcp scope add", name="office", subnet="192.0.2.0/24", pool="192.0.2.10-192.0.2.200")


def _names(call: Call) -> list[str]:
    return [each.name for each in call("dhcp policy list", scope="office").policies]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("mac=00:1a:2b*,00:1a:2c*", Condition(ConditionField.MAC, ("00:1a:2b*", "00:1a:2c*"))),
        (
            "vendor-class!=MSFT 5.0",
            Condition(ConditionField.VENDOR_CLASS, ("MSFT 5.0",), Comparison.NOT_EQUALS),
        ),
        ("circuit-id=0x0102", Condition(ConditionField.CIRCUIT_ID, ("0x0102",))),
        ("fqdn=a=b", Condition(ConditionField.FQDN, ("a=b",))),
    ],
)
def test_conditions_are_read_and_written(text: str, condition: Condition) -> None:
    assert parse_condition(Organisation(), text) == condition
    assert condition_text(condition) == text


@pytest.mark.parametrize("text", ["", "mac", "colour=red", "mac=", "=x", "MAC=1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is not a condition; write for example mac=00:1a:2b"):
        parse_condition(Organisation(), text)


def test_policy_is_made_shown_and_changed(call: Call, store: DirectoryStore) -> None:
    call("dhcp class add", name="Phones", kind="vendor", data="Phone 1")
    call(
        "dhcp policy add",
        name="phones",
        scope="office",
        condition=["mac=02*", "vendor-class=PHONES*"],
        match="any",
        range=["192.0.2.150-192.0.2.200"],
        lease="12h",
    )
    (policy,) = store.read().scopes[0].policies
    assert policy.conditions == (
        Condition(ConditionField.MAC, ("02*",)),
        Condition(ConditionField.VENDOR_CLASS, ("Phones*",)),
    )
    assert (policy.match, policy.lease_s, policy.ranges) == (
        Match.ANY,
        43200.0,
        (parse_ip_range("192.0.2.150-192.0.2.200"),),
    )
    (row,) = call("dhcp policy list").policies
    assert row.conditions == "mac=02* or vendor-class=Phones*"
    assert (row.place, row.position, row.ranges) == ('scope "office"', 1, ["192.0.2.150-192.0.2.200"])
    call("dhcp option set", option="dns-servers", value=["192.0.2.5"], scope="office", policy="phones")
    shown = call("dhcp policy show", name="Phones", scope="office")
    assert shown.conditions == ["mac=02*", "vendor-class=Phones*"]
    assert [(each.level, each.text) for each in shown.options] == [("policy", "192.0.2.5")]
    call("dhcp policy set", name="PHONES", scope="office", enabled="no", default=["lease"])
    (policy,) = store.read().scopes[0].policies
    assert (policy.name, policy.enabled, policy.lease_s, len(policy.options)) == ("phones", False, None, 1)


def test_policies_stand_in_an_order(call: Call) -> None:
    for name in ("a", "b", "c"):
        call("dhcp policy add", name=name, scope="office", condition=["mac=02*"])
    call("dhcp policy add", name="d", scope="office", condition=["mac=02*"], position="1")
    assert _names(call) == ["d", "a", "b", "c"]
    call("dhcp policy move", name="d", scope="office", position="3")
    assert _names(call) == ["a", "b", "d", "c"]
    call("dhcp policy set", name="c", scope="office", position="1", description="first")
    assert _names(call) == ["c", "a", "b", "d"]
    with pytest.raises(Refusal, match="position 5 is not one of 1 to 4"):
        call("dhcp policy move", name="d", scope="office", position="5")
    call("dhcp policy remove", name="a", scope="office")
    assert _names(call) == ["c", "b", "d"]


def test_policies_of_a_server(call: Call, store: DirectoryStore) -> None:
    call("dhcp policy add", name="night", server="demo", condition=["mac=02*"])
    assert [each.name for each in store.read().dhcp_servers[0].policies] == ["night"]
    assert call("dhcp policy list", server="demo").policies[0].place == 'dhcp server "demo"'
    with pytest.raises(Refusal) as caught:
        call("dhcp policy set", name="night", server="demo", range=["192.0.2.20"])
    assert "addresses belong to a scope" in str(caught.value.problems[0])


def test_what_cannot_be_is_refused(call: Call) -> None:
    call("dhcp policy add", name="a", scope="office", condition=["mac=02*"])
    with pytest.raises(Refusal, match='scope "office" has a policy "A" already'):
        call("dhcp policy add", name="A", scope="office", condition=["mac=02*"])
    with pytest.raises(Refusal) as caught:
        call("dhcp policy set", name="a", scope="office", condition=["vendor-class=Phones"])
    assert 'vendor class "Phones" does not exist' in str(caught.value.problems[0])
