"""What is written for ISC dhcpd and Kea is read by them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dhcp.moving_samples import EMPTY
from dhcp.round_trips import NOW, SAMPLES, arrived, trip
from holdfast.dhcp.moving import LeaseState, MovedLease
from holdfast.directory.dhcp import DhcpServer, Scope
from holdfast.directory.model import Organisation
from holdfast.kernel.iprange import parse_ip_range

DHCPD, KEA = shutil.which("dhcpd"), shutil.which("kea-dhcp4")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (DHCPD and KEA) and not os.environ.get("HOLDFAST_PEERS_REQUIRED"),
        reason="ISC dhcpd or Kea is not installed",
    ),
]
LEASES = [
    MovedLease(
        int(IPv4Address("192.0.2.120")),
        LeaseState.ACTIVE,
        1,
        b"\2\0\0\0\0\1",
        b'\1\xff;"a',
        NOW,
        NOW + 9,
        b"pc",
    ),
    MovedLease(int(IPv4Address("192.0.2.121")), LeaseState.DECLINED, 1, b"", b"", NOW, NOW + 9, b""),
]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def organisation_of(sample: str) -> Organisation:
    """What one of the samples became; ``bare`` is a scope and nothing else."""
    if sample != "bare":
        return arrived(sample)
    subnet, pool = parse_ip_range("192.0.2.0/24"), parse_ip_range("192.0.2.100-192.0.2.199")
    return replace(
        EMPTY, dhcp_servers=(DhcpServer("dhcp1"),), scopes=(Scope("office", subnet, "dhcp1", pool),)
    )


@pytest.mark.parametrize("sample", [*SAMPLES, "bare"])
def test_dhcpd_reads_configuration_and_leases(sample: str, tmp_path: Path) -> None:
    text, leases = trip(organisation_of(sample), "isc", LEASES).files
    (tmp_path / "dhcpd.conf").write_bytes(text)
    (tmp_path / "dhcpd.leases").write_bytes(leases)
    assert DHCPD is not None
    said = run(DHCPD, "-4", "-T", "-cf", str(tmp_path / "dhcpd.conf"), "-lf", str(tmp_path / "dhcpd.leases"))
    assert "line" not in said, said


@pytest.mark.parametrize("sample", [*SAMPLES, "bare"])
def test_kea_reads_the_configuration(sample: str, tmp_path: Path) -> None:
    organisation = organisation_of(sample)
    # Kea looks whether the interfaces are there.
    servers = tuple(replace(each, interfaces=()) for each in organisation.dhcp_servers)
    text, _ = trip(replace(organisation, dhcp_servers=servers), "kea").files
    (tmp_path / "kea.conf").write_bytes(text)
    assert KEA is not None
    run(KEA, "-t", str(tmp_path / "kea.conf"))
