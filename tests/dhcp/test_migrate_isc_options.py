"""Options of an ISC dhcpd configuration at their place."""

from __future__ import annotations

from dhcp.moving_samples import notes_of
from dhcp.test_migrate_isc import arrive
from holdfast.directory.dhcp_options import OptionValue


def test_the_nearest_statement_wins() -> None:
    text = b"""option routers 10.0.0.1; option domain-name "a";
    shared-network x { option routers 10.0.0.2;
      subnet 10.0.0.0 netmask 255.0.0.0 { option routers 10.0.0.3; } }"""
    arrival = arrive(text)
    assert arrival.scopes[0].options == (OptionValue(3, ("10.0.0.3",)),)
    assert arrival.server.options == (OptionValue(3, ("10.0.0.1",)), OptionValue(15, ("a",)))


def test_options_by_number_and_of_the_files_own() -> None:
    text = (
        b'option option-224 "x"; option unknown-225 1:2; option own code 226 = text; option own "y";'
        b"option dhcp.z code 227 = text;"
    )
    assert arrive(text).server.options == (
        OptionValue(224, ("78",)),
        OptionValue(225, ("01:02",)),
        OptionValue(226, ("y",)),
    )


def test_a_space_without_a_carrier_is_taken_for_the_vendors() -> None:
    text = b'option space A; option A.x code 1 = text;\noption A.x "hi";'
    arrival = arrive(text)
    assert arrival.server.options == (OptionValue(43, ("01:02:68:69",)),)
    assert notes_of(arrival) == [(2, "changed", "options of the space a")]


def test_suboptions_that_are_too_long_are_noted() -> None:
    text = b'option space A; option A.x code 1 = text; option A.x "' + b"x" * 256 + b'";'
    arrival = arrive(text)
    assert arrival.server.options == ()
    assert "more than 255" in arrival.notes[0].reason
