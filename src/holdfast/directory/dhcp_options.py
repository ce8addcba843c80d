"""DHCP options as an administrator declares them: definitions, values, classes of clients.

An option value is kept as texts, whose form its definition gives
(``directory.option_values`` turns them into bytes and back). Built-in
definitions are in ``directory.option_table``.

Source: RFC 2132; what Windows exports, Kea and ISC dhcpd configurations have in common.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from holdfast.directory.about import NAME, about


class OptionType(enum.Enum):
    """What one field of an option is, and how it is written as text."""

    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    INT32 = "int32"
    BOOL = "bool"  # true or false
    TEXT = "text"  # UTF-8, without a null at its end
    ADDRESS = "address"  # 192.0.2.1
    ADDRESSES = "addresses"  # one or more to the end: 192.0.2.1 192.0.2.2
    DOMAIN = "domain"  # example.com as labels (RFC 1035 section 3.1)
    DOMAINS = "domains"  # a search list, compressed (RFC 3397 section 2)
    ROUTES = "routes"  # 10.0.0.0/8 192.0.2.1 (RFC 3442)
    HEX = "hex"  # any bytes: 00:1a:2b or 001a2b
    EMPTY = "empty"  # the option has no data


class ClassKind(enum.Enum):
    """By what a client says of itself a class is known."""

    VENDOR = "vendor"  # option 60
    USER = "user"  # option 77


@dataclass(frozen=True, slots=True)
class OptionDefinition:
    """The name and the form of an option, of our own or of a vendor."""

    code: int = field(
        metadata=about(
            "the option's number; below a vendor class that of a sub-option of option 43",
            unit="option code",
            source="RFC 2132 section 2",
            most=254,
        )
    )
    name: str = field(metadata=about("how people call it"))
    types: tuple[OptionType, ...] = field(
        metadata=about("its fields in their order; nearly every option has just one", source="RFC 2132")
    )
    array: bool = field(
        default=False, metadata=about("whether it may hold several values", source="RFC 2132")
    )
    vendor_class: str = field(
        default="",
        metadata=about(
            "the vendor class whose sub-option it is; empty for an option of its own",
            unit="name of a class",
            source="RFC 2132 section 8.4",
        ),
    )
    default: tuple[str, ...] = field(
        default=(), metadata=about("what is proposed when a value is set; it is not sent by itself")
    )
    description: str = field(default="", metadata=about("for people"))

    @property
    def key(self) -> str:
        """Its identity: the code, below a vendor class with the name of that."""
        return f"{self.vendor_class}/{self.code}" if self.vendor_class else str(self.code)


@dataclass(frozen=True, slots=True)
class OptionValue:
    """What a client is given for one option.

    The place where it stands is its level: a server, a scope, a policy or a
    reservation. The nearest to the client wins.
    """

    code: int = field(
        metadata=about("the option's number", unit="option code", source="RFC 2132 section 2", most=254)
    )
    values: tuple[str, ...] = field(
        default=(),
        metadata=about("one text for each value, in the form of the option's definition", most=12_288),
    )
    vendor_class: str = field(
        default="",
        metadata=about(
            "for clients of this vendor class alone, inside option 43",
            unit="name of a class",
            source="RFC 2132 section 8.4",
        ),
    )
    user_class: str = field(
        default="",
        metadata=about(
            "for clients of this user class alone", unit="name of a class", source="RFC 3004 section 4"
        ),
    )
    always: bool = field(
        default=False,
        metadata=about("whether clients get it that did not ask for it", source="RFC 2131 section 3.5"),
    )


@dataclass(frozen=True, slots=True)
class DhcpClass:
    """Clients that say the same of themselves: a vendor class or a user class."""

    name: str = field(metadata=NAME)
    kind: ClassKind = field(metadata=about("what the client says it in", source="RFC 2132 section 9.13"))
    data: str = field(
        metadata=about(
            'what the client sends: a text as it is, or bytes as 0x and hexadecimal digits; "0x" in front '
            "of a text that itself begins so is written in hexadecimal",
            source="RFC 2132 section 9.13; RFC 3004 section 4",
            most=1024,
        )
    )
    description: str = field(default="", metadata=about("for people"))

    @property
    def data_bytes(self) -> bytes:
        """What the client sends.

        Raises:
            ValueError: it begins with 0x and no hexadecimal digits follow.
        """
        return class_data(self.data)


def class_data(text: str) -> bytes:
    """Turn ``MSFT 5.0`` or ``0x4d534654`` into bytes.

    Raises:
        ValueError: it begins with 0x and no hexadecimal digits follow.
    """
    if text[:2].lower() == "0x":
        return bytes.fromhex(text[2:].replace(":", ""))
    return text.encode()
