"""Lines of the audit log."""

from __future__ import annotations

import csv

from holdfast.dhcp.records import DESCRIPTIONS, DNS_FAILED, EXHAUSTED, HEADER, NEW_LEASE, Record, line_of


def fields(record: Record) -> dict[str, str]:
    (row,) = csv.DictReader([HEADER, line_of(record, "11/28/26", "22:00:01")])
    return row


def test_a_lease_in_windows_fields() -> None:
    row = fields(
        Record(
            NEW_LEASE, 0x0A00000A, b"host", b"\x01\x02\0\0\0\0\x01", b"\0\0\1\2", b"MSFT 5.0", b"\x03lab",
            b"\x01\x01x",
        )
    )  # fmt: skip
    assert {name: value for name, value in row.items() if value} == {
        "ID": "10", "Date": "11/28/26", "Time": "22:00:01", "Description": "Assign",
        "IP Address": "10.0.0.10",
        "Host Name": "host", "MAC Address": "020000000001", "TransactionID": "258", "QResult": "0",
        "VendorClass(Hex)": "0x4D53465420352E30", "VendorClass(ASCII)": "MSFT 5.0",
        "UserClass(Hex)": "0x036C6162", "UserClass(ASCII)": "_lab", "RelayAgentInformation": "0x010178",
        "DnsRegError.": "0",
    }  # fmt: skip


def test_what_a_client_chose_ends_neither_field_nor_line() -> None:
    row = fields(Record(NEW_LEASE, 1, b'a,b"c\nd\xff' + b"x" * 600))
    assert row["Host Name"].startswith("a_b_c_d\ufffdxxx")
    assert len(row["Host Name"]) == 255
    assert None not in row


def test_what_has_no_client_says_what_it_is_about() -> None:
    assert fields(Record(EXHAUSTED, 0, detail="office"))["Host Name"] == "office"


def test_every_number_has_a_description() -> None:
    assert all(DESCRIPTIONS.values())
    assert {10, 11, 12, 13, 14, 15, 16, 17, 20, 30, 31, 32} <= DESCRIPTIONS.keys()


def test_why_a_name_was_not_registered() -> None:
    row = fields(Record(DNS_FAILED, 0x0A00000A, b"desk.example.test", dns_error=9005))
    assert (row["ID"], row["Description"], row["DnsRegError."]) == ("31", "DNS Update Failed", "9005")
