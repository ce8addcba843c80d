"""Classes come, change and go; what uses them holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.directory.dhcp_options import ClassKind, DhcpClass
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Refusal

Call = Callable[..., Any]


def test_classes_come_change_and_go(call: Call, store: DirectoryStore) -> None:
    call("dhcp class add", name="Windows", kind="vendor", data="MSFT 5.0")
    with pytest.raises(Refusal, match="is there already"):
        call("dhcp class add", name="windows", kind="user", data="x")
    call("dhcp class set", name="WINDOWS", data="0x4d53", description="old")
    assert store.read().dhcp_classes == (DhcpClass("Windows", ClassKind.VENDOR, "0x4d53", "old"),)
    (row,) = call("dhcp class list").classes
    assert (row.name, row.kind, row.data) == ("Windows", "vendor", "0x4d53")
    call("dhcp class remove", name="windows")
    assert store.read().dhcp_classes == ()


def test_class_that_is_used_stays(call: Call) -> None:
    call("dhcp enable")
    call("dhcp class add", name="Windows", kind="vendor", data="MSFT 5.0")
    call("dhcp policy add", name="p", server="demo", condition=["vendor-class=windows*"])
    with pytest.raises(Refusal) as caught:
        call("dhcp class remove", name="Windows")
    assert 'vendor class "Windows" does not exist' in str(caught.value.problems[0])
