"""Take many datagrams off a socket, and put many into it, with one system call each.

Python's own ``recvmsg`` costs more than what the kernel does for it, and
``sendto`` sends each datagram through the whole network stack by itself.
Datagrams are received by ``recvmmsg`` into memory that lies ready; those of one
size to one target leave as one, which the kernel (or the card) cuts up as late
as it can. Measured in docs/decisions/0021.

Source: recvmmsg(2); cmsg(3); udp(7), UDP_SEGMENT.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import cast

_NAME_BYTES = 16  # struct sockaddr_in
_ALIGNED = 16
UDP_SEGMENT = 103  # linux/udp.h; the socket module does not name it
SEGMENT_COUNT_MAX = 64  # UDP_MAX_SEGMENTS of older kernels
_DATAGRAM_BYTES_MAX = 65_507
# A card without checksums, an interface that takes no such large frames, a kernel before 4.18.
_NOT_SEGMENTED = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP})


class _Piece(ctypes.Structure):  # struct iovec
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):  # struct msghdr
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):  # struct mmsghdr
    _fields_ = (("message", _Message), ("size", ctypes.c_uint))


class ManyDatagrams:
    """Room for datagrams that wait in one socket."""

    def __init__(self, count: int, *, bytes_max: int, ancillary_bytes: int) -> None:
        """Make room.

        Args:
            count: for so many datagrams at once.
            bytes_max: of one; what is longer is cut.
            ancillary_bytes: of the one piece of ancillary data that comes with each, with its header.
        """
        assert ancillary_bytes % _ALIGNED == 0
        self._count = count
        self._way_bytes = _NAME_BYTES + ancillary_bytes
        self._slot_bytes = self._way_bytes + -(-bytes_max // _ALIGNED) * _ALIGNED
        memory = bytearray(count * self._slot_bytes)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._memory = memory
        # By the size of the data: what cuts a slot into way and data with one call. Sizes are few.
        self._cuts: dict[int, Callable[[bytearray, int], tuple[bytes, bytes]]] = {}
        self._pieces = (_Piece * count)()
        headers = (_Header * count)()
        for at in range(count):
            slot = base + at * self._slot_bytes
            self._pieces[at] = _Piece(slot + self._way_bytes, bytes_max)
            headers[at].message = _Message(
                name=slot, name_size=_NAME_BYTES, pieces=ctypes.addressof(self._pieces[at]), piece_count=1,
                control=slot + _NAME_BYTES, control_size=ancillary_bytes,
            )  # fmt: skip
        self._address = ctypes.addressof(headers)
        self._headers = memoryview(headers).cast("B")
        # The kernel writes what it used over what there was.
        self._fresh = bytes(self._headers)
        self._sizes = _field_of_each(self._headers.cast("I"), _Header.size.offset)
        self._ancillary_sizes = _field_of_each(self._headers.cast("P"), _Message.control_size.offset)
        self._ancillary_bytes = ancillary_bytes
        self._receive = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._receive.argtypes = (
            ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p,
        )  # fmt: skip

    def receive(self, descriptor: int) -> list[tuple[bytes, bytes]]:
        """Take what waits, as much as there is room for, without blocking.

        Returns:
            Of each by which way it came: the sender's address and the ancillary
            data, as ``struct sockaddr_in`` and ``struct cmsghdr``; and its data.

        Raises:
            BlockingIOError: nothing waits.
            OSError: what the socket has to say.
        """
        memory, sizes, ancillary_sizes = self._memory, self._sizes, self._ancillary_sizes
        slot_bytes, ancillary_bytes, cuts = self._slot_bytes, self._ancillary_bytes, self._cuts
        self._headers[:] = self._fresh
        count = self._receive(descriptor, self._address, self._count, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        found = []
        start = 0
        for at in range(count):
            # A slot without ancillary data still has that of an earlier datagram.
            if ancillary_sizes[at] == ancillary_bytes:
                size = sizes[at]
                found.append((cuts.get(size) or self._cut(size))(memory, start))
            start += slot_bytes
        return found

    def _cut(self, size: int) -> Callable[[bytearray, int], tuple[bytes, bytes]]:
        cut = struct.Struct(f"{self._way_bytes}s{size}s").unpack_from
        found = self._cuts[size] = cast("Callable[[bytearray, int], tuple[bytes, bytes]]", cut)
        return found


def _field_of_each(words: memoryview, offset: int) -> memoryview:
    """One field of each header, out of all headers as words of its size."""
    return words[offset // words.itemsize :: ctypes.sizeof(_Header) // words.itemsize]


def send_alike(wire: socket.socket, datagrams: Sequence[bytes], target: tuple[str, int]) -> bool:
    """Send datagrams of one size to one target with one system call, all or none.

    Args:
        wire: a datagram socket of IPv4.
        datagrams: at most ``SEGMENT_COUNT_MAX``, all of one size.
        target: where they go.

    Returns:
        Whether that can be done here; when it cannot, send them one by one.

    Raises:
        OSError: they cannot be sent now, like one that is sent by itself.
    """
    size = len(datagrams[0])
    if size * len(datagrams) > _DATAGRAM_BYTES_MAX:
        return False
    segment = struct.pack("=H", size)
    try:
        wire.sendmsg(datagrams, ((socket.IPPROTO_UDP, UDP_SEGMENT, segment),), 0, target)
    except OSError as error:
        if error.errno in _NOT_SEGMENTED:
            return False
        raise
    return True
