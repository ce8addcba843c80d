"""Take over what Windows' Export-DhcpServer wrote: scopes, options, classes, policies, reservations, leases.

Elements that are not known here are noted with their line, so that an export of a newer Windows loses
nothing in silence. Windows names a client without the type in front of its identifier: six bytes are a MAC
address, an IAID and a DUID get their type back (RFC 4361 section 6.1).

Source: spec/dhcp.md section 4.4; MS-DHCPM for the flags of DNS registration.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address

from holdfast.dhcp.migrate_windows_options import read_classes, read_definitions, read_options
from holdfast.dhcp.migrate_windows_policies import read_policies
from holdfast.dhcp.moving import Arrival, LeaseState, MovedLease, exclusions_in
from holdfast.directory.dhcp import (
    ClientKind,
    DhcpServer,
    DnsUpdates,
    FilterAction,
    MacFilter,
    Reservation,
    Scope,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.windows_dhcp_export import Element, Export, WindowsLease

# TimeSpan.MaxValue, as Windows writes "unlimited".
_UNLIMITED_DAYS = 10_000_000
_SPAN = re.compile(r"(?:(\d{1,9})\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?")
_OCTETS = re.compile(r"[0-9A-Fa-f]{2}(?:-?[0-9A-Fa-f]{2}){0,254}")
_CLIENT_KINDS = {"Dhcp": ClientKind.DHCP, "Bootp": ClientKind.BOOTP, "Both": ClientKind.BOTH}
DUID_TYPES = frozenset((b"\0\1", b"\0\2", b"\0\3", b"\0\4"))  # RFC 8415 section 11
_NO_LIMIT = 4294967295  # of BOOTP clients
# What says nothing of how clients are served, or follows from what else is there.
_PASSED_OVER = frozenset({"NapEnable", "NapProfile", "NapEnabled", "NpsUnreachableAction", "ScopeId"})


def arrive_from_windows(export: Export, *, name: str, server: str) -> Arrival:
    """Turn an export into our words; leases that have ended are remembered for their clients.

    Args:
        export: the file.
        name: what it is called, for notes.
        server: the server of ours that takes it over.

    Raises:
        Refusal: an element that everything depends on is missing or malformed; with the line.
    """
    return _Reader(name, Arrival(DhcpServer(server))).read(export)


class _Reader:
    def __init__(self, name: str, arrival: Arrival) -> None:
        self.name = name
        self.arrival = arrival

    def place(self, element: Element | WindowsLease) -> str:
        return f"{self.name} line {element.line}"

    def read(self, export: Export) -> Arrival:
        ipv4 = export.root.child("IPv4")
        if ipv4 is None:
            raise Refusal(f"{self.name} has no IPv4 element: it holds nothing of a DHCPv4 server")
        for element in export.root.children:
            if element.name == "IPv6":
                self.ipv6(element)
            elif element.name not in ("IPv4", "MajorVersion", "MinorVersion"):
                self.unknown(element)
        # Classes and definitions first: everything else refers to them.
        for element in ipv4.all("Classes"):
            read_classes(element, self.name, self.arrival)
        for element in ipv4.all("OptionDefinitions"):
            read_definitions(element, self.name, self.arrival)
        for element in ipv4.children:
            self.server_element(element)
        for lease in export.leases:
            self.lease(lease)
        return self.arrival

    def unknown(self, element: Element) -> None:
        if element.name in _PASSED_OVER:
            return
        text = f"{element.name} {element.text}" if element.text else element.name
        self.arrival.left(self.place(element), text, "this element is not known")

    def ipv6(self, element: Element) -> None:
        scopes = element.child("Scopes")
        if scopes is not None and scopes.children:
            self.arrival.left(
                self.place(scopes), f"{len(scopes.children)} IPv6 scopes", "DHCPv6 is not served"
            )

    def server_element(self, element: Element) -> None:
        arrival = self.arrival
        match element.name:
            case "Classes" | "OptionDefinitions":
                pass
            case "ConflictDetectionAttempts":
                count = self.number(element, 5)
                arrival.server = replace(arrival.server, probe_count=count)
            case "ActivatePolicies":
                arrival.server = replace(arrival.server, policies_enabled=element.text.lower() != "false")
            case "OptionValues":
                options = read_options(element, self.name, arrival)
                arrival.server = replace(arrival.server, options=options.values)
                if options.lease_s is not None:
                    arrival.left(
                        self.place(element), "lease (option 51) of the server", "each scope has its own lease"
                    )
                if options.dns_flags is not None:
                    arrival.left(
                        self.place(element),
                        "registration in DNS (option 81) of the server",
                        "it stands at each scope: set it there where it is not set yet",
                    )
            case "Policies":
                policies = read_policies(element, self.name, arrival, scope=None)
                arrival.server = replace(arrival.server, policies=policies)
            case "Filters":
                self.filters(element)
            case "Scopes":
                for each in element.children:
                    self.scope(each)
            case "Statistics" | "ServerBindings":
                pass
            case _:
                self.unknown(element)

    def number(self, element: Element, most: int) -> int:
        if not element.text.isascii() or not element.text.isdigit() or len(element.text) > 10:
            raise Refusal(f'{self.place(element)}: {element.name} "{element.text[:40]}" is not a number')
        return min(int(element.text), most)

    def filters(self, element: Element) -> None:
        arrival = self.arrival
        for each in element.children:
            if each.name in ("Allow", "Deny"):
                on, server = each.text.lower() == "true", arrival.server
                allows = each.name == "Allow"
                arrival.server = (
                    replace(server, allow_filter=on) if allows else replace(server, deny_filter=on)
                )
            elif each.name == "Filter" and each.value("List").lower() in ("allow", "deny"):
                pattern = each.value("MacAddress").replace("-", ":").lower()
                action = FilterAction(each.value("List").lower())
                servers = (arrival.server.server,)
                arrival.filters.append(MacFilter(pattern, action, servers, each.value("Description")))
            else:
                self.unknown(each)

    # --- scopes ----------------------------------------------------------------------------

    def scope(self, element: Element) -> None:
        place = self.place(element)
        if element.name != "Scope":
            self.unknown(element)
            return
        try:
            mask = ipaddress.IPv4Network(f"{element.value('ScopeId')}/{element.value('SubnetMask')}")
        except ValueError as error:
            raise Refusal(f"{place}: scope {element.value('ScopeId')[:40]}: {error}") from None
        subnet = IPRange(mask[0], mask[-1])
        name = self.arrival.new_scope_name(element.value("Name") or str(mask[0]), subnet)
        scope = Scope(name, subnet, self.arrival.server.server, description=element.value("Description"))
        scope = replace(scope, pool=self.ends(element), superscope=element.value("SuperScopeName"))
        for each in element.children:
            scope = self.scope_element(scope, each)
        self.arrival.scopes.append(scope)

    def ends(self, element: Element) -> IPRange | None:
        first, last = element.value("StartRange"), element.value("EndRange")
        if not first and not last:
            return None
        try:
            found = IPRange(IPv4Address(first), IPv4Address(last))
        except ValueError:
            raise Refusal(
                f'{self.place(element)}: "{first[:40]}" to "{last[:40]}" is not an IP range'
            ) from None
        if int(found.first) > int(found.last):
            raise Refusal(f"{self.place(element)}: the range from {first} to {last} ends before it begins")
        return found

    def scope_element(self, scope: Scope, element: Element) -> Scope:
        match element.name:
            case (
                "Name"
                | "SubnetMask"
                | "StartRange"
                | "EndRange"
                | "Description"
                | "SuperScopeName"
                | "Leases"
            ):
                return scope
            case "LeaseDuration":
                return self.duration(scope, element)
            case "State":
                return replace(scope, enabled=element.text.lower() == "active")
            case "Type":
                serves = _CLIENT_KINDS.get(element.text)
                if serves is None:
                    self.unknown(element)
                    return scope
                return replace(scope, serves=serves)
            case "MaxBootpClients":
                count = self.number(element, _NO_LIMIT)
                return replace(scope, bootp_client_count_max=0 if count == _NO_LIMIT else count)
            case "Delay":
                return replace(scope, delay_ms=self.number(element, 1000))
            case "ActivatePolicies":
                return replace(scope, policies_enabled=element.text.lower() != "false")
            case "ExclusionRanges":
                found = [ends for one in element.children if (ends := self.ends(one)) is not None]
                return replace(scope, exclusions=exclusions_in(scope.pool, found))
            case "OptionValues":
                return self.options(scope, element)
            case "Policies":
                policies = read_policies(element, self.name, self.arrival, scope=scope)
                return replace(scope, policies=policies)
            case "Reservations":
                for each in element.children:
                    self.reservation(scope, each)
                return scope
            case _:
                self.unknown(element)
                return scope

    def duration(self, scope: Scope, element: Element) -> Scope:
        match = _SPAN.fullmatch(element.text)
        if match is None:
            raise Refusal(f'{self.place(element)}: LeaseDuration "{element.text[:40]}" is not d.hh:mm:ss')
        days, hours, minutes, seconds = (int(each or 0) for each in match.groups())
        if days >= _UNLIMITED_DAYS:
            return replace(scope, lease_unlimited=True)
        return replace(scope, lease_s=float(((days * 24 + hours) * 60 + minutes) * 60 + seconds))

    def options(self, scope: Scope, element: Element) -> Scope:
        options = read_options(element, self.name, self.arrival)
        scope = replace(scope, options=options.values)
        # LeaseDuration says the same as option 51; where both are there, they are equal.
        if options.dns_flags is not None:
            scope = with_dns_flags(scope, options.dns_flags)
        return scope

    # --- clients ---------------------------------------------------------------------------

    def reservation(self, scope: Scope, element: Element) -> None:
        place, arrival = self.place(element), self.arrival
        try:
            address = IPv4Address(element.value("IPAddress"))
        except ValueError:
            raise Refusal(
                f'{place}: reservation for "{element.value("IPAddress")[:40]}", no IPv4 address'
            ) from None
        mac, client_id = self.client(element.value("ClientId"), place, note=True)
        serves = _CLIENT_KINDS.get(element.value("Type"), ClientKind.BOTH)
        found = Reservation(
            scope.name,
            address,
            mac=mac.hex(":"),
            client_id=client_id.hex(":"),
            name=element.value("Name"),
            description=element.value("Description"),
            serves=serves,
        )
        for each in element.children:
            if each.name == "OptionValues":
                options = read_options(each, self.name, arrival)
                found = replace(found, options=options.values)
                if options.dns_flags is not None:
                    arrival.left(
                        self.place(each), "registration in DNS of a reservation", "the scope's settings hold"
                    )
            elif each.name not in ("IPAddress", "ClientId", "Type", "Name", "Description"):
                self.unknown(each)
        arrival.reservations.append(found)

    def client(self, text: str, place: str, *, note: bool) -> tuple[bytes, bytes]:
        """A client's MAC address, or its identifier with the type that Windows leaves out."""
        if not _OCTETS.fullmatch(text):
            raise Refusal(f'{place}: client "{text[:60]}" is not in hexadecimal')
        data = bytes.fromhex(text.replace("-", ""))
        if len(data) <= 6:
            return data, b""
        if data[4:6] in DUID_TYPES and len(data) > 8:
            return b"", b"\xff" + data
        if note:
            self.arrival.changed(
                place,
                f"client {text}",
                "Windows does not say the type of this identifier: 0 is assumed; correct it if it is another",
            )
        return b"", b"\0" + data

    def lease(self, lease: WindowsLease) -> None:
        place, fields = self.place(lease), lease.fields
        state = fields.get("AddressState", "Active").lower()
        if state == "inactivereservation" or (
            state == "activereservation" and "LeaseExpiryTime" not in fields
        ):
            return  # it says what the reservation says
        try:
            address = int(IPv4Address(fields.get("IPAddress", "")))
            ends_at = windows_moment(fields.get("LeaseExpiryTime", ""))
            mac, client_id = self.client(fields.get("ClientId", ""), place, note=False)
        except (ValueError, Refusal) as error:
            what = f"lease of {fields.get('IPAddress', '?')}"
            self.arrival.left(place, what, error.text if isinstance(error, Refusal) else str(error))
            return
        kept = LeaseState.REMEMBERED
        if state.startswith("active"):
            kept = LeaseState.ACTIVE
        elif state == "declined":
            kept = LeaseState.DECLINED
        host_name = fields.get("HostName", "").encode()
        self.arrival.leases[address] = MovedLease(
            address, kept, 1, mac, client_id, 0.0, ends_at, host_name, lease.line
        )


def with_dns_flags(scope: Scope, flags: int) -> Scope:
    """What the value of option 81 on a Windows server says about registration in DNS."""
    updates = DnsUpdates.NEVER
    if flags & 0x01:
        updates = DnsUpdates.ALWAYS if flags & 0x10 else DnsUpdates.ON_REQUEST
    return replace(
        scope,
        dns_updates=updates,
        dns_without_request=bool(flags & 0x02),
        dns_remove=bool(flags & 0x04),
        dns_protect=bool(flags & 0x20),
        dns_reverse=not flags & 0x40,
    )


def windows_moment(text: str) -> float:
    """Read ``2026-09-29T08:00:00``, with or without an offset (UTC without); empty is no end.

    Raises:
        ValueError: it is not a moment.
    """
    if not text:
        return math.inf
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    # A lease without an end expires in the last year that Windows can write.
    return math.inf if found.year >= 9999 else found.timestamp()
