"""The XML of Export-DhcpServer."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import windows_dhcp_export
from holdfast.wire.windows_dhcp_export import Element, read_export, write_export

SAMPLE = Path(os.environ.get("HOLDFAST_CONFORMANCE", "../shared/conformance")) / "dhcp" / "windows-export"
TEXT = """<?xml version="1.0" encoding="{encoding}"?>
<DHCPServer xmlns="http://schemas.microsoft.com/windows/DHCPServer">
  <MajorVersion xmlns="">10</MajorVersion>
  <IPv4 xmlns="">
    <Scopes><Scope><Name> B\u00fcro &amp; Lager </Name><Description />
      <Leases>
        <Lease><IPAddress>10.0.0.9</IPAddress><ClientId>00-11</ClientId></Lease>
      </Leases>
    </Scope></Scopes>
  </IPv4>
</DHCPServer>
"""


@pytest.mark.parametrize(
    "data",
    [
        TEXT.format(encoding="utf-8").encode(),
        TEXT.format(encoding="utf-8").encode("utf-8-sig"),
        TEXT.format(encoding="utf-16").encode("utf-16"),
        TEXT.format(encoding="utf-8").encode("utf-16"),  # as PowerShell's redirection makes it
        b"\xfe\xff" + TEXT.format(encoding="utf-16").encode("utf-16-be"),
        TEXT.format(encoding="utf-16").encode("utf-16-le"),
    ],
)
def test_encodings(data: bytes) -> None:
    export = read_export(data)
    ipv4 = export.root.child("IPv4")
    assert ipv4 is not None
    (scope,) = ipv4.children[0].all("Scope")
    assert scope.value("Name") == "Büro & Lager"
    assert scope.value("Description") == scope.value("Nothing") == ""
    assert scope.line == 5
    (lease,) = export.leases
    assert (lease.fields, lease.line) == ({"IPAddress": "10.0.0.9", "ClientId": "00-11"}, 7)
    leases = scope.child("Leases")
    assert leases is not None
    assert leases.children == []


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><DHCPServer>&b;</DHCPServer>'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOMB, "x line 1: it has a document type, which no export has; it is not read"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><DHCPServer/>', "document type"),
        (b"<DHCPServer>\n<IPv4>", "x line 2: this is not XML: no element found; is the file complete?"),
        (b"<DHCPServer>\n</IPv4>", "x line 2: this is not XML: mismatched tag"),
        (b"\n<Other/>", 'x line 2: the root is "Other", not DHCPServer'),
        (b"hello", "x line 1: this is not XML"),
        (b"", "this is not XML"),
        (b"<a>" * 100, "nested deeper than 32"),
        (b"<DHCPServer>\n&what;</DHCPServer>", "x line 2: this is not XML: undefined entity"),
        (b"\xff\xfe<", "begins as UTF-16-LE and is not"),
        (b"<DHCPServer>" + b"x" * (1 << 21) + b"</DHCPServer>", "more than 1048576 characters"),
    ],
)
def test_what_is_no_export_is_refused_with_the_line(data: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_export(data, name="x")
    assert said in caught.value.text


def test_size_and_number_of_elements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_dhcp_export, "ELEMENT_COUNT_MAX", 5)
    with pytest.raises(Refusal, match="more than 5 elements"):
        read_export(b"<DHCPServer>" + b"<a/>" * 6 + b"</DHCPServer>")
    leases = b"<Leases>" + b"<Lease><IPAddress>10.0.0.9</IPAddress></Lease>" * 50 + b"</Leases>"
    with pytest.raises(Refusal, match="more than 5"):
        read_export(b"<DHCPServer>" + leases + b"</DHCPServer>")
    monkeypatch.setattr(windows_dhcp_export, "EXPORT_BYTES_MAX", 10)
    with pytest.raises(Refusal, match="more than the 10"):
        read_export(b"<DHCPServer></DHCPServer>")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for each in (data, b"<DHCPServer>" + data):
        try:
            read_export(each)
        except Refusal:
            continue


def test_what_is_written_is_read_again() -> None:
    root = Element("DHCPServer")
    ipv4 = root.add("IPv4")
    ipv4.add("Name", "a < b & c\x01")
    ipv4.add("Empty")
    text = "".join(write_export(root))
    assert '  <IPv4 xmlns="">\n    <Name>a &lt; b &amp; c\ufffd</Name>\n    <Empty />\n  </IPv4>\n' in text
    again = read_export(text.encode()).root
    assert [(each.name, each.text) for each in again.children[0].children] == [
        ("Name", "a < b & c\ufffd"),
        ("Empty", ""),
    ]


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the conformance data is not here")
def test_a_real_export_is_written_as_windows_wrote_it() -> None:
    data = (SAMPLE / "gravity_test_a.xml").read_bytes()
    told: list[tuple[int, int]] = []
    export = read_export(data, progress=lambda done, total: told.append((done, total)))
    written = "".join(write_export(export.root)).encode().removeprefix(b"\xef\xbb\xbf")
    expected = data.removeprefix(b"\xef\xbb\xbf")
    assert re.sub(rb"\s+(<|$)", rb"\1", written) == re.sub(rb"\s+(<|$)", rb"\1", expected)
    assert told
