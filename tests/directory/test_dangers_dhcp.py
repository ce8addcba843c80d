"""What a change takes from clients is told before it is made, and only when the change does it."""

from __future__ import annotations

import dataclasses

import pytest
from tests.directory.dhcp_organisation import BASE, MAC, OTHER_MAC, reserve, with_office, with_scopes

from holdfast.directory.dangers import find_dangers
from holdfast.directory.dangers_dhcp import find_dhcp_dangers
from holdfast.directory.dhcp import DhcpServer, FilterAction, MacFilter
from holdfast.directory.dhcp_options import OptionValue
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import parse_ip_range

POOL = parse_ip_range("192.0.2.10-192.0.2.200")
RESERVED = dataclasses.replace(
    BASE, reservations=(reserve("192.0.2.5", MAC, name="desk"), reserve("192.0.2.6", OTHER_MAC))
)
MANY = dataclasses.replace(
    BASE, reservations=tuple(reserve(f"192.0.2.{i}", f"02:00:00:00:00:{i:02x}") for i in range(20, 29))
)


def _server(**changes: object) -> Organisation:
    return dataclasses.replace(BASE, dhcp_servers=(DhcpServer("dhcp1", **changes),))  # type: ignore[arg-type] # from a table


def _pair(*servers: DhcpServer) -> Organisation:
    pair = FailoverRelationship("pair", ("dhcp1", "dhcp2"), ("office",))
    return dataclasses.replace(BASE, dhcp_servers=servers, failover_relationships=(pair,))


def _allow_list(*filters: MacFilter) -> Organisation:
    return dataclasses.replace(_server(allow_filter=True), mac_filters=filters)


def _own_address(address: str) -> Organisation:
    first, *others = BASE.servers
    return dataclasses.replace(BASE, servers=(dataclasses.replace(first, addresses=(address,)), *others))


