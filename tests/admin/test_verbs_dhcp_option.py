"""What clients are told is set and removed at each level, and the nearest level wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.dhcp_options import OptionValue
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _office(call: Call) -> None:
    call("dhcp enable")
    call("dhcp scope add", name="office", subnet="192.0.2.0/24", pool="192.0.2.10-192.0.2.29")
    call("dhcp reservation add", address="192.0.2.12", mac="02:00:00:00:00:0c")
    call("dhcp class add", name="Phones", kind="vendor", data="Phone 1")
    call("dhcp class add", name="Guests", kind="user", data="guest")
    call("dhcp policy add", name="phones", scope="office", condition=["vendor-class=phones"])
    call("dhcp policy add", name="night", server="demo", condition=["mac=02*"])


def _set(call: Call, option: str, *values: str, **where: Any) -> Any:
    return call("dhcp option set", option=option, value=list(values), **where)


def test_option_is_set_at_each_level_and_the_nearest_wins(call: Call) -> None:
    _set(call, "dns-servers", "192.0.2.1", server="demo")
    _set(call, "6", "192.0.2.2", scope="office")
    _set(call, "DNS-Servers", "192.0.2.3", scope="office", policy="PHONES")
    _set(call, "dns-servers", "192.0.2.4", "192.0.2.5", reservation="192.0.2.12")
    _set(call, "ntp-servers", "192.0.2.6", server="demo")
    _set(call, "ntp-servers", "192.0.2.7", server="demo", policy="night")
    listed = {(each.level, each.name, each.text) for each in call("dhcp option list").options}
    assert listed == {
        ('dhcp server "demo"', "dns-servers", "192.0.2.1"),
        ('dhcp server "demo"', "ntp-servers", "192.0.2.6"),
        ('policy "night" of dhcp server "demo"', "ntp-servers", "192.0.2.7"),
        ('scope "office"', "dns-servers", "192.0.2.2"),
        ('policy "phones" of scope "office"', "dns-servers", "192.0.2.3"),
        ('reservation "office/192.0.2.12"', "dns-servers", "192.0.2.4, 192.0.2.5"),
    }
    for where, expected in (
        ({"reservation": "192.0.2.12"}, ["192.0.2.4, 192.0.2.5", "192.0.2.6"]),
        ({"scope": "office"}, ["192.0.2.2", "192.0.2.6"]),
        ({"scope": "office", "policy": "phones"}, ["192.0.2.3", "192.0.2.6"]),
        ({"server": "demo", "policy": "night"}, ["192.0.2.1", "192.0.2.7"]),
    ):
        found = call("dhcp option list", effective=True, **where).options
        assert [each.text for each in found] == expected, where
    assert [each.text for each in call("dhcp option list", scope="office").options] == ["192.0.2.2"]


def test_values_for_classes_stand_beside_each_other(call: Call, store: DirectoryStore) -> None:
    call("dhcp option-definition add", code="1", name="mode", type=["uint8"], vendor_class="Phones")
    _set(call, "domain-name", "example.test", scope="office")
    _set(call, "domain-name", "guest.example.test", scope="office", user_class="guests", always=True)
    _set(call, "mode", "7", scope="office", vendor_class="phones")
    assert store.read().scopes[0].options == (
        OptionValue(15, ("example.test",)),
        OptionValue(15, ("guest.example.test",), user_class="Guests", always=True),
        OptionValue(1, ("7",), vendor_class="Phones"),
    )
    _set(call, "domain-name", "new.example.test", scope="office")
    call("dhcp option remove", option="15", scope="office", user_class="Guests")
    assert [each.values for each in store.read().scopes[0].options] == [("new.example.test",), ("7",)]
    with pytest.raises(
        Refusal, match=r'scope "office" has no option 15 \(domain-name\) for user class "Guests"'
    ):
        call("dhcp option remove", option="15", scope="office", user_class="Guests")


def test_default_of_the_definition_is_taken_when_no_value_is_given(call: Call, store: DirectoryStore) -> None:
    call("dhcp option-definition add", code="224", name="site", type=["uint16"], default=["17"])
    _set(call, "site", scope="office")
    assert store.read().scopes[0].options == (OptionValue(224, ("17",)),)
    with pytest.raises(Refusal) as caught:
        _set(call, "dns-servers", scope="office")
    assert "it needs a value" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({}, "say where with --scope or --server"),
        ({"scope": "office", "server": "demo"}, "with one of them alone"),
        ({"scope": "offic"}, 'there is no scope "offic"; the nearest name is "office"'),
        ({"scope": "office", "policy": "phone"}, 'has no policy "phone"; the nearest name is "phones"'),
        ({"reservation": "192.0.2.12", "policy": "x"}, "name a reservation, or a server or scope"),
        ({"reservation": "192.0.2.13"}, "192.0.2.13 is not reserved"),
    ],
)
def test_place_that_is_not_clear_is_refused(call: Call, where: dict[str, str], text: str) -> None:
    with pytest.raises(Refusal, match=text.replace(".", r"\.")):
        _set(call, "dns-servers", "192.0.2.1", **where)


def test_value_that_does_not_fit_and_unknown_options_are_refused(call: Call) -> None:
    with pytest.raises(Refusal) as caught:
        _set(call, "mtu", "1500", scope="office")
    assert 'there is no option "mtu"' in caught.value.text
    with pytest.raises(Refusal, match='the nearest name is "dns-servers"'):
        _set(call, "dns-server", "192.0.2.1", scope="office")
    with pytest.raises(Refusal) as caught:
        _set(call, "interface-mtu", "70000", scope="office")
    assert '"70000" is not a number from 0 to 65535' in str(caught.value.problems[0])
    with pytest.raises(Refusal, match="say for whom"):
        call("dhcp option list", effective=True)
