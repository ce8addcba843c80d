"""Take over what Kea's DHCPv4 configuration says.

Parameters that are inherited (global, shared network, subnet) are read from the outside in. Options of
client classes become policies of the server, which give way to scopes as they do in Kea. A parameter that
is not known, or cannot be said in our model, is noted with its line.

Source: Kea Administrator Reference Manual, "The DHCPv4 Server"; spec/dhcp.md section 4.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from holdfast.dhcp.migrate_dns import kea_zones, take_zones
from holdfast.dhcp.migrate_kea_options import NO_SERVER, KeaClasses, KeaOptions
from holdfast.dhcp.moving import Arrival, exclusions_in, pool_of
from holdfast.directory.dhcp import (
    UNLIMITED_LEASE_S,
    DhcpServer,
    DnsUpdates,
    Policy,
    Reservation,
    Scope,
)
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.kea_config import Configuration, Node

_DEFAULT_LEASE_S = 7200.0
# What has no effect on which client gets what; where an administrator may miss it, with the reason.
_PASSED_OVER = {
    "control-socket": "",
    "control-sockets": "",
    "multi-threading": "",
    "dhcp4o6-port": "",
    "server-tag": "",
    "config-control": "",
    "sanity-checks": "",
    "statistic-default-sample-count": "",
    "statistic-default-sample-age": "",
    "dhcp-queue-control": "",
    "expired-leases-processing": "",
    "store-extended-info": "",
    "early-global-reservations-lookup": "",
    "ip-reservations-unique": "",
    "reservations-lookup-first": "",
    "reservations-in-subnet": "",
    "reservations-out-of-pool": "",
    "reservations-global": "",
    "reservation-mode": "",
    "host-reservation-identifiers": "",
    "echo-client-id": "",
    "cache-threshold": "",
    "cache-max-age": "",
    "parked-packet-limit": "",
    "calculate-tee-times": "",
    "4o6-interface": "",
    "4o6-interface-id": "",
    "4o6-subnet": "",
    "lease-database": "give its leases with --leases",
    "hosts-database": "reservations in a database are not here: export them into the configuration",
    "hosts-databases": "reservations in a database are not here: export them into the configuration",
    "hooks-libraries": "what hooks do is set up anew: high availability too",
    "loggers": "the log is that of Holdfast",
    "dhcp-ddns": "where names are registered is set with: holdfast dhcp dns set --dns-server",
    "compatibility": "",
}
_BOOT = ("next-server", "server-hostname", "boot-file-name")
_TIMES = (
    "valid-lifetime",
    "min-valid-lifetime",
    "max-valid-lifetime",
    "renew-timer",
    "rebind-timer",
    "t1-percent",
    "t2-percent",
)
_DNS = (
    "ddns-send-updates",
    "ddns-override-no-update",
    "ddns-override-client-update",
    "ddns-replace-client-name",
    "ddns-qualifying-suffix",
    "ddns-use-conflict-resolution",
    "ddns-conflict-resolution-mode",
)
_INHERITED = (*_BOOT, *_TIMES, *_DNS, "option-data")
_COMMENTS = ("user-context", "comment")


def arrive_from_kea(
    configuration: Configuration, *, name: str, server: str
) -> tuple[Arrival, dict[int, str]]:
    """Turn a configuration into our words.

    Args:
        configuration: the file.
        name: what it is called, for notes.
        server: the server of ours that takes it over.

    Returns:
        What arrives, and the scope of each ``subnet_id``.

    Raises:
        Refusal: a subnet, pool or reservation is malformed; with the line.
    """
    return _Reader(name, Arrival(DhcpServer(server, authoritative=False))).read(configuration)


class _Reader:
    def __init__(self, name: str, arrival: Arrival) -> None:
        self.name = name
        self.arrival = arrival
        self.options = KeaOptions(name, arrival)
        self.classes = KeaClasses(self.options)
        self.subnet_ids: dict[int, str] = {}
        self.registers = False  # whether Kea hands names over to the program that registers them

    def place(self, node: Node) -> str:
        return f"{self.name} line {node.line}"

    def left(self, key: str, node: Node, reason: str) -> None:
        text = f"{key} {node.text}".strip() if not node.items and not node.members else key
        self.arrival.left(self.place(node), text, reason)

    def read(self, configuration: Configuration) -> tuple[Arrival, dict[int, str]]:
        inside = configuration.root.members.get("Dhcp4")
        if inside is None:
            raise Refusal(f"{self.name} has no Dhcp4: it is not a configuration of Kea's DHCPv4 server")
        for line, file in configuration.includes:
            self.arrival.left(
                f"{self.name} line {line}", f"include {file}", "this file is not here: paste it in"
            )
        for key, node in configuration.root.members.items():
            if key == "DhcpDdns":
                take_zones(self.arrival, *kea_zones(self.name, node))
            elif key != "Dhcp4":
                self.left(key, node, "it is not about leases")
        members = inside.members
        if "option-def" in members:
            self.options.define(members["option-def"])
        inherited = {key: node for key, node in members.items() if key in _INHERITED}
        ddns = members.get("dhcp-ddns", Node({}, 0)).members.get("enable-updates")
        self.registers = ddns is not None and ddns.value is True
        self.server(members, inherited)
        for key, node in members.items():
            self.top(key, node, inherited)
        for each in members.get("reservations", Node([], 0)).items:
            self.reservation(each, None)
        return self.arrival, self.subnet_ids

    def server(self, members: dict[str, Node], inherited: dict[str, Node]) -> None:
        arrival = self.arrival
        next_server, server_name, boot_file = self.boot(members)
        policies: tuple[Policy, ...] = ()
        if "client-classes" in members:
            policies = self.classes.policies(members["client-classes"])
        arrival.server = replace(
            arrival.server,
            options=self.options.values(members.get("option-data")),
            policies=policies,
            next_server=next_server,
            server_name=server_name,
            boot_file=boot_file,
        )

    def top(self, key: str, node: Node, inherited: dict[str, Node]) -> None:
        arrival = self.arrival
        outside = {each: value for each, value in inherited.items() if each in (*_TIMES, *_DNS)}
        match key:
            case "subnet4":
                for each in node.items:
                    self.subnet(each, outside, "")
            case "shared-networks":
                for each in node.items:
                    self.shared_network(each, outside)
            case "interfaces-config":
                self.interfaces(node)
            case "authoritative":
                arrival.server = replace(arrival.server, authoritative=node.value is True)
            case "decline-probation-period" if isinstance(node.value, int):
                arrival.server = replace(arrival.server, decline_s=float(max(node.value, 1)))
            case "match-client-id":
                if node.value is False:
                    self.left(key, node, "a client is known by its identifier here, if it sends one")
            case "option-def" | "client-classes" | "reservations":
                pass
            case _ if key in _INHERITED or key in _COMMENTS:
                pass
            case _:
                self.unknown(key, node)

    def unknown(self, key: str, node: Node) -> None:
        reason = _PASSED_OVER.get(key, "this parameter is not known")
        if reason:
            self.left(key, node, reason)

    def interfaces(self, node: Node) -> None:
        names: list[str] = []
        for key, value in node.members.items():
            if key == "interfaces":
                names = [each.text.partition("/")[0] for each in value.items]
            elif key not in ("dhcp-socket-type", "outbound-interface", "re-detect") and "sockets" not in key:
                self.left(key, value, "this parameter is not known")
        if "*" not in names:
            found = tuple(dict.fromkeys(each for each in names if each))
            self.arrival.server = replace(self.arrival.server, interfaces=found)

    def shared_network(self, node: Node, outside: dict[str, Node]) -> None:
        members = node.members
        inherited = outside | {key: value for key, value in members.items() if key in _INHERITED}
        name = members["name"].text if "name" in members else ""
        for key, value in members.items():
            if key == "subnet4":
                continue
            if key in (
                "relay",
                "interface",
                "client-class",
                "client-classes",
                "match-client-id",
                "authoritative",
            ):
                inherited[key] = value
            elif key != "name" and key not in _INHERITED and key not in _COMMENTS:
                self.unknown(key, value)
        for each in members.get("subnet4", Node([], 0)).items:
            self.subnet(each, inherited, name)

    # --- subnets ---------------------------------------------------------------------------

    def subnet(self, node: Node, outside: dict[str, Node], superscope: str) -> None:
        members = node.members
        text = members["subnet"].text if "subnet" in members else ""
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            raise Refusal(f'{self.place(node)}: subnet "{text[:60]}": {error}') from None
        subnet = IPRange(network[0], network[-1])
        merged = outside | members
        name, description = self.comment(members)
        scope = Scope(
            self.arrival.new_scope_name(name or str(network), subnet),
            subnet,
            self.arrival.server.server,
            description=description,
            superscope=superscope,
            options=self.options.values(members.get("option-data"), outside.get("option-data")),
        )
        scope = self.with_times(self.with_dns(scope, merged), merged, node)
        next_server, server_name, boot_file = self.boot(merged)
        scope = replace(scope, next_server=next_server, server_name=server_name, boot_file=boot_file)
        if "pools" in members:
            scope = self.pools(scope, members["pools"])
        if "relay" in merged:
            scope = replace(scope, relays=self.relays(merged["relay"]))
        if "id" in members and isinstance(members["id"].value, int):
            self.subnet_ids[members["id"].value] = scope.name
        self.arrival.scopes.append(scope)
        for key, value in merged.items():
            self.subnet_rest(key, value)
        for each in members.get("reservations", Node([], 0)).items:
            self.reservation(each, scope)

    def subnet_rest(self, key: str, value: Node) -> None:
        """Parameters of a subnet that nothing was made of."""
        match key:
            case "client-class" | "client-classes" | "require-client-classes" | "evaluate-additional-classes":
                self.left(
                    key, value, "a whole scope for a class is not known here: declare a policy with its pool"
                )
            case "interface":
                self.left(key, value, "the scope of an interface follows from the interface's address")
            case "match-client-id" | "authoritative":
                if (value.value is False) == (key == "match-client-id"):
                    self.left(key, value, "this is said for the whole server here")
            case "rapid-commit" | "user-context" | "comment":
                pass
            case "subnet" | "id" | "pools" | "relay" | "reservations":
                pass
            case _ if key in _INHERITED:
                pass
            case _:
                self.unknown(key, value)

    def comment(self, members: dict[str, Node]) -> tuple[str, str]:
        """A name and a description, as far as the file has them: Kea itself knows neither."""
        context = members.get("user-context", Node({}, 0)).members
        texts = [context[key].text for key in ("name", "comment", "description") if key in context]
        texts += [members["comment"].text] if "comment" in members else []
        texts = [each for each in texts if each]
        return (texts[0] if texts else ""), " ".join(texts[1:])

    def boot(self, members: dict[str, Node]) -> tuple[str, str, str]:
        next_server, server_name, boot_file = (members[key].text if key in members else "" for key in _BOOT)
        return (
            ("" if next_server == NO_SERVER else next_server),
            server_name,
            boot_file,
        )  # nobody listens: it means none

    def relays(self, node: Node) -> tuple[IPv4Address, ...]:
        found: list[IPv4Address] = []
        texts = [each.text for each in node.members.get("ip-addresses", Node([], 0)).items]
        if "ip-address" in node.members:
            texts.append(node.members["ip-address"].text)
        for text in texts:
            try:
                found.append(IPv4Address(text))
            except ValueError:
                raise Refusal(f'{self.place(node)}: relay "{text[:60]}" is not an IPv4 address') from None
        return tuple(found)

    def with_times(self, scope: Scope, members: dict[str, Node], node: Node) -> Scope:
        def seconds(key: str) -> float | None:
            value = members[key].value if key in members else None
            return (
                float(value) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
            )

        lease_s = seconds("valid-lifetime") or _DEFAULT_LEASE_S
        rebind_s = seconds("rebind-timer")
        for key, code, end_s in (
            ("renew-timer", 58, rebind_s or lease_s * 0.875),
            ("rebind-timer", 59, lease_s),
        ):
            span_s = seconds(key)
            if span_s is None or any(each.code == code for each in scope.options):
                continue
            if span_s >= end_s:
                reason = f"it is not before {end_s:g} s, when the next step comes; Kea sends it neither"
                self.arrival.changed(self.place(members[key]), f"{key} {span_s:g}", reason)
                continue
            value = self.arrival.option_of_texts(code, (f"{span_s:.0f}",), self.place(members[key]))
            scope = replace(scope, options=(*scope.options, *(() if value is None else (value,))))
        for key, usual in (("t1-percent", 0.5), ("t2-percent", 0.875)):
            if key in members and members[key].value != usual:
                self.left(
                    key, members[key], f"{usual:g} of the lease is usual; options 58 and 59 say other times"
                )
        if lease_s >= UNLIMITED_LEASE_S:
            return replace(scope, lease_unlimited=True)
        shortest_s, longest_s = seconds("min-valid-lifetime"), seconds("max-valid-lifetime")
        return replace(
            scope,
            lease_s=lease_s,
            shortest_lease_s=shortest_s if shortest_s is not None and shortest_s < lease_s else None,
            longest_lease_s=longest_s if longest_s is not None and longest_s > lease_s else None,
        )

    def with_dns(self, scope: Scope, members: dict[str, Node]) -> Scope:
        def on(key: str) -> bool:
            return key in members and members[key].value is True

        if "ddns-send-updates" in members and not on("ddns-send-updates"):
            return replace(scope, dns_updates=DnsUpdates.NEVER)
        always = on("ddns-override-no-update") or on("ddns-override-client-update")
        if "ddns-replace-client-name" in members and members["ddns-replace-client-name"].text not in (
            "",
            "never",
        ):
            self.left(
                "ddns-replace-client-name",
                members["ddns-replace-client-name"],
                "names are the clients' own here",
            )
        protect = not ("ddns-use-conflict-resolution" in members and not on("ddns-use-conflict-resolution"))
        if "ddns-conflict-resolution-mode" in members:
            protect = members["ddns-conflict-resolution-mode"].text == "check-with-dhcid"
        suffix = members["ddns-qualifying-suffix"].text if "ddns-qualifying-suffix" in members else ""
        return replace(
            scope,
            dns_updates=DnsUpdates.ALWAYS if always else DnsUpdates.ON_REQUEST,
            dns_suffix=suffix.rstrip("."),
            dns_protect=protect,
            # Kea takes the host name of a client that does not say who registers what.
            dns_without_request=self.registers,
        )

    def pools(self, scope: Scope, node: Node) -> Scope:
        ranges: list[IPRange] = []
        alone = len(node.items) == 1
        for each in node.items:
            ends = self.pool_range(each, scope)
            ranges.append(ends)
            for key, value in each.members.items():
                if key == "option-data" and alone:
                    own = self.options.values(value)
                    codes = {one.code for one in own}
                    kept = tuple(one for one in scope.options if one.code not in codes)
                    scope = replace(scope, options=(*own, *kept))
                elif key == "option-data" and value.items:
                    self.left(key, value, "options of a part of a pool: declare a policy with its range")
                elif key in ("client-class", "client-classes"):
                    scope = self.pool_class(scope, value, ends)
                elif key not in ("pool", "pool-id", "option-data", *_COMMENTS):
                    self.unknown(key, value)
        pool, gaps = pool_of(ranges)
        assert pool is not None or not ranges
        ends_of = (scope.subnet.first, scope.subnet.last) if scope.subnet.address_count > 2 else ()
        return replace(
            scope, pool=pool, exclusions=exclusions_in(pool, [*gaps, *(IPRange(one, one) for one in ends_of)])
        )

    def pool_class(self, scope: Scope, node: Node, ends: IPRange) -> Scope:
        names = [each.text for each in node.items] or [node.text]
        for name in names:
            policy = self.classes.pool_policy(name, ends, node, scope.policies)
            if policy is not None:
                scope = replace(scope, policies=(*scope.policies, policy))
        return scope

    def pool_range(self, node: Node, scope: Scope) -> IPRange:
        text = node.members["pool"].text if "pool" in node.members else ""
        try:
            if "-" in text:
                first, last = (IPv4Address(part.strip()) for part in text.split("-", 1))
            else:
                network = ipaddress.IPv4Network(text.strip())
                first, last = network[0], network[-1]
        except ValueError as error:
            raise Refusal(f'{self.place(node)}: pool "{text[:60]}": {error}') from None
        ends = IPRange(first, last)
        if int(first) > int(last) or not scope.subnet.contains_range(ends):
            raise Refusal(
                f'{self.place(node)}: pool "{text}" is not in {scope.subnet}, or ends before it begins'
            )
        return ends

    # --- reservations ----------------------------------------------------------------------

    def reservation(self, node: Node, scope: Scope | None) -> None:
        members = node.members
        what = "reservation " + " ".join(
            members[key].text
            for key in ("hw-address", "client-id", "ip-address", "hostname")
            if key in members
        )
        if "ip-address" not in members:
            self.left(what, node, "it has no address, and a reservation here is for one")
            return
        try:
            address = IPv4Address(members["ip-address"].text)
            mac = _octets(members.get("hw-address"))
            client_id = _octets(members.get("client-id"))
        except ValueError as error:
            raise Refusal(f"{self.place(node)}: {what[:80]}: {error}") from None
        scope = scope if scope is not None and address in scope.subnet else self.arrival.scope_at(address)
        if scope is None:
            self.left(what, node, "its address lies in no subnet of the file")
            return
        if not mac and len(client_id) < 2:
            reason = "only a hardware address or a client identifier says whom it is for here"
            self.left(what, node, reason)
            return
        next_server, server_name, boot_file = self.boot(members)
        self.arrival.reservations.append(
            Reservation(
                scope.name,
                address,
                mac=mac.hex(":"),
                client_id=client_id.hex(":"),
                name=members["hostname"].text if "hostname" in members else "",
                description=" ".join(each for each in self.comment(members) if each),
                options=self.options.values(members.get("option-data")),
                next_server=next_server,
                server_name=server_name,
                boot_file=boot_file,
            )
        )
        known = ("hw-address", "client-id", "ip-address", "hostname", "option-data", *_BOOT, *_COMMENTS)
        self.reservation_rest(members.items(), known)

    def reservation_rest(self, members: Iterable[tuple[str, Node]], known: tuple[str, ...]) -> None:
        for key, value in members:
            if key not in known and (value.items or value.text):
                self.left(key, value, "a reservation has no such thing here")


def _octets(node: Node | None) -> bytes:
    """Bytes as Kea writes them: hexadecimal with colons, plain, or a text in quotation marks."""
    text = node.text if node is not None else ""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].encode()
    digits = text.removeprefix("0x")
    if ":" in digits:
        return bytes(int(part, 16) for part in digits.split(":"))
    return bytes.fromhex(digits)
