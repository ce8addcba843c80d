"""Policies of a Windows export."""

from __future__ import annotations

import pytest

from dhcp.moving_samples import WINDOWS, notes_of
from dhcp.test_migrate_windows import arrive, ipv4, scope
from holdfast.directory.dhcp import Comparison, Condition, ConditionField, Match, Policy
from holdfast.directory.dhcp_options import OptionValue
from holdfast.kernel.iprange import parse_ip_range


def test_policies_of_the_sample_in_their_order() -> None:
    arrival = arrive(WINDOWS)
    assert arrival.server.policies == (
        Policy(
            "phones",
            (Condition(ConditionField.VENDOR_CLASS, ("Phones*",)),),
            Match.ANY,
            options=(OptionValue(224, ("192.0.2.5",)),),
        ),
    )
    assert arrival.scopes[0].policies == (
        Policy(
            "first",
            (Condition(ConditionField.USER_CLASS, ("Lab",)),),
            Match.ANY,
            ranges=(parse_ip_range("192.0.2.190-192.0.2.200"),),
            lease_s=3600.0,
        ),
        Policy(
            "second",
            (
                Condition(ConditionField.MAC, ("02:00:5e*",), Comparison.NOT_EQUALS),
                Condition(ConditionField.CIRCUIT_ID, ("0x0102",)),
            ),
            enabled=False,
        ),
    )


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("<MacAddress>GE</MacAddress><MacAddress>00</MacAddress>", "MacAddress GE 00"),
        ("<UserClass>EQ</UserClass><UserClass>Nobody</UserClass>", "UserClass EQ Nobody"),
        ("<Fqdn>EQ</Fqdn>", "Fqdn EQ"),
        ("<Fqdn>EQ</Fqdn><Fqdn>a</Fqdn><Odd>1</Odd>", "Odd 1"),
        (
            "<Fqdn>EQ</Fqdn><Fqdn>a</Fqdn><OptionValues><OptionValue><OptionId>81</OptionId><Value>1</Value>"
            "</OptionValue></OptionValues>",
            "registration in DNS of a policy",
        ),
        (
            "<Fqdn>EQ</Fqdn><Fqdn>a</Fqdn><IPRanges><IPRange><StartRange>x</StartRange></IPRange></IPRanges>",
            "range x-",
        ),
        (
            "<Fqdn>EQ</Fqdn><Fqdn>a</Fqdn><IPRanges><IPRange><StartRange>10.0.0.1</StartRange>"
            "<EndRange>10.0.0.2</EndRange></IPRange></IPRanges>",
            "range 10.0.0.1-10.0.0.2",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_noted(policy: str, what: str) -> None:
    arrival = scope(f"<Policies><Policy><Name>p</Name><Condition>AND</Condition>{policy}</Policy></Policies>")
    assert what in [note[2] for note in notes_of(arrival)]
    # A policy that lost one of several conditions would be for more clients than it was.
    assert len(arrival.scopes[0].policies) == (policy.count("<Fqdn>a") and 1)


def test_of_alternatives_those_that_are_known_stay() -> None:
    arrival = ipv4(
        "<Policies><Policy><Name>p</Name><Condition>OR</Condition><DnsSuffix>lab.example</DnsSuffix>"
        "<Fqdn>EQ</Fqdn><Fqdn>a</Fqdn><UserClass>EQ</UserClass><UserClass>Nobody</UserClass></Policy></Policies>"
    )
    (policy,) = arrival.server.policies
    assert policy.conditions == (Condition(ConditionField.FQDN, ("a",)),)
    assert policy.dns_suffix == "lab.example"
