"""Names in DNS follow the leases, whatever happens to DNS, to the process, or to the client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhcp.conversations import Client, World, option, organisation, packed, reservation, scope
from dhcp.made_up_dns import MadeUpDns, let_dns_work
from holdfast.dhcp import registrar as module
from holdfast.dhcp.dns_state import is_pending, read_state
from holdfast.directory.dhcp import DhcpServer, DnsUpdates, Scope
from holdfast.wire.dns_update import UpdateAnswer, UpdateOutcome

SERVER = DhcpServer("ns1", dns_servers=("192.0.2.53",), dns_key="k")
S, N = 1, 8
DOMAIN, REVERSE = "example.test", "0.0.10.in-addr.arpa"


def office(**more: object) -> Scope:
    return scope(options=(option(15, DOMAIN),), **more)


def world(*scopes: Scope, **more: object) -> World:
    made = World(organisation(*(scopes or (office(),)), **{"server": SERVER} | more))  # type: ignore[arg-type]  # passed on
    made.records()
    return made


def name(text: str, flags: int = S) -> dict[int, bytes]:
    return {81: bytes((flags, 0, 0)) + text.encode()}


def get(made: World, client: Client, options: dict[int, bytes]) -> str:
    return client.gets(made, options)


def test_a_name_comes_with_the_lease_and_goes_with_it() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    assert get(made, client, name("Desk")) == "10.0.0.10"
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.0.0.10"}}
    assert ("desk.example.test", "DHCID") in dns.records
    assert dns.of(f"10.{REVERSE}") == {"PTR": {"desk.example.test."}}
    assert not is_pending(made.disk[int.from_bytes(packed("10.0.0.10"), "big")].dns)
    made.say(client.release("10.0.0.10"))
    let_dns_work(made, dns)
    assert dns.records == {}
    (lease,) = made.disk.values()
    assert lease.dns == b""


def test_the_answer_waits_for_no_dns_and_says_the_whole_name() -> None:
    made, client = world(), Client(1)
    (offer,) = made.say(client.discover(name("Desk")))
    (ack,) = made.say(client.select("10.0.0.10", name("Desk")))
    for each in (offer, ack):
        assert each.message.options[81] == b"\x01\xff\xff" + b"desk.example.test."
    assert made.server.registrar.in_flight_count == 1  # nobody answered yet


def test_nothing_is_sent_before_the_lease_is_durable() -> None:
    made, client = world(), Client(1)
    made.say(client.discover(name("desk")))
    made.disk_is_full = True
    made.say(client.select("10.0.0.10", name("desk")))
    assert made.server.registrar.updates == []
    made.disk_is_full = False
    made.say(client.select("10.0.0.10", name("desk")))
    assert len(made.server.registrar.updates) == 1


def test_renewals_ask_nothing_of_dns() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    count = len(dns.updates)
    made.say(client.renew("10.0.0.10", name("desk")))
    let_dns_work(made, dns)
    assert (len(dns.updates), count) == (2, 2)


def test_at_the_end_of_the_lease_the_name_goes() -> None:
    made, dns = world(), MadeUpDns()
    get(made, Client(1), name("desk"))
    let_dns_work(made, dns)
    made.now += 3700
    let_dns_work(made, dns)
    assert dns.records == {}


def test_names_may_stay() -> None:
    made, dns, client = world(office(dns_remove=False)), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    made.say(client.release("10.0.0.10"))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.0.0.10"}}


def test_another_name_at_a_renewal() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    made.say(client.renew("10.0.0.10", name("chair")))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {}
    assert dns.of("chair.example.test") == {"A": {"10.0.0.10"}}
    assert dns.of(f"10.{REVERSE}") == {"PTR": {"chair.example.test."}}
    assert len(dns.records) == 3


def test_two_clients_of_one_name_the_first_keeps_it() -> None:
    made, dns = world(), MadeUpDns()
    first, second = Client(1), Client(2)
    get(made, first, name("desk"))
    let_dns_work(made, dns)
    made.records()
    get(made, second, name("desk"))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.0.0.10"}}
    assert dns.of(f"11.{REVERSE}") == {}
    assert made.events() == ["DHC-0602"]
    assert [each for each in made.records() if each in (30, 31, 32)] == [30, 31]
    # The second ends: what it never had does not go.
    made.say(second.release("10.0.0.11"))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.0.0.10"}}


def test_a_name_that_came_free_is_taken_at_the_next_renewal() -> None:
    made, dns = world(), MadeUpDns()
    first, second = Client(1), Client(2)
    get(made, first, name("desk"))
    let_dns_work(made, dns)
    get(made, second, name("desk"))
    let_dns_work(made, dns)
    made.say(first.release("10.0.0.10"))
    let_dns_work(made, dns)
    assert dns.records == {}
    made.say(second.renew("10.0.0.11", name("desk")))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.0.0.11"}}


def test_without_protection_the_last_one_has_the_name() -> None:
    made, dns = world(office(dns_protect=False)), MadeUpDns()
    for number in (1, 2):
        get(made, Client(number), name("desk"))
        let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.0.0.11"}}


def test_a_client_that_moves_takes_its_name_along() -> None:
    made, dns = (
        world(office(), scope("lab", "10.5.0.0/24", "10.5.0.10-10.5.0.19", options=(option(15, DOMAIN),))),
        MadeUpDns(),
    )
    client = Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    client.giaddr = packed("10.5.0.1")
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.5.0.10"}}
    made.now += 3000
    made.say(client.renew("10.5.0.10", name("desk"))._replace(giaddr=packed("10.5.0.1")))
    made.now += 700  # the old lease ends
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {"A": {"10.5.0.10"}}
    assert dns.of(f"10.{REVERSE}") == {}


def test_an_address_that_another_client_gets_loses_the_name_of_the_one_before() -> None:
    made, dns = world(office(pool="10.0.0.10-10.0.0.10")), MadeUpDns()
    dns.down = {""}
    first = Client(1)
    get(made, first, name("desk"))
    made.say(first.release("10.0.0.10"))
    get(made, Client(2), name("chair"))
    dns.down = set()
    made.now += 400
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {}
    assert dns.of("chair.example.test") == {"A": {"10.0.0.10"}}
    assert dns.of(f"10.{REVERSE}") == {"PTR": {"chair.example.test."}}


def test_dns_is_down_and_comes_back() -> None:
    made, dns = world(), MadeUpDns()
    dns.down = {""}
    for number in range(5):
        get(made, Client(number), name(f"host{number}"))
    let_dns_work(made, dns, seconds=60)
    assert made.events() == ["DHC-0603"]
    tried = len(dns.updates)
    assert tried < 15  # waits grow, and one asks for all
    dns.down = set()
    let_dns_work(made, dns, seconds=70)
    assert made.events() == ["DHC-0604"]
    assert [dns.of(f"host{number}.example.test") for number in range(5)] == [
        {"A": {f"10.0.0.1{number}"}} for number in range(5)
    ]
    assert made.server.registrar.waiting_count == 0


def test_while_a_zone_takes_nothing_only_one_update_asks() -> None:
    made, dns = world(), MadeUpDns()
    dns.down = {""}
    get(made, Client(0), name("host0"))
    let_dns_work(made, dns, seconds=0)
    for number in range(1, 6):
        get(made, Client(number), name(f"host{number}"))
    let_dns_work(made, dns, seconds=0.5)
    assert len(dns.updates) == 1
    let_dns_work(made, dns, seconds=0.75)
    assert len(dns.updates) == 2


def test_names_stay_for_the_next_client_and_a_changed_name_goes_all_the_same() -> None:
    made, dns, client = world(office(dns_remove=False, pool="10.0.0.10-10.0.0.10")), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    made.say(client.renew("10.0.0.10", name("chair")))
    let_dns_work(made, dns)
    assert dns.of("desk.example.test") == {}
    made.say(client.release("10.0.0.10"))
    get(made, Client(2), name("lamp"))
    let_dns_work(made, dns)
    assert dns.of("chair.example.test") == dns.of("lamp.example.test") == {"A": {"10.0.0.10"}}


def test_a_zone_that_takes_nothing_keeps_no_other_waiting() -> None:
    made, dns = world(), MadeUpDns()
    dns.down = {REVERSE}
    for number in range(5):
        get(made, Client(number), name(f"host{number}"))
    let_dns_work(made, dns, seconds=5)
    assert {f"host{number}.example.test" for number in range(5)} <= dns.names()
    assert {each.event_id for each in made.server.records if each.event_id > 29} == {30, 31, 32}
    dns.down = set()
    let_dns_work(made, dns, seconds=20)
    assert dns.of(f"14.{REVERSE}") == {"PTR": {"host4.example.test."}}


def test_the_process_dies_and_does_what_was_left() -> None:
    made, dns = world(), MadeUpDns()
    dns.down = {""}
    get(made, Client(1), name("desk"))
    leaving = Client(2)
    dns.down = set()
    let_dns_work(made, dns)
    get(made, leaving, name("chair"))
    let_dns_work(made, dns)
    dns.down = {""}
    made.say(leaving.release("10.0.0.11"))
    get(made, Client(3), name("lamp"))
    let_dns_work(made, dns)
    made.restart()
    dns.down = set()
    let_dns_work(made, dns, seconds=2)
    assert {each for each in dns.names() if each.endswith(DOMAIN)} == {
        "desk.example.test",
        "lamp.example.test",
    }


def test_done_and_not_written_down_is_done_again_without_harm() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns, seconds=0)  # all of it was answered, and nothing written
    before = dict(dns.records)
    made.restart()
    let_dns_work(made, dns)
    assert dns.records == before
    assert not any(is_pending(each.dns) for each in made.disk.values())


def test_what_cannot_be_written_down_is_done_again() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    made.disk_is_full = True
    let_dns_work(made, dns)
    made.disk_is_full = False
    let_dns_work(made, dns)
    assert not any(is_pending(each.dns) for each in made.disk.values())
    assert len(dns.records) == 3


def test_the_client_speaks_while_dns_is_asked() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    made.say(client.renew("10.0.0.10", name("chair")))
    let_dns_work(made, dns, seconds=2)
    assert {each for each in dns.names() if each.endswith(DOMAIN)} == {"chair.example.test"}
    assert dns.of(f"10.{REVERSE}") == {"PTR": {"chair.example.test."}}


@pytest.mark.parametrize(
    ("settings", "options", "names"),
    [
        ({}, name("desk", 0), {f"10.{REVERSE}"}),
        ({}, name("desk", N), set()),
        ({"dns_updates": DnsUpdates.ALWAYS}, name("desk", N), {"desk.example.test", f"10.{REVERSE}"}),
        ({"dns_updates": DnsUpdates.NEVER}, name("desk"), set()),
        ({"dns_reverse": False}, name("desk"), {"desk.example.test"}),
        ({}, {12: b"desk"}, set()),
        ({"dns_without_request": True}, {12: b"desk"}, {"desk.example.test", f"10.{REVERSE}"}),
        ({"dns_suffix": "own.test."}, name("desk"), {"desk.own.test", f"10.{REVERSE}"}),
    ],
)
def test_settings_of_the_scope(
    settings: dict[str, object], options: dict[int, bytes], names: set[str]
) -> None:
    made, dns = world(office(**settings)), MadeUpDns()
    get(made, Client(1), options)
    let_dns_work(made, dns)
    assert dns.names() == names


def test_a_reservation_has_a_name_for_its_client() -> None:
    declared = (reservation("10.0.0.50", "02:00:00:00:00:01", name="printer"),)
    made, dns = world(office(dns_without_request=True), reservations=declared), MadeUpDns()
    get(made, Client(1), {})
    let_dns_work(made, dns)
    assert dns.of("printer.example.test") == {"A": {"10.0.0.50"}}


def test_a_name_that_cannot_be_is_said_and_the_client_has_its_address() -> None:
    made, dns = world(), MadeUpDns()
    assert get(made, Client(1), name("wpad")) == "10.0.0.10"
    let_dns_work(made, dns)
    assert (dns.updates, made.events()) == ([], ["DHC-0601"])
    (ack,) = made.say(Client(1).renew("10.0.0.10", name("wpad")))
    assert ack.message.options[81][:1] == b"\x0a"  # N, and O: we register nothing


def test_without_servers_nothing_is_registered() -> None:
    made = world(server=DhcpServer("ns1"))
    get(made, Client(1), name("desk"))
    assert made.server.registrar.updates == []
    assert [each.dns for each in made.disk.values()] == [b""]


def test_a_declined_address_loses_its_name() -> None:
    made, dns, client = world(), MadeUpDns(), Client(1)
    get(made, client, name("desk"))
    let_dns_work(made, dns)
    made.say(client.decline("10.0.0.10"))
    let_dns_work(made, dns)
    assert dns.records == {}


def test_more_wait_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_COUNT_MAX", 4)
    monkeypatch.setattr(module, "LOOK_COUNT", 7)
    made, dns = world(), MadeUpDns()
    let_dns_work(made, dns)  # what there was at the start has been looked through
    dns.down = {""}
    for number in range(10):
        get(made, Client(number), name(f"host{number}"))
    let_dns_work(made, dns, seconds=3)
    assert made.server.registrar.waiting_count <= 4 + module.IN_FLIGHT_MAX
    dns.down = set()
    let_dns_work(made, dns, seconds=60)
    assert {f"host{number}.example.test" for number in range(10)} <= dns.names()


def test_what_found_no_room_while_dns_was_slow_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_COUNT_MAX", 2)
    made, dns = world(), MadeUpDns()
    let_dns_work(made, dns)
    for number in range(10):
        get(made, Client(number), name(f"host{number}"))
    let_dns_work(made, dns, seconds=5)
    assert {f"host{number}.example.test" for number in range(10)} <= dns.names()


def test_at_most_so_many_are_under_way() -> None:
    made = world(scope(subnet="10.0.0.0/16", pool="10.0.1.0-10.0.1.99", options=(option(15, DOMAIN),)))
    for number in range(50):
        get(made, Client(number), name(f"host{number}"))
    assert len(made.server.registrar.updates) == module.IN_FLIGHT_MAX
    first = made.server.registrar.updates[0]
    made.server.registrar.answered(made.now, first.number, UpdateAnswer(UpdateOutcome.DONE))
    made.server.registrar.answered(made.now, first.number, UpdateAnswer(UpdateOutcome.DONE))  # said twice
    assert made.server.registrar.in_flight_count == module.IN_FLIGHT_MAX


def test_zones_and_times_to_live() -> None:
    server = replace(SERVER, dns_zones=("test", "10.in-addr.arpa"))
    made, dns = world(office(lease_s=86400.0), server=server), MadeUpDns()
    get(made, Client(1), name("desk"))
    let_dns_work(made, dns)
    assert {each.zone for each in dns.updates} == {"test", "10.in-addr.arpa"}
    assert {change.ttl_s for each in dns.updates for change in each.changes if change.ttl_s} == {28800}


def test_an_administrator_has_it_tried_at_once() -> None:
    made, dns = world(), MadeUpDns()
    dns.down = {""}
    get(made, Client(1), name("desk"))
    let_dns_work(made, dns, seconds=100)
    dns.down = set()
    assert made.server.registrar.try_now(made.now) == 1
    let_dns_work(made, dns, seconds=0.5)
    assert len(dns.records) == 3


def test_the_state_says_what_is_registered() -> None:
    made, dns = world(), MadeUpDns()
    get(made, Client(1), name("desk"))
    let_dns_work(made, dns)
    (lease,) = made.disk.values()
    wanted = read_state(lease.dns).wanted
    assert wanted is not None
    assert (wanted.name, len(wanted.dhcid), wanted.is_pending) == ("desk.example.test", 35, False)
