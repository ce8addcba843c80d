"""Options of a Windows export."""

from __future__ import annotations

import pytest

from dhcp.moving_samples import notes_of
from dhcp.test_migrate_windows import ipv4
from holdfast.directory.dhcp_options import OptionDefinition, OptionType, OptionValue


def value(code: int, *texts: str, more: str = "") -> str:
    values = "".join(f"<Value>{text}</Value>" for text in texts)
    return f"<OptionValue><OptionId>{code}</OptionId>{values}{more}</OptionValue>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (value(3, "10.0.0.1", "10.0.0.2"), OptionValue(3, ("10.0.0.1", "10.0.0.2"))),
        (value(33, "10.0.0.0", "10.0.0.2"), OptionValue(33, ("10.0.0.0 10.0.0.2",))),
        (value(23, "0x40"), OptionValue(23, ("64",))),
        (value(19, "1"), OptionValue(19, ("true",))),
        (value(2, "-60"), OptionValue(2, ("-60",))),
        (value(15, "a.example"), OptionValue(15, ("a.example",))),
        (value(43, "0x01", "0x02"), OptionValue(43, ("01:02",))),
        (value(43, "0102"), OptionValue(43, ("01:02",))),
        (value(230, "0x05"), OptionValue(230, ("05",))),
    ],
)
def test_values(text: str, expected: OptionValue) -> None:
    arrival = ipv4(f"<OptionValues>{text}</OptionValues>")
    assert notes_of(arrival) == []
    assert arrival.server.options == (expected,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (value(3, "x"), "option 3"),
        (value(23, "x"), "option 23"),
        (value(23, "300"), "option 23"),
        (value(43, "x"), "option 43"),
        (value(51, "x"), "option 51"),
        (value(51, "60", more="<UserClass>Lab</UserClass>"), "option 51"),
        (value(53, "0x01"), "option 53"),
        (value(7, "0x01", more="<VendorClass>Nobody</VendorClass>"), "option 7"),
    ],
)
def test_values_that_cannot_be_taken_over_are_noted(text: str, what: str) -> None:
    arrival = ipv4(f"<OptionValues>{text}</OptionValues>")
    assert what in [note[2] for note in notes_of(arrival)]
    assert arrival.server.options == ()


def test_definitions_and_classes() -> None:
    def definition(code: int, kind: str, multi: str = "false") -> str:
        return (
            f"<OptionDefinition><Name>n{code}</Name><OptionId>{code}</OptionId><Type>{kind}</Type>"
            f"<MultiValued>{multi}</MultiValued></OptionDefinition>"
        )

    arrival = ipv4(
        "<Classes><Class><Name>x</Name><Type>Other</Type><Data>0x01</Data></Class><Class><Name>y</Name>"
        "<Type>User</Type><Data>zz</Data></Class></Classes><OptionDefinitions>"
        + definition(224, "DWordDWord")
        + definition(225, "String", "true")
        + definition(226, "IPv6Address")
        + definition(227, "Byte", "true")
        + definition(3, "String")
        + "</OptionDefinitions>"
    )
    assert arrival.definitions == [
        OptionDefinition(224, "n224", (OptionType.UINT64,)),
        OptionDefinition(225, "n225", (OptionType.TEXT,)),
        OptionDefinition(227, "n227", (OptionType.UINT8,), array=True),
    ]
    assert [note[2] for note in notes_of(arrival)] == ["class x", "class y", "definition of option 226"]
