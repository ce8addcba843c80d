"""Definitions of one's own stand beside the built-in ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.dhcp_options import OptionDefinition, OptionType
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_definitions_come_and_go(call: Call, store: DirectoryStore) -> None:
    call("dhcp class add", name="Phones", kind="vendor", data="Phone 1")
    call(
        "dhcp option-definition add",
        code="224",
        name="site",
        type=["uint8", "text"],
        default=["1 main"],
        description="where",
    )
    call(
        "dhcp option-definition add",
        code="1",
        name="mode",
        type=["uint8"],
        array="yes",
        vendor_class="phones",
    )
    assert store.read().option_definitions == (
        OptionDefinition(
            224, "site", (OptionType.UINT8, OptionType.TEXT), default=("1 main",), description="where"
        ),
        OptionDefinition(1, "mode", (OptionType.UINT8,), array=True, vendor_class="Phones"),
    )
    own = call("dhcp option-definition list", own=True).definitions
    assert [(each.code, each.types, each.built_in) for each in own] == [
        (224, ["uint8", "text"], False),
        (1, ["uint8"], False),
    ]
    known = {(each.vendor_class, each.code): each for each in call("dhcp option-definition list").definitions}
    assert known["", 6].name == "dns-servers"
    assert known["", 6].built_in
    assert ("", 224) in known
    call("dhcp option-definition remove", option="site")
    call("dhcp option-definition remove", option="mode", vendor_class="Phones")
    assert store.read().option_definitions == ()


def test_built_in_definition_can_be_replaced_but_not_removed(call: Call) -> None:
    with pytest.raises(Refusal, match=r"option 6 \(dns-servers\) is built in"):
        call("dhcp option-definition remove", option="dns-servers")
    call("dhcp option-definition add", code="43", name="vendor-bytes", type=["text"])
    rows = [each for each in call("dhcp option-definition list").definitions if each.code == 43]
    assert [(each.name, each.built_in) for each in rows] == [("vendor-bytes", False)]
    with pytest.raises(Refusal, match="is there already; remove it before with"):
        call("dhcp option-definition add", code="43", name="other", type=["hex"])
    call("dhcp option-definition remove", option="43")
    rows = [each for each in call("dhcp option-definition list").definitions if each.code == 43]
    assert [each.built_in for each in rows] == [True]


def test_what_cannot_be_is_refused(call: Call) -> None:
    with pytest.raises(Refusal) as caught:
        call("dhcp option-definition add", code="53", name="kind", type=["uint8"])
    assert "the protocol's own" in str(caught.value.problems[0])
    with pytest.raises(Refusal) as caught:
        call("dhcp option-definition add", code="5", name="x", type=["uint8"], vendor_class="Phones")
    assert 'vendor class "Phones" does not exist' in str(caught.value.problems[0])
