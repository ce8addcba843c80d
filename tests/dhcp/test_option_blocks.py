"""Which options a client is told: the nearest level wins, and what was asked for is sent."""

from __future__ import annotations

from dhcp.conversations import Client, World, option, organisation, packed, reservation, scope
from holdfast.dhcp import option_blocks
from holdfast.dhcp.client_match import Facts
from holdfast.dhcp.option_blocks import OptionBlocks
from holdfast.directory.dhcp import Condition, ConditionField, DhcpServer, Policy
from holdfast.directory.dhcp_options import ClassKind, DhcpClass, OptionDefinition, OptionType

FIRST_MACS = Condition(ConditionField.MAC, ("02:00:00:00:00:01", "02:00:00:00:00:02"))


def told(
    world: World, client: Client, wanted: bytes | None = b"\x03\x06\x0f\x1c\x2b", **more: bytes
) -> dict[int, bytes]:
    options = {int(code.removeprefix("o")): value for code, value in more.items()}
    if wanted is not None:
        options[55] = wanted
    (offer,) = world.say(client.discover(options))
    return {code: value for code, value in offer.message.options.items() if code not in (51, 53, 54, 58, 59)}


LEVELS = organisation(
    scope(
        options=(option(3, "10.0.0.254"), option(15, "scope.example")),
        policies=(
            Policy(
                "one",
                (FIRST_MACS,),
                options=(option(15, "policy.example"), option(42, "10.0.0.42", always=True)),
            ),
            Policy("two", (FIRST_MACS,), options=(option(15, "second.example"), option(6, "10.0.0.62"))),
        ),
    ),
    server=DhcpServer(
        "ns1",
        options=(option(6, "10.0.0.53"), option(15, "server.example"), option(3, "10.9.9.9")),
        policies=(Policy("three", (FIRST_MACS,), options=(option(3, "10.0.0.3"), option(6, "10.0.0.63"))),),
    ),
    reservations=(reservation("10.0.0.50", "02:00:00:00:00:02", options=(option(15, "mine.example"),)),),
)


def test_the_nearest_level_wins() -> None:
    world = World(LEVELS)
    assert told(world, Client(9)) == {
        1: packed("255.255.255.0"), 3: packed("10.0.0.254"), 6: packed("10.0.0.53"), 15: b"scope.example",
        28: packed("10.0.0.255"),
    }  # fmt: skip
    assert told(world, Client(1)) == {
        1: packed("255.255.255.0"), 3: packed("10.0.0.254"), 6: packed("10.0.0.62"), 15: b"policy.example",
        28: packed("10.0.0.255"), 42: packed("10.0.0.42"),
    }  # fmt: skip
    assert told(world, Client(2))[15] == b"mine.example"


def test_what_was_asked_for_in_its_order_the_mask_first() -> None:
    world = World(LEVELS)
    assert list(told(world, Client(9), b"\x0f\x03\x01")) == [1, 15, 3]
    assert told(world, Client(9), b"") == {1: packed("255.255.255.0")}
    assert told(world, Client(9), None).keys() == {1, 3, 6, 15}, "who has no list gets what was declared"


CLASSED = organisation(
    scope(
        options=(
            option(15, "all.example"),
            option(15, "lab.example", user_class="lab"),
            option(43, "01:01:ff"),
            option(2, "0xffff", vendor_class="Windows"),
            option(1, "0x0a", vendor_class="Windows"),
        )
    ),
    dhcp_classes=(
        DhcpClass("Windows", ClassKind.VENDOR, "MSFT 5.0"),
        DhcpClass("lab", ClassKind.USER, "lab"),
    ),
    option_definitions=tuple(
        OptionDefinition(code, f"windows-{code}", (OptionType.HEX,), vendor_class="Windows")
        for code in (1, 2)
    ),
)


def test_values_for_a_class_alone() -> None:
    world = World(CLASSED)
    assert told(world, Client(1))[15] == b"all.example"
    assert told(world, Client(1), o77=b"\x03lab")[15] == b"lab.example"
    assert told(world, Client(1))[43] == b"\x01\x01\xff"
    assert told(world, Client(1), o60=b"MSFT 5.0")[43] == b"\x01\x01\x0a\x02\x02\xff\xff"


def test_ipv6_only_is_told_to_who_asks_for_it_and_to_nobody_else() -> None:
    world = World(organisation(scope(options=(option(108, "1800", always=True),))))
    assert told(world, Client(1), b"\x03\x6c")[108] == (1800).to_bytes(4, "big")  # see test_ipv6_only
    assert 108 not in told(world, Client(1), b"\x03")
    assert 108 not in told(world, Client(1), None)


def test_where_to_boot_from() -> None:
    declared = organisation(
        scope(
            next_server="10.0.0.7", server_name="boot", boot_file="pxelinux.0",
            policies=(Policy("efi", (Condition(ConditionField.ARCHITECTURE, ("7",)),), boot_file="i.efi"),),
        )
    )  # fmt: skip
    world = World(declared)
    (offer,) = world.say(Client(1).discover())
    assert (offer.message.siaddr, offer.message.sname, offer.message.file) == (
        packed("10.0.0.7"),
        b"boot",
        b"pxelinux.0",
    )
    (offer,) = world.say(Client(2).discover({93: b"\x00\x07"}))
    assert offer.message.file == b"i.efi"
    (offer,) = World().say(Client(1).discover())
    assert offer.message.siaddr == packed("10.0.0.1"), "nothing declared: ourselves"


def test_declared_times_take_the_place_of_the_usual_ones() -> None:
    world = World(organisation(scope(options=(option(58, "600"), option(59, "1200")))))
    (offer,) = world.say(Client(1).discover())
    assert [int.from_bytes(offer.message.options[code], "big") for code in (51, 58, 59)] == [3600, 600, 1200]
    world = World(organisation(scope(options=(option(59, "99999"),))))
    (offer,) = world.say(Client(1).discover())
    assert int.from_bytes(offer.message.options[59], "big") == 3150


def test_what_is_kept_ready_is_bounded() -> None:
    world = World()
    for number in range(option_blocks.BLOCK_COUNT_MAX + 10):
        world.say(Client(1).discover({55: number.to_bytes(2, "big")}))
    assert len(world.server.blocks._blocks) <= option_blocks.BLOCK_COUNT_MAX
    assert isinstance(world.server.blocks, OptionBlocks)


def test_a_change_of_the_organisation_is_told_at_once() -> None:
    world = World()
    assert 3 not in told(world, Client(1))
    world.follow(organisation(scope(options=(option(3, "10.0.0.254"),))))
    assert told(world, Client(1))[3] == packed("10.0.0.254")


def test_the_domain_of_names_in_dns() -> None:
    def domain(number: int, **settings: object) -> str:
        policy = Policy("one", (FIRST_MACS,), dns_suffix="policy.test")
        made = World(
            organisation(scope(**{"policies": (policy,), "options": (option(15, "Told.Test"),)} | settings))
        )
        state, facts = made.server.table.scopes[0], Facts(Client(number).discover())
        met = (0,) if number == 1 else ()
        return made.server.blocks.block(state.served, met, None, facts).dns_suffix

    assert domain(9) == "told.test"
    assert domain(9, dns_suffix="own.test.") == "own.test"
    assert domain(1, dns_suffix="own.test") == "policy.test"
    assert domain(9, dns_suffix="no name") == "told.test"  # the checks let none of that through
    assert domain(9, options=(option(15, "no name"),)) == ""
