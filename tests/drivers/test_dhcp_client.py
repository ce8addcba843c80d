"""A DHCP client with a scripted server in a namespace: frames, ARP, the lease on disk, its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.test_dhcp_sockets import in_a_namespace

TESTS = Path(__file__).resolve().parent.parent
START = f"""
import asyncio, os, pathlib, signal, subprocess, sys, tempfile
sys.path.insert(0, {str(TESTS)!r})
from dhcp.client_world import MAC
from drivers.scripted_dhcp import ScriptedServer, lay_cable
from holdfast.dhcp.client import ClientSettings
from holdfast.dhcp.client_messages import Identity
from holdfast.drivers.dhcp_client import ClientOptions, ClientRunner
from holdfast.drivers.interfaces import find_interface
from holdfast.drivers.packet_link import PacketLink

lay_cable()
folder = pathlib.Path(tempfile.mkdtemp())
lines = []

def runner(told=None, **options):
    link = PacketLink(find_interface("v0"))
    keep = lambda at, line: (lines.append(line), told and told(line))
    return ClientRunner(link, ClientSettings(Identity(MAC)), ClientOptions(**options), keep)

def words(*kinds):
    return [f"{{each.what}}: {{each.text}}" for each in lines if each.what in kinds]

def addresses():
    command = "ip -4 -o addr show dev v0"
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout.split()[3:4]
"""
GETS = """
async def main():
    server = ScriptedServer()
    file = folder / "lease.json"
    print(await runner(lease_file=file, once=True).run(), server.heard, addresses())
    await asyncio.sleep(0.2)
    print(server.asked)
    kept = file.read_bytes()
    client = runner(lease_file=file, release=True)
    running = asyncio.create_task(client.run())
    while not words("lease")[1:]:
        await asyncio.sleep(0.01)
    server.ask_for("10.0.0.9")
    server.ask_for("10.0.0.8")
    await asyncio.sleep(0.2)
    print([each for each in server.asked if each[0] == "10.0.0.1"])
    os.kill(os.getpid(), signal.SIGUSR1)
    while not words("lease")[2:]:
        await asyncio.sleep(0.01)
    client.stop()
    print(await running, server.heard[2:], file.exists())
    file.write_bytes(kept.replace(b'"version": 1', b'"version": 9'))
    await runner(lease_file=file, once=True).run()
    print(words("ignored"))
asyncio.run(main())
"""
CONFIGURES = """
async def main():
    server = ScriptedServer()
    client = runner(configure=True, release=True)
    running = asyncio.create_task(client.run())
    while not words("lease"):
        await asyncio.sleep(0.01)
    print(addresses())
    client.stop()
    await running
    print(addresses(), server.heard)
asyncio.run(main())
"""
TROUBLES = """
async def main():
    server = ScriptedServer()
    print(await runner(lease_file=folder / "nowhere" / "lease.json", once=True).run(), words("failed"))
    lines.clear()
    (folder / "directory").mkdir()
    await runner(lease_file=folder / "directory", once=True).run()
    print(words("failed")[0])
    lines.clear()
    # Its cable is pulled out of the machine.
    client = runner()
    running = asyncio.create_task(client.run())
    await asyncio.sleep(0.2)
    subprocess.run("ip link del v0", shell=True, check=True)
    print(await asyncio.wait_for(running, 10), words("failed")[-1])
asyncio.run(main())
"""


def test_it_gets_keeps_renews_and_gives_back_an_address_that_the_machine_does_not_have() -> None:
    lines = in_a_namespace(START + GETS).splitlines()
    everybody = "255.255.255.255"
    assert lines[0] == f"True ['DISCOVER to {everybody}', 'REQUEST to {everybody}'] []"
    assert lines[1] == str([("10.0.0.9", "0.0.0.0")] * 2 + [("10.0.0.9", "10.0.0.9")])
    # It answers for its address alone; the server's question is an answer's target.
    assert lines[2] == str([("10.0.0.1", "10.0.0.9")])
    assert lines[3] == f"True ['REQUEST to {everybody}', 'REQUEST to 10.0.0.1', 'RELEASE to 10.0.0.1'] False"
    assert "its version is 9, this program knows 1; remove the file" in lines[4]


def test_it_gives_the_interface_its_address_where_that_is_wanted() -> None:
    lines = in_a_namespace(START + CONFIGURES).splitlines()
    assert lines[0] == "['10.0.0.9/24']"
    assert lines[1].startswith("[] [")
    assert lines[1].endswith("'RELEASE to 10.0.0.1']")


def test_what_fails_is_told_and_ends_it_only_where_it_must() -> None:
    lines = in_a_namespace(START + TROUBLES).splitlines()
    assert lines[0].startswith("True ['failed: cannot write ")
    assert lines[1].startswith("failed: cannot read ")
    assert lines[2] == "False failed: the interface v0 is gone"


def test_frames_need_rights() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give up root's rights")
    program = """
import os
from holdfast.drivers.interfaces import find_interface
from holdfast.drivers.packet_link import PacketLink
from holdfast.kernel.errors import Unavailable
import subprocess
subprocess.run("ip link add v0 type veth peer name v1", shell=True, check=True)
os.setuid(65534)
try:
    PacketLink(find_interface("v0"))
except Unavailable as error:
    print(error.text)
"""
    assert in_a_namespace(program) == (
        "cannot read and write frames at v0: Operation not permitted; run it as root\n"
    )
