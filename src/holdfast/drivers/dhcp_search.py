"""Ask on one or several interfaces which DHCP servers there are.

Source: RFC 2131 section 4.1; packet(7).
"""

from __future__ import annotations

import asyncio
import random

from holdfast.dhcp.client_messages import Identity
from holdfast.dhcp.server_search import Finding, ServerSearch
from holdfast.drivers.dhcp_client import now_s
from holdfast.drivers.packet_link import CLIENT_PORT, SERVER_PORT, PacketLink
from holdfast.wire.frames import BROADCAST_MAC, Datagram, encode_udp_frame

_EVERYBODY = b"\xff" * 4


async def search_servers(link: PacketLink, identity: Identity, wait_s: float) -> list[Finding]:
    """Ask on one interface, and wait so long for answers.

    Raises:
        Unavailable: the interface cannot be used.
    """
    addresses = link.interface.addresses
    search = ServerSearch(identity, addresses[0] if addresses else None, now_s(), random.Random())
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()

    def receive() -> None:
        try:
            for each in link.receive():
                if isinstance(each.what, Datagram):
                    search.heard(now_s(), each.what)
        except Exception as error:  # noqa: BLE001  # handed to who waits
            if not failed.done():
                failed.set_exception(error)

    for descriptor in link.descriptors():
        loop.add_reader(descriptor, receive)
    try:
        ends_at = now_s() + wait_s
        while (left_s := ends_at - now_s()) > 0:
            for output in search.due(now_s()):
                link.send(
                    encode_udp_frame(
                        Datagram(
                            link.interface.mac, BROADCAST_MAC, output.source.packed, _EVERYBODY, CLIENT_PORT,
                            SERVER_PORT, output.data,
                        )
                    )
                )  # fmt: skip
            sleep_s = max(0.0, min(left_s, search.wake_at - now_s()))
            await asyncio.wait([failed], timeout=sleep_s)
            if failed.done():
                failed.result()
        return search.merged()
    finally:
        failed.cancel()
        for descriptor in link.descriptors():
            loop.remove_reader(descriptor)
