"""An organisation survives the way into a file and back; a wrong file is refused with all that is wrong."""

from __future__ import annotations

import enum
import ipaddress
import types
import typing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.directory.kinds import KINDS, make_object, settings_of
from holdfast.directory.model import Mailbox, Organisation
from holdfast.directory.toml_format import FILE_CHARACTERS_MAX, read_organisation, write_organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId, Revision
from holdfast.kernel.iprange import IPRange, parse_ip_range

# TOML holds every text but lone surrogates.
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
# As they are read: one of IPv4 addresses in the clothes of IPv6 is one of IPv4.
RANGES = st.one_of(
    st.lists(st.ip_addresses(v=4), min_size=2, max_size=2),
    st.lists(st.ip_addresses(v=6), min_size=2, max_size=2),
).map(lambda ends: parse_ip_range("{}-{}".format(*sorted(ends))))


def _values(hint: object) -> st.SearchStrategy[object]:
    if typing.get_origin(hint) is tuple:
        return st.lists(_values(typing.get_args(hint)[0]), max_size=2).map(tuple)
    if typing.get_origin(hint) is types.UnionType:
        inner = next(each for each in typing.get_args(hint) if each is not types.NoneType)
        return st.none() | _values(inner)
    if hint is IPRange:
        return RANGES
    if hint is ipaddress.IPv4Address:
        return st.ip_addresses(v=4)
    if hint in (str, MailboxId):
        return TEXTS
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(-5, 1 << 60) | st.integers(0, 9999).map(lambda count: count << 20)
    if hint is float:
        return st.floats(-1e9, 1e9) | st.integers(0, 99_999).map(float)
    assert isinstance(hint, type)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    return _records(hint).map(lambda arguments: hint(**arguments))


def _records(record_type: type) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({each.attribute: _values(each.hint) for each in settings_of(record_type)})


ORGANISATIONS = st.builds(
    lambda own, collections: Organisation(**own, **collections),
    _records(Organisation),
    st.fixed_dictionaries(
        {
            kind.collection: st.lists(
                _records(kind.type).map(lambda arguments, kind=kind: make_object(kind, arguments)), max_size=2
            ).map(tuple)
            for kind in KINDS
        }
    ),
)


def _read(text: str, existing: Organisation | None = None) -> Organisation:
    ids = iter(range(1000))
    return read_organisation(
        text, "o.toml", existing=existing or Organisation(), new_id=lambda: MailboxId(f"new{next(ids)}")
    )


def _problems(text: str) -> list[str]:
    with pytest.raises(Refusal) as caught:
        _read(text)
    assert caught.value.problems
    assert all(str(each) for each in caught.value.problems)
    if len(caught.value.problems) == 1:
        assert caught.value.text == str(caught.value.problems[0])
    else:
        assert f"has {len(caught.value.problems)} problems" in caught.value.text
    return [str(each) for each in caught.value.problems]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ORGANISATIONS)
def test_what_is_written_is_read_back_equal(organisation: Organisation) -> None:
    assert _read(write_organisation(organisation)) == organisation


def test_demonstration_is_read_back_equal_also_with_windows_line_ends(organisation: Organisation) -> None:
    text = write_organisation(organisation)
    assert _read(text) == organisation
    assert _read("\ufeff" + text.replace("\n", "\r\n")) == organisation


def test_settings_with_their_default_are_left_out(organisation: Organisation) -> None:
    text = write_organisation(organisation)
    assert 'name = "internet"' in text
    assert "hop_count_max" not in text
    assert write_organisation(Organisation()) == ""


MAILBOXES = """
[[mailbox]]
address = "alice@example.test"
database = "DB01"

[[mailbox]]
address = "carol@example.test"
database = "DB01"
quota = "2GB"

[[mailbox]]
address = "dave@example.test"
database = "DB01"
mailbox_id = "d1"
"""


def test_known_mailbox_keeps_its_id_and_a_new_one_gets_one(organisation: Organisation) -> None:
    read = _read(MAILBOXES, organisation)
    assert read.mailboxes == (
        Mailbox("alice@example.test", MailboxId("a1"), "DB01"),
        Mailbox("carol@example.test", MailboxId("new0"), "DB01", quota_bytes=2 << 30),
        Mailbox("dave@example.test", MailboxId("d1"), "DB01"),
    )


