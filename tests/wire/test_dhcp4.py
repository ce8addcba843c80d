"""DHCPv4 messages: captured ones, the rules of overload and long options, and any bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.errors import Refusal
from holdfast.wire import dhcp4
from holdfast.wire.dhcp4 import Message, encode_message, pack_options, read_message
from holdfast.wire.frames import read_udp_frame
from wire.captures import captured, frames_of


def message(options: dict[int, bytes], **changes: object) -> Message:
    plain = Message(
        op=dhcp4.REQUEST, hardware_type=1, hardware=b"\x02\0\0\0\0\x01", hops=0, xid=b"abcd", secs=3, flags=0,
        ciaddr=bytes(4), yiaddr=bytes(4), siaddr=bytes(4), giaddr=bytes(4), sname=b"", file=b"",
        options=options,
    )  # fmt: skip
    return plain._replace(**changes)  # type: ignore[arg-type]  # the tests change fields by name


def raw(options: bytes, *, sname: bytes = b"", file: bytes = b"") -> bytes:
    head = encode_message(message({}))[:44]
    return head + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + dhcp4.COOKIE + options


def test_a_discover_is_read_field_by_field() -> None:
    found = read_message(raw(b"\x35\x01\x01\x00\x00\x3d\x07\x01\x02\x00\x00\x00\x00\x01\xff\x0c\x01x"))
    assert found == message({53: b"\x01", 61: b"\x01\x02\0\0\0\0\x01"})


@pytest.mark.parametrize("capture", ["wireshark/dhcp.pcap", "zeek/dhcp.pcap"])
def test_captures_are_read_and_written_again(capture: str) -> None:
    frames = frames_of(captured(capture))
    assert frames
    for frame in frames:
        payload = read_udp_frame(frame, verify=False).payload
        found = read_message(payload)
        assert found.options[53]
        again = encode_message(found)
        assert read_message(again) == found
        # The clients and servers of the captures write as we do, up to padding.
        assert again.rstrip(b"\0") == payload.rstrip(b"\0")


@pytest.mark.parametrize(
    ("name", "message_type", "skipped_bytes"),
    [
        ("kea/discover-example.hex", 1, 0),
        ("kea/request4-example.hex", 3, 0),
        ("kea/dhcp-payload-only.pkt4", 1, 1),  # the file begins with the last byte of the UDP header
    ],
)
def test_payloads_of_kea(name: str, message_type: int, skipped_bytes: int) -> None:
    data = bytes.fromhex("".join(captured(name).read_text("ascii").split()))[skipped_bytes:]
    found = read_message(data)
    assert found.options[53] == bytes((message_type,))
    assert read_message(encode_message(found)) == found


def test_the_whole_packet_of_kea() -> None:
    # It begins with the 16 bytes of Linux' cooked capture in place of an Ethernet header.
    data = bytes.fromhex("".join(captured("kea/full-dhcp-packet.pkt4").read_text("ascii").split()))
    frame = b"\xff" * 6 + data[6:12] + b"\x08\x00" + data[data.index(b"\x45\x00\x01") :]
    found = read_udp_frame(frame, verify=False)
    assert (found.source_port, found.target_port) == (67, 67)
    assert read_message(found.payload).options[53] == b"\x01"


def test_options_spread_over_file_and_sname_are_one_table() -> None:
    found = read_message(
        raw(
            b"\x35\x01\x01\x34\x01\x03\xff",
            file=b"\x0c\x02ho\x34\x01\x01\xff",
            sname=b"\x0c\x02st\xff\x0f\x01x",
        )
    )
    # RFC 3396 section 5: options, then file, then sname.
    assert found.options == {53: b"\x01", 12: b"host"}
    assert (found.file, found.sname) == (b"", b"")


@pytest.mark.parametrize(("overload", "file", "sname"), [(1, b"", b"name"), (2, b"boot", b"")])
def test_a_field_without_options_stays_what_it_is(overload: int, file: bytes, sname: bytes) -> None:
    found = read_message(
        raw(bytes((52, 1, overload, 255)), file=file or b"\x0c\x01a\xff", sname=sname or b"\x0c\x01a\xff")
    )
    assert (found.file, found.sname, found.options) == (file, sname, {12: b"a"})


def test_a_long_value_is_cut_and_joined() -> None:
    long = message({53: b"\x05", 121: bytes(range(256)) * 2})
    data = encode_message(long)
    assert data.count(b"\x79\xff\x00\x01\x02") == 1
    assert read_message(data) == long


def test_what_does_not_fit_goes_into_file_and_sname() -> None:
    full = message({53: b"\x05", 43: b"v" * 250, 12: b"h" * 60, 15: b"d" * 50, 60: b"c" * 40})
    data = encode_message(full, 548)
    assert len(data) <= 548
    assert read_message(data).options == full.options
    data = encode_message(full, 236 + 4 + 270)
    assert len(data) <= 510
    found = read_message(data)
    assert found.options == full.options
    assert data[240 : 240 + 3] == b"\x34\x01\x03"


def test_a_long_value_goes_on_in_the_next_field() -> None:
    long = message({53: b"\x05", 121: b"r" * 330})
    data = encode_message(long, 500)
    assert len(data) <= 500
    assert read_message(data) == long


def test_a_field_that_is_used_holds_no_options() -> None:
    full = message({53: b"\x05", 43: b"v" * 200}, file=b"boot", sname=b"server")
    with pytest.raises(Refusal, match="options 43 do not fit into 400 bytes"):
        encode_message(full, 400)


def test_what_comes_first_is_placed_first_and_the_relay_last() -> None:
    options = {53: b"\x05", 82: b"r" * 20, 43: b"v" * 100, 12: b"h" * 10, 15: b"d" * 90}
    packed = pack_options(options, 240 + 150, file_is_free=False, sname_is_free=False)
    assert packed.left_out == (15,)
    assert packed.options.startswith(b"\x35\x01\x05\x2b\x64")
    assert packed.options.endswith(b"\x52\x14" + b"r" * 20 + b"\xff")
    nothing = pack_options(options, 250, file_is_free=False, sname_is_free=False)
    assert set(nothing.left_out) == {82, 43, 12, 15, 53}


def test_a_message_of_bootp_has_no_options() -> None:
    plain = message({}, is_dhcp=False, file=b"boot")
    data = encode_message(plain)
    assert len(data) == dhcp4.BOOTP_BYTES
    assert read_message(data) == plain
    assert read_message(data[:236]) == plain


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes are no DHCP message"),
        (bytes(235), "235 bytes are no DHCP message"),
        (bytes(4097), "4097 bytes are no DHCP message"),
        (bytes(300), "op 0 is neither"),
        (b"\x01\x01\x11" + bytes(300), "hardware address of 17 bytes"),
        (raw(b"\x35"), "option 53 has no length"),
        (raw(b"\x35\x01"), "option 53 says 1 bytes, 0 are left"),
        (raw(b"\x0c\xffhost"), "option 12 says 255 bytes, 4 are left"),
        (raw(b"\x34\x01\x04\xff"), "option overload is 04"),
        (raw(b"\x34\x00\xff"), "option overload is "),
        (raw(b"\x34\x01\x01\x34\x01\x01\xff"), "option overload is 0101"),
        (raw(b"\x34\x01\x01\xff", file=b"\x00" * 126 + b"\x0c\x09"), "option 12 says 9 bytes, 0 are left"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_message(data)
    assert caught.value.text.startswith(reason)


@pytest.mark.parametrize("wrong", [{"sname": b"s" * 65}, {"file": b"f" * 129}, {"hardware": b"h" * 17}])
def test_what_the_fixed_fields_do_not_hold_is_refused(wrong: dict[str, bytes]) -> None:
    with pytest.raises(Refusal):
        encode_message(message({}, **wrong))


areas = st.lists(
    st.tuples(st.integers(0, 255), st.binary(max_size=40)).map(
        lambda each: bytes((each[0], len(each[1]))) + each[1]
    ),
    max_size=12,
).map(b"".join)


@given(
    st.binary(max_size=600)
    | st.builds(
        lambda options, file, sname: raw(options, sname=sname[:64], file=file[:128]), areas, areas, areas
    )
)
def test_any_bytes_are_read_or_refused_and_reading_is_stable(data: bytes) -> None:
    try:
        found = read_message(data)
    except Refusal:
        return
    again = encode_message(found)
    assert read_message(again) == found
    assert encode_message(read_message(again)) == again


@given(
    st.dictionaries(st.integers(1, 254).filter(lambda code: code != 52), st.binary(max_size=300), max_size=8),
    st.integers(300, 1500),
)
def test_what_fits_is_read_back_and_never_longer(options: dict[int, bytes], size_max: int) -> None:
    wanted = message(options)
    try:
        data = encode_message(wanted, size_max)
    except Refusal:
        return
    assert len(data) <= max(size_max, dhcp4.BOOTP_BYTES)
    found = read_message(data)
    assert found.options == options


def test_a_frame_with_a_byte_changed_anywhere_is_read_or_refused() -> None:
    luck = random.Random(7)
    data = encode_message(message({53: b"\x01", 55: b"\x01\x03\x06", 82: b"\x01\x04abcd"}))
    for _ in range(3000):
        broken = bytearray(data)
        for _ in range(luck.randint(1, 4)):
            broken[luck.randrange(len(broken))] = luck.randrange(256)
        try:
            read_message(bytes(broken[: luck.randint(200, len(broken))]))
        except Refusal:
            continue
