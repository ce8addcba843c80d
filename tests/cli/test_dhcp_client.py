"""``holdfast dhcp client``: what is typed, and how the timeline looks. At work: tests/interop."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dhcp.client_world import MAC, remembered
from drivers.test_dhcp_sockets import in_a_namespace
from holdfast.admin.catalogue import Arguments, find_verb, read_arguments
from holdfast.cli.dhcp_client import client_options, client_settings, timeline_line
from holdfast.cli.main import REFUSED, USAGE, run
from holdfast.dhcp.client_outputs import Told
from holdfast.dhcp.fallback import Alternate
from holdfast.kernel.errors import Refusal

Capture = pytest.CaptureFixture[str]


def given(**values: object) -> Arguments:
    verb = find_verb("dhcp client", "")
    assert verb is not None
    return read_arguments(
        verb, {"interface": "eth1"} | {key.replace("_", "-"): each for key, each in values.items()}
    )  # type: ignore[dict-item]  # as typed


def test_what_is_sent_if_nothing_is_said() -> None:
    settings = client_settings(given(), MAC)
    assert settings.identity.client_id == b"\x01" + MAC
    assert (settings.identity.host_name, settings.identity.user_class) == (b"", b"")
    assert (settings.wanted, settings.alternate, settings.link_local) == (None, None, True)
    options = client_options(given(), Path("x"))
    assert (options.configure, options.release, options.once, options.remembers) == (
        False,
        False,
        False,
        True,
    )


def test_everything_that_may_be_said() -> None:
    settings = client_settings(
        given(
            client_id="00:01", host_name="pc", vendor_class="MSFT 5.0", user_class="lab", broadcast=True,
            address="10.0.0.77", alternate="192.0.2.7/25", alternate_router="192.0.2.1", no_link_local=True,
        ),
        MAC,
    )  # fmt: skip
    identity = settings.identity
    assert (identity.client_id, identity.host_name, identity.vendor_class) == (b"\0\1", b"pc", b"MSFT 5.0")
    assert (identity.user_class, identity.broadcast) == (b"\x03lab", True)
    assert (settings.wanted, settings.link_local) == (IPv4Address("10.0.0.77"), False)
    assert settings.alternate == Alternate(IPv4Address("192.0.2.7"), 25, IPv4Address("192.0.2.1"))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"alternate": "here"}, '"here" is not address/prefix; write 192.0.2.7/24'),
        ({"alternate": "192.0.2.7"}, '"192.0.2.7" has no prefix; write 192.0.2.7/24'),
        ({"alternate_router": "192.0.2.1"}, "--alternate-router goes with --alternate"),
        (
            {"alternate": "192.0.2.7/24", "alternate_router": "10.0.0.1"},
            "10.0.0.1 does not lie in 192.0.2.0/24",
        ),
        ({"client_id": "xyz"}, "a client identifier"),
        ({"host_name": "x" * 256}, "host-name: 256 bytes do not fit into the option; it holds 255"),
        ({"user_class": "x" * 255}, "user-class: 255 bytes do not fit into the option; it holds 254"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(values: dict[str, object], text: str) -> None:
    with pytest.raises(Refusal) as refused:
        client_settings(given(**values), MAC)
    assert text in refused.value.text


def test_a_lease_that_never_ends_has_no_times_in_json() -> None:
    lease = remembered()
    shown = timeline_line(5.0, 1.23456, Told("bound", "lease", "text", lease))
    assert shown.elapsed_s == 1.235
    assert shown.lease is not None
    assert (shown.lease.ends_at, shown.lease.routers) == (lease.ends_at, ["10.0.0.254"])
    endless = remembered(lease_s=math.inf)
    shown = timeline_line(5.0, 0.0, Told("bound", "lease", "text", endless))
    assert shown.lease is not None
    assert (shown.lease.renew_at, shown.lease.rebind_at, shown.lease.ends_at) == (None, None, None)


def test_an_interface_that_is_none(capsys: Capture) -> None:
    assert run(["dhcp", "client", "--interface", "nosuch"]) == REFUSED
    assert 'there is no interface "nosuch"' in capsys.readouterr().err
    assert run(["dhcp", "client", "--interface", "lo"]) == REFUSED
    assert run(["dhcp", "client"]) == USAGE


PROGRAM = """
import subprocess, sys
from holdfast.cli.main import run
subprocess.run("ip link add v0 type veth peer name v1", shell=True, check=True)
assert run(["dhcp", "client", "--interface", "v0"]) == 1
subprocess.run("ip link set v1 up", shell=True, check=True)
words = ["--configure", "--for", "1s", "--home", "/nosuch", "--json"]
assert run(["dhcp", "client", "--interface", "v0", *words]) == 1
"""


def test_a_switched_off_interface_and_nobody_there() -> None:
    lines = [json.loads(line) for line in in_a_namespace(PROGRAM).splitlines()]
    assert [(each["state"], each["what"]) for each in lines] == [("init", "failed"), ("selecting", "sent")]
    assert "the lease is not kept: /nosuch is no directory to write to" in lines[0]["text"]
    assert lines[1]["text"].startswith("DISCOVER, try 1")


def test_a_reader_that_has_enough_ends_it() -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("network namespaces need root")
    read_end, write_end = os.pipe()
    os.close(read_end)
    words = "ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; exec "
    client = f"{sys.executable} -m holdfast.cli.main dhcp client --interface v0"
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", words + client], stdout=write_end, stderr=subprocess.PIPE, timeout=60,
        check=False,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (REFUSED, b"")