def test_revision_is_that_of_the_existing_organisation() -> None:
    assert _read("", Organisation(revision=Revision(7))).revision == 7


def test_unknown_key_names_file_line_and_nearest_key() -> None:
    assert _problems(MAILBOXES.replace("quota", "quta")) == [
        'o.toml line 9: unknown key "quta" in mailbox "carol@example.test"; the nearest valid key is "quota"'
    ]


def test_all_problems_are_listed_in_the_order_of_their_lines() -> None:
    text = """[organisation]
tracking_subjects = true

[[mailbx]]

[site]
name = "Main"

[[server]]
name = 5
fqdn = "mail1.example.test"
site = "Main"
imap = [
  { bind = "127.0.0.1:143", tsl = "none" },
]

[[mailbox]]
address = "alice@example.test"
quota = true
"""
    assert _problems(text) == [
        'o.toml line 2: unknown key "tracking_subjects" in the organisation; '
        'the nearest valid key is "tracking_subject"',
        'o.toml line 4: unknown table "mailbx" outside all tables; the nearest valid table is "mailbox"',
        'o.toml line 6: "site" is not an array of tables; '
        "write [[site]] with two brackets, once for each site",
        'o.toml line 10: key "name" in server number 1 is 5: not a text; write it in quotes',
        'o.toml line 13: unknown key "tsl" in an entry of "imap"; the nearest valid key is "tls"',
        'o.toml line 17: key "database" is missing in mailbox "alice@example.test"; '
        "add it: where its mail lies",
        'o.toml line 19: key "quota" in mailbox "alice@example.test" is true: not a size; '
        'write for example quota = "2GB", or a number of bytes',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name = "x"', 'line 1: unknown key "name" outside all tables; write it below a line [organisation]'),
        ("zzz = 1", 'line 1: unknown key "zzz" outside all tables; valid tables are organisation, site'),
        ("[[organisation]]", 'line 1: "organisation" is not one table; write [organisation] once'),
        ("\nmailbox = [5]", 'line 2: "mailbox" holds something that is not a table; write [[mailbox]]'),
        ("[[mailbox]]\naddress = \nb = 1", "line 2, column 11: not TOML: Invalid value"),
        ("[[mailbox]]\na = 1\na = 2\n", "line 3, column 6: not TOML: Cannot overwrite a value"),
        ("a = 1\nb = [", "line 2, at the end: not TOML: "),
        (f"a = {'9' * 5000}", "somewhere: not TOML: "),
        ("a = " + "[" * 5000, "line 1: brackets are nested more than 32 deep; write it flat"),
        (".".join("a" * 5000) + " = 1", "line 1: a key has more than 8 parts; write it flat"),
        ("a = 2026-13-45", "not TOML"),
    ],
)
def test_broken_file_is_refused_with_its_place(text: str, problem: str) -> None:
    (told,) = _problems(text)
    assert told.startswith("o.toml ")
    assert problem in told
    assert len(told) < 400


def test_huge_file_is_refused_unread() -> None:
    with pytest.raises(Refusal, match="is it the right file"):
        _read(" " * (FILE_CHARACTERS_MAX + 1))


FRAGMENTS = st.sampled_from(
    [
        "[organisation]\n",
        "[[mailbox]]\n",
        "[mailbox]\n",
        "[[server.imap]]\n",
        "[[server]]\n",
        "[[site]]\n",
        'address = "a@example.test"\n',
        'name = "x"\n',
        "name = 2026-01-01\n",
        'quota = "5MB"\n',
        "subnets = [1, {a = 1}, []]\n",
        "subnets = [\n'192.0.2.0/24', # x\n]\n",
        "imap = {}\n",
        "cost = 1e400\n",
        "cost = 07\n",
        "x.y.z = '''\n'''\n",
        "tls = [nan]\n",
        '"',
        "\\",
        "\x00",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=5)), max_size=8).map("".join))
def test_any_text_is_an_organisation_or_refused_with_its_line(text: str) -> None:
    try:
        read = _read(text)
    except Refusal as refusal:
        places = [each.subject for each in refusal.problems]
    else:
        places = ["o.toml"] if isinstance(read, Organisation) else []
    assert places
    assert all(place.startswith("o.toml") for place in places)
