"""Give up rights of this process that its role does not need.

Source: capabilities(7); capset(2); prctl(2), PR_CAP_AMBIENT. Python has no call for these.
"""

from __future__ import annotations

import ctypes
import os

NET_BIND_SERVICE = 10  # ports below 1024
NET_RAW = 13  # frames, and ICMP

_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_only(*wanted: int) -> bool:
    """Give up every other capability, and pass none on to children; whether that was done.

    Root keeps what it has: it was started so for tests, and files of others would be out of its reach.
    """
    if os.geteuid() == 0:
        return False
    call = _SYS_CAPSET.get(os.uname().machine)
    if call is None:
        return False
    held = _permitted()
    mask = sum(1 << each for each in wanted) & held
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header = _Header(_VERSION_3, 0)
    data = (_Data * 2)(_Data(mask & 0xFFFFFFFF, mask & 0xFFFFFFFF, 0), _Data(mask >> 32, mask >> 32, 0))
    return bool(libc.syscall(call, ctypes.byref(header), data) == 0)


def _permitted() -> int:
    """What this process holds, as the system shows it."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    return 0
