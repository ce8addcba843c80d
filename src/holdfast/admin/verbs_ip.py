"""The verbs about IP subnets: they need no server, and what they list may be longer than memory."""

from __future__ import annotations

import dataclasses

import msgspec

from holdfast.admin.catalogue import Argument, Arguments, Kind, Runs, Verb
from holdfast.admin.results_ip import HolderRow, SubnetAnswer, SubnetRow
from holdfast.admin.streaming import Stream
from holdfast.dhcp import subnet as calculator
from holdfast.kernel.errors import Refusal

_MODES = ("count", "split", "merge", "next-free", "contains")


def _subnet(arguments: Arguments) -> msgspec.Struct | Stream:
    modes = [name for name in _MODES if _asked(arguments, name)]
    if len(modes) > 1:
        raise Refusal(f"--{modes[0]} and --{modes[1]} are two questions: ask them one after the other")
    if arguments.given("inside") and modes != ["next-free"]:
        raise Refusal("--inside goes with --next-free: it is the subnet in which a free one is looked for")
    if arguments.flag("all") and modes:
        raise Refusal(f"--all lists addresses, and --{modes[0]} lists none: leave one of them out")
    given = [*arguments.texts("subnet"), *_file_lines(arguments)]
    if not given and modes != ["next-free"]:
        raise Refusal("give at least one subnet, for example: holdfast ip subnet 10.0.0.0/12")
    subnets = calculator.parse_subnets(given)
    match modes:
        case ["count"]:
            rows = [SubnetRow(**dataclasses.asdict(calculator.describe(each))) for each in subnets]
            return SubnetAnswer(counts=rows, host_count=sum(each.host_count for each in rows))
        case ["split"]:
            return Stream("subnets", calculator.split_pieces(subnets, arguments.count("split")))
        case ["merge"]:
            return _lines_of(calculator.merge(subnets))
        case ["next-free"]:
            return _next_free(arguments, subnets)
        case ["contains"]:
            return _holders(arguments, subnets)
        case _:
            return Stream("addresses", calculator.address_pieces(subnets, everything=arguments.flag("all")))


def _asked(arguments: Arguments, name: str) -> bool:
    return arguments.flag(name) if isinstance(arguments.value(name), bool) else arguments.given(name)


def _file_lines(arguments: Arguments) -> list[str]:
    if not arguments.given("file"):
        return []
    lines = (line.partition("#")[0].strip() for line in arguments.texts("file")[1].splitlines())
    return [line for line in lines if line]


def _lines_of(subnets: list[calculator.Network]) -> Stream:
    return Stream("subnets", iter(["\n".join(map(str, subnets))]))


def _next_free(arguments: Arguments, used: list[calculator.Network]) -> Stream:
    if not arguments.given("inside"):
        raise Refusal("--next-free needs --inside: the subnet in which a free one is looked for")
    parent = calculator.parse_subnet(arguments.text("inside"))
    return _lines_of([calculator.next_free(parent, used, arguments.count("next-free"))])


def _holders(arguments: Arguments, subnets: list[calculator.Network]) -> SubnetAnswer:
    rows = []
    for text in arguments.texts("contains"):
        whole, part = calculator.holders_of(calculator.parse_subnet(text), subnets)
        rows.append(HolderRow(text, [str(each) for each in whole], [str(each) for each in part]))
    return SubnetAnswer(holders=rows)


VERBS = (
    Verb(
        "ip",
        "subnet",
        "List the host addresses of subnets, one a line; or count, split and merge them, or find a free one.",
        "holdfast ip subnet 10.0.0.0/12",
        SubnetAnswer,
        (
            Argument(
                "subnet",
                Kind.TEXT,
                "a subnet (10.0.0.0/12, 2001:db8::/64) or an address",
                positional=True,
                many=True,
            ),
            Argument("file", Kind.FILE, "further subnets, one a line; - is standard input"),
            Argument("all", Kind.FLAG, "list the addresses that no host may have, too (network, broadcast)"),
            Argument("count", Kind.FLAG, "count the addresses and name the ends of each subnet"),
            Argument("split", Kind.COUNT, "list the subnets with this prefix that they consist of"),
            Argument("merge", Kind.FLAG, "list the fewest subnets that have the same addresses"),
            Argument(
                "next-free",
                Kind.COUNT,
                "find the first subnet with this prefix that overlaps none of those given",
            ),
            Argument("inside", Kind.TEXT, "where --next-free looks"),
            Argument(
                "contains", Kind.TEXT, "say which of the subnets this address or subnet lies in", many=True
            ),
        ),
        detail="Addresses come in the order in which the subnets are given, and twice where these overlap "
        "(--merge first). A subnet of any size takes no memory; the listing ends when the reader of the pipe "
        "has enough.",
        runs=Runs.LOCAL,
        perform_local=_subnet,
    ),
)
