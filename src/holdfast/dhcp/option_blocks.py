"""What a client is told: the options of all levels merged, and kept ready as the bytes of an answer.

The nearest level to the client wins: its reservation, the policies of its scope
in their order, the scope, the policies of the server, the server. Within a
level a value for the client's vendor class goes before one for its user class,
and that before one for everybody. What is merged is kept per combination that
occurred, so that the usual answer is one look into a dictionary.

Source: spec/dhcp.md section 4.4; RFC 2131 section 4.3.1; RFC 2132 sections 8.4 and 9.8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.served import OptionLevel, Served, ServedReservation, ServedScope, ServedValue
from holdfast.wire.dhcp4 import option_bytes
from holdfast.wire.dhcp4_values import (
    BROADCAST_ADDRESS,
    DOMAIN_NAME,
    IPV6_ONLY,
    LEASE_TIME,
    PARAMETER_LIST,
    REBINDING_TIME,
    RENEWAL_TIME,
    SUBNET_MASK,
    VENDOR_SPECIFIC,
)

# Clients of a network ask for a handful of lists; who makes up a new one each time costs only himself.
BLOCK_COUNT_MAX: Final = 2048
_DOMAIN = re.compile(r"(?!.{190})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NO_CLASSES: tuple[str, ...] = ()
# The server fills these in itself, after what is configured for them was taken out.
_OWN = (LEASE_TIME, RENEWAL_TIME, REBINDING_TIME)


@dataclass(frozen=True, slots=True)
class Block:
    """What one kind of client is told.

    Attributes:
        options: by code, in the order in which the client asked for them.
        encoded: the same as bytes.
        next_server: siaddr; None where ours is told.
        server_name: the field sname.
        boot_file: the field file.
        names: both fields as bytes.
        renewal_s: T1, where an administrator declared one.
        rebinding_s: T2; likewise.
        dns_suffix: the domain of its name in DNS; empty when none is declared.
        ready: ends of answers that say nothing else, by kind, server identifier and lease.
    """

    options: dict[int, bytes]
    encoded: bytes
    next_server: bytes | None
    server_name: bytes
    boot_file: bytes
    names: bytes
    renewal_s: int | None
    rebinding_s: int | None
    dns_suffix: str = ""
    ready: dict[tuple[int, bytes, int | None], bytes] = field(default_factory=dict)


class OptionBlocks:
    """The blocks of one server, as it is declared now."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._blocks: dict[tuple[object, ...], Block] = {}

    def block(
        self, scope: ServedScope, met: tuple[int, ...], reservation: ServedReservation | None, facts: Facts
    ) -> Block:
        """What a client is told.

        Args:
            scope: the scope of its address.
            met: the numbers of the policies that it meets.
            reservation: its own, when its address is reserved.
            facts: what it says of itself.
        """
        wanted = facts.message.options.get(PARAMETER_LIST)
        vendor_class, user_classes = "", _NO_CLASSES
        if self._served.has_class_values:
            vendor_class = self._served.classes.vendor_class(facts)
            user_classes = self._served.classes.user_classes(facts)
        at = None if reservation is None else reservation.address
        key = (scope.first, met, at, vendor_class, user_classes, wanted)
        block = self._blocks.get(key)
        if block is None:
            if len(self._blocks) >= BLOCK_COUNT_MAX:
                self._blocks.clear()
            block = self._make(scope, met, reservation, (vendor_class, user_classes), wanted)
            self._blocks[key] = block
        return block

    def _make(
        self,
        scope: ServedScope,
        met: tuple[int, ...],
        reservation: ServedReservation | None,
        classes: tuple[str, tuple[str, ...]],
        wanted: bytes | None,
    ) -> Block:
        levels = self._levels(scope, met, reservation)
        values = _merged(levels, *classes)
        values.setdefault(SUBNET_MASK, (scope.mask, True))
        values.setdefault(BROADCAST_ADDRESS, (scope.broadcast, False))
        times = {code: values.pop(code)[0] for code in _OWN if code in values}
        options = _chosen(values, wanted)
        next_server = next((level.next_server for level in reversed(levels) if level.next_server), None)
        server_name = next((level.server_name for level in reversed(levels) if level.server_name), b"")
        boot_file = next((level.boot_file for level in reversed(levels) if level.boot_file), b"")
        return Block(
            options=options,
            encoded=b"".join(option_bytes(code, value) for code, value in options.items()),
            next_server=next_server,
            server_name=server_name,
            boot_file=boot_file,
            names=server_name.ljust(64, b"\0") + boot_file.ljust(128, b"\0"),
            renewal_s=_seconds(times.get(RENEWAL_TIME)),
            rebinding_s=_seconds(times.get(REBINDING_TIME)),
            dns_suffix=_dns_suffix(scope, met, values),
        )

    def _levels(
        self, scope: ServedScope, met: tuple[int, ...], reservation: ServedReservation | None
    ) -> list[OptionLevel]:
        """The levels that count, the farthest from the client first."""
        of_server = [number for number in met if number >= scope.policy_from_server]
        of_scope = [number for number in met if number < scope.policy_from_server]
        return [
            self._served.options,
            *(scope.policies[number].options for number in reversed(of_server)),
            scope.options,
            *(scope.policies[number].options for number in reversed(of_scope)),
            *([] if reservation is None else [reservation.options]),
        ]