CASES: dict[str, tuple[Organisation, Organisation, list[str]]] = {
    "clients without IPv4 that would ask again at once": (
        BASE,
        with_office(options=(OptionValue(108, ("60",)),)),
        ["wait 60 s before they ask again (option 108): they wait 300 s at least"],
    ),
    "clients without IPv4 that wait for the usual time, or for long": (
        BASE,
        with_office(
            options=(OptionValue(108, ("0",)),),
        ),
        [],
    ),
    "nothing": (BASE, BASE, []),
    "scope is removed": (
        BASE,
        with_scopes(),
        ['scope "office" is removed: its clients get no answer when they renew'],
    ),
    "scope is removed with its reservations": (
        RESERVED,
        with_scopes(),
        ['scope "office" is removed, and its 2 reservations with it: its clients'],
    ),
    "scope is disabled": (BASE, with_office(enabled=False), ['scope "office" is disabled: its clients get']),
    "scope is enabled": (with_office(enabled=False), BASE, []),
    "another subnet": (
        BASE,
        with_office(subnet=parse_ip_range("192.0.2.0/23")),
        ["changes its subnet from 192.0.2.0/24 to 192.0.2.0/23"],
    ),
    "another server": (
        BASE,
        with_office(server="dhcp2"),
        ['changes from server "dhcp1" to "dhcp2": its leases stay there'],
    ),
    "smaller pool": (
        BASE,
        with_office(pool=parse_ip_range("192.0.2.20-192.0.2.190")),
        ['scope "office" no longer leases 192.0.2.10-192.0.2.19, 192.0.2.191-192.0.2.200: clients that'],
    ),
    "larger pool": (BASE, with_office(pool=parse_ip_range("192.0.2.2-192.0.2.254")), []),
    "no pool": (BASE, with_office(pool=None), ["no longer leases 192.0.2.10-192.0.2.200"]),
    "exclusion": (
        BASE,
        with_office(exclusions=(parse_ip_range("192.0.2.77"),)),
        ["no longer leases 192.0.2.77: clients"],
    ),
    "leases without an end": (
        BASE,
        with_office(lease_unlimited=True),
        ["leases addresses without an end: they never come back"],
    ),
    "everything is excluded": (
        BASE,
        with_office(exclusions=(POOL,)),
        ["no longer leases 192.0.2.10-192.0.2.200", "leases nothing but reservations"],
    ),
    "reservation is removed": (
        RESERVED,
        BASE,
        [
            '192.0.2.5 (desk) in scope "office" is no longer reserved: its client may get another address',
            '192.0.2.6 in scope "office" is no longer reserved',
        ],
    ),
    "reservation of another client": (
        RESERVED,
        dataclasses.replace(BASE, reservations=(reserve("192.0.2.5", OTHER_MAC), *RESERVED.reservations[1:])),
        ['192.0.2.5 (desk) in scope "office" is reserved for another client'],
    ),
    "many reservations are removed": (
        MANY,
        BASE,
        [
            '192.0.2.20 in scope "office" is no longer reserved: its client may get another address, and '
            "others may get this one; so with 8 other reservations"
        ],
    ),
    "router outside the subnet": (
        BASE,
        with_office(options=(OptionValue(3, ("192.0.3.1",)),)),
        ['the router 192.0.3.1 of scope "office" is not in its subnet 192.0.2.0/24'],
    ),
    "router outside the subnet as before": (
        with_office(options=(OptionValue(3, ("192.0.3.1",)),)),
        with_office(options=(OptionValue(3, ("192.0.3.1",)),), description="new"),
        [],
    ),
    "router inside the pool": (
        BASE,
        with_office(options=(OptionValue(3, ("192.0.2.10",)),)),
        ['scope "office" leases 192.0.2.10, the address of its own router: exclude it'],
    ),
    "router outside the pool": (BASE, with_office(options=(OptionValue(3, ("192.0.2.1",)),)), []),
    "server of ours inside the pool": (
        BASE,
        _own_address("192.0.2.20"),
        ['scope "office" leases 192.0.2.20, the address of server "dhcp1": exclude it'],
    ),
    "server of ours outside the pool": (BASE, _own_address("192.0.2.2"), []),
    "empty allow list": (
        BASE,
        _allow_list(MacFilter("02*", FilterAction.DENY), MacFilter("04*", FilterAction.ALLOW, ("dhcp2",))),
        ["serves the clients on its allow list alone", 'allow list of dhcp server "dhcp1" is on, but empty'],
    ),
    "allow list": (
        BASE,
        _allow_list(MacFilter("02*", FilterAction.ALLOW)),
        ["serves the clients on its allow list alone"],
    ),
    "allow list gets empty": (
        _allow_list(MacFilter("02*", FilterAction.ALLOW)),
        _allow_list(),
        ["is on, but empty: nobody is served; add clients with: holdfast dhcp filter add"],
    ),
    "deny list goes off": (_server(deny_filter=True), _server(), ["serves the clients on its deny list"]),
    "fewer interfaces": (
        _server(interfaces=("eth0", "eth1")),
        _server(interfaces=("eth1",)),
        ["no longer listens on eth0: clients there"],
    ),
    "some interfaces instead of all": (
        BASE,
        _server(interfaces=("eth1",)),
        ["listens on eth1 alone: clients elsewhere"],
    ),
    "all interfaces instead of some": (_server(interfaces=("eth1",)), _server(), []),
    "partners that tell different things": (
        _pair(),
        _pair(DhcpServer("dhcp1", options=(OptionValue(6, ("192.0.2.2",)),))),
        ['servers "dhcp1" and "dhcp2" of failover relationship "pair" tell clients'],
    ),
    "partners that tell the same": (
        _pair(),
        _pair(
            DhcpServer("dhcp1", options=(OptionValue(6, ("192.0.2.2",)),), probe_count=1),
            DhcpServer("dhcp2", options=(OptionValue(6, ("192.0.2.2",)),)),
        ),
        [],
    ),
    "names in DNS": (
        BASE,
        _server(dns_servers=("192.0.2.53",)),
        ["sends updates to DNS without a key"],
    ),
    "names in DNS, signed": (BASE, _server(dns_servers=("192.0.2.53",), dns_key="k"), []),
    "names in DNS, no longer signed": (
        _server(dns_servers=("192.0.2.53",), dns_key="k"),
        _server(dns_servers=("192.0.2.53",)),
        ["sends updates to DNS without a key"],
    ),
    "no names in DNS any more": (
        _server(dns_servers=("192.0.2.53",)),
        _server(),
        ["registers no names in DNS any more; those that are there stay"],
    ),
    "authoritative": (
        _server(authoritative=False),
        _server(),
        ["says no (DHCPNAK) to clients of other servers on the same wire"],
    ),
    "what is wrong anyhow is told by the checks": (
        BASE,
        with_office(pool=parse_ip_range("2001:db8::/64"), options=(OptionValue(3, ("x",)),)),
        ["no longer leases 192.0.2.10-192.0.2.200"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_dangers(case: str) -> None:
    before, after, expected = CASES[case]
    dangers = list(find_dhcp_dangers(before, after))
    assert len(dangers) == len(expected), dangers
    for danger, part in zip(dangers, expected, strict=True):
        assert part in danger


def test_dangers_of_dhcp_are_among_all() -> None:
    assert any("is disabled" in each for each in find_dangers(BASE, with_office(enabled=False)))
