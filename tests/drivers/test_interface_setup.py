"""Addresses and routes for an interface: the commands, and what the kernel makes of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from drivers.test_dhcp_sockets import in_a_namespace
from holdfast.dhcp.client_outputs import UseAddress
from holdfast.drivers.interface_setup import drop_command, run, use_commands
from holdfast.kernel.errors import Unavailable
from holdfast.wire.dhcp4_values import Route

ADDRESS, GATEWAY = IPv4Address("10.0.0.9"), IPv4Address("10.0.0.254")
BEHIND = "src 10.0.0.9 metric 1024 proto dhcp"


@pytest.mark.parametrize(
    ("use", "commands"),
    [
        (
            UseAddress(ADDRESS, 24, (GATEWAY, IPv4Address("10.0.0.253")), (), 3600.7),
            [
                "ip addr replace 10.0.0.9/24 broadcast 10.0.0.255 dev eth1 valid_lft 3600 preferred_lft 3600",
                f"ip route replace 0.0.0.0/0 via 10.0.0.254 dev eth1 {BEHIND} onlink",
            ],
        ),
        (
            UseAddress(IPv4Address("169.254.7.8"), 16, (), (), None),
            ["ip addr replace 169.254.7.8/16 broadcast 169.254.255.255 dev eth1"],
        ),
        (
            UseAddress(
                ADDRESS,
                32,
                (),
                (
                    Route(IPv4Network("10.7.0.0/16"), GATEWAY),
                    Route(IPv4Network("10.8.0.0/16"), IPv4Address("0.0.0.0")),
                ),
                0.2,
            ),
            [
                "ip addr replace 10.0.0.9/32 dev eth1 valid_lft 1 preferred_lft 1",
                f"ip route replace 10.7.0.0/16 via 10.0.0.254 dev eth1 {BEHIND} onlink",
                f"ip route replace 10.8.0.0/16 dev eth1 {BEHIND} scope link",
            ],
        ),
    ],
    ids=["a lease", "link-local", "routes"],
)
def test_the_commands(use: UseAddress, commands: list[str]) -> None:
    assert [" ".join(each) for each in use_commands("eth1", use)] == commands
    assert drop_command("eth1", use)[-3:] == (f"{use.address}/{use.prefix_bits}", "dev", "eth1")


def test_a_command_that_fails_says_which_and_why() -> None:
    with pytest.raises(Unavailable, match=r"^ip link set nosuch up: Cannot find device"):
        run(("ip", "link", "set", "nosuch", "up"))
    with pytest.raises(Unavailable, match="there is no program ip; install iproute2"):
        run(("no-such-program",))


PROGRAM = """
import subprocess
from ipaddress import IPv4Address, IPv4Network
from holdfast.dhcp.client_outputs import UseAddress
from holdfast.drivers.interface_setup import drop, run, up_command, use_commands
from holdfast.wire.dhcp4_values import Route

def show(*words):
    return subprocess.run(["ip", "-4", *words], capture_output=True, text=True, check=True).stdout

subprocess.run("ip link add v0 type veth peer name v1; ip link set v1 up", shell=True, check=True)
run(up_command("v0"))
routes = (Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.254")),
          Route(IPv4Network("10.8.0.0/16"), IPv4Address("0.0.0.0")))
use = UseAddress(IPv4Address("10.0.0.9"), 24, (), routes, 3600.0)
for _ in range(2):
    for command in use_commands("v0", use):
        run(command)
print("valid_lft 3600sec" in show("addr", "show", "dev", "v0"), show("route").count("\\n"))
for command in use_commands("v0", UseAddress(use.address, 24, (), routes, None)):
    run(command)
print("forever" in show("addr", "show", "dev", "v0"))
drop("v0", use)
drop("v0", use)
print(show("addr", "show", "dev", "v0"), show("route"))
"""


def test_the_kernel_takes_them_twice_and_drops_routes_with_their_address() -> None:
    assert in_a_namespace(PROGRAM).split() == ["True", "3", "True"]
