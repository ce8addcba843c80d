"""Kea's configuration files."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import kea_config
from holdfast.wire.kea_config import Json, Node, read_configuration, write_configuration

SAMPLE = b"""// one
{ # two
  "Dhcp4": { /* three
     lines */
    "valid-lifetime": 4000,
    "subnet4": [ { "id": 1, "subnet": "10.0.0.0/8", }, ],
    <?include "more.json"?>
    "on": true, "off": null, "part": -1.5e2, "text": "a // b \\u00e9 \\" #"
  }
}
"""


def test_comments_commas_and_includes() -> None:
    found = read_configuration(SAMPLE)
    assert found.includes == ((7, "more.json"),)
    inside = found.root.members["Dhcp4"]
    assert inside.line == 3
    subnet = inside.members["subnet4"].items[0]
    assert (subnet.line, subnet.members["id"].value, subnet.members["subnet"].text) == (6, 1, "10.0.0.0/8")
    assert inside.members["text"].text == 'a // b é " #'
    assert inside.members["on"].text == "true"
    assert inside.members["off"].text == ""
    assert inside.members["part"].value == -150.0
    assert inside.members["part"].items == []
    assert inside.members["part"].members == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{\n"a": 1\n"b": 2}', 'x line 3: a comma or a closing brace belongs here, not ""b": 2}"'),
        (b'{\n"a": [1\n2]}', "line 3: a comma or a closing bracket belongs here"),
        (b'{"a" 1}', 'a colon belongs behind "a"'),
        (b"{a: 1}", "a name in quotation marks or a closing brace belongs here"),
        (b'{"a": 1,\n"a": 2}', 'line 2: "a" is there already, on line 1; remove one of them'),
        (b'{"a": "x\n"}', "a text is not closed on its line"),
        (b'{"a": maybe}', 'a value belongs here, not "maybe}"'),
        (b'{"a": 01}', "a value belongs here"),
        (b'{"a": 1} x', 'nothing belongs behind the end, but there is "x"'),
        (b'{"a": 1', "not the end of the file"),
        (b"[1]", "a configuration is a map in braces"),
        (b"", "not the end of the file"),
        (b"{\n\xff}", "x line 2: this is not UTF-8 text"),
        (b"[" * 100, "deeper than 64"),
        (b"{ /* open", "not "),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_configuration(text, name="x")
    assert said in caught.value.text
    assert caught.value.text.startswith("x line ")


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kea_config, "CONFIGURATION_BYTES_MAX", 10)
    with pytest.raises(Refusal, match="more than the 10"):
        read_configuration(SAMPLE)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_configuration(b"{" + data)
    except Refusal:
        return


def plain(node: Node) -> Json:
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(value) for value in node.value]
    return node.value


values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_what_is_written_is_read_again(value: dict[str, Json]) -> None:
    text = "".join(write_configuration(value)).encode("utf-8", "surrogatepass")
    try:
        assert plain(read_configuration(text).root) == value
    except Refusal:
        # A lone surrogate is no text.
        with pytest.raises(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()
