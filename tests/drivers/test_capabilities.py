"""Rights that are given up stay given up, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from holdfast.drivers.capabilities import NET_RAW, keep_only

PROGRAM = """
import encodings.ascii  # read while we may
import os
from holdfast.drivers.capabilities import NET_BIND_SERVICE, NET_RAW, keep_only
import ctypes
ctypes.CDLL(None).prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS: over the change of user
os.setresuid(65534, 65534, 65534)
assert keep_only(NET_BIND_SERVICE, NET_RAW)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapPrm", "CapEff"))])
"""


def test_only_what_is_wanted_is_kept() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has rights to give up")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = f"{(1 << 10) | (1 << 13):016x}"
    assert done.stdout.strip() == str([wanted, wanted])


def test_root_keeps_what_it_has() -> None:
    if os.geteuid() == 0:
        assert not keep_only(NET_RAW)
