"""Two servers on one wire are both found; a wire without any takes no longer than it was given."""

from __future__ import annotations

from drivers.test_dhcp_client import TESTS
from drivers.test_dhcp_sockets import in_a_namespace

PROGRAM = f"""
import asyncio, sys, time
sys.path.insert(0, {str(TESTS)!r})
from dhcp.client_world import MAC
from drivers.scripted_dhcp import ScriptedServer, lay_cable
from holdfast.dhcp.client_messages import Identity
from holdfast.drivers.dhcp_search import search_servers
from holdfast.drivers.interfaces import find_interface
from holdfast.drivers.packet_link import PacketLink
from holdfast.kernel.errors import Unavailable

lay_cable()

async def search():
    return await search_servers(PacketLink(find_interface("v0")), Identity(MAC, broadcast=True), 1.0)

async def main():
    began = time.monotonic()
    print(await search(), 0.9 < time.monotonic() - began < 5)
    servers = [ScriptedServer(), ScriptedServer("10.0.0.66", "020000000066", address="10.0.0.70")]
    for each in sorted(await search(), key=lambda each: each.server):
        print(each.server, each.source, each.mac.hex(), each.kind, each.address, 0 <= each.after_s < 1)
    print([each.heard for each in servers])

asyncio.run(main())
"""


def test_every_server_is_found() -> None:
    lines = in_a_namespace(PROGRAM).splitlines()
    assert lines[0] == "[] True"
    assert lines[1:3] == [
        "10.0.0.1 10.0.0.1 020000000001 OFFER 10.0.0.9 True",
        "10.0.0.66 10.0.0.66 020000000066 OFFER 10.0.0.70 True",
    ]
    assert lines[3] == str([["DISCOVER to 255.255.255.255"] * 2] * 2)