def _merged(
    levels: list[OptionLevel], vendor_class: str, user_classes: tuple[str, ...]
) -> dict[int, tuple[bytes, bool]]:
    """The value of each option, and whether it is sent unasked."""
    values: dict[int, tuple[bytes, bool]] = {}
    vendor_options: dict[int, bytes] = {}
    vendor_always = False
    for level in levels:
        for value in sorted(level.values, key=_nearness):
            if value.user_class and value.user_class not in user_classes:
                continue
            if not value.vendor_class:
                values[value.code] = (value.data, value.always)
            elif value.vendor_class == vendor_class:
                vendor_options[value.code] = value.data
                vendor_always = vendor_always or value.always
    if vendor_options:
        data = b"".join(
            bytes((code,)) + len(value[:255]).to_bytes(1, "big") + value[:255]
            for code, value in sorted(vendor_options.items())
        )
        values[VENDOR_SPECIFIC] = (data, vendor_always)
    return values


def _dns_suffix(scope: ServedScope, met: tuple[int, ...], values: dict[int, tuple[bytes, bool]]) -> str:
    """The domain of a client's name: its policy's, the scope's, or what it is told in option 15."""
    for suffix in (*(scope.policies[number].dns_suffix for number in met), scope.scope.dns_suffix):
        if suffix and _DOMAIN.fullmatch(known := suffix.strip(".").lower()):
            return known
    told = values.get(DOMAIN_NAME, (b"", False))[0].decode("ascii", "replace").strip(". \0").lower()
    return told if _DOMAIN.fullmatch(told) else ""


def _nearness(value: ServedValue) -> tuple[bool, bool]:
    return bool(value.vendor_class), bool(value.user_class)


def _chosen(values: dict[int, tuple[bytes, bool]], wanted: bytes | None) -> dict[int, bytes]:
    """What of it this client gets, in the order in which it asked; everything when it has no list."""
    if wanted is None:
        # Not to whom did not ask for it (RFC 8925 section 3.3).
        return {
            code: data for code, (data, _) in values.items() if code not in (IPV6_ONLY, BROADCAST_ADDRESS)
        }
    chosen = {SUBNET_MASK: values[SUBNET_MASK][0]}  # before the routers (RFC 2132 section 3.3)
    for code in wanted:
        if code in values:
            chosen[code] = values[code][0]
    for code, (data, always) in values.items():
        if always and code != IPV6_ONLY:
            chosen.setdefault(code, data)
    return chosen


def _seconds(value: bytes | None) -> int | None:
    return int.from_bytes(value, "big") if value else None
