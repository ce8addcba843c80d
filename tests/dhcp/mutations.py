"""Files that are well-formed and wrong: a tree of a sample with a few places changed at random."""

from __future__ import annotations

import random
from dataclasses import replace

from holdfast.wire.isc_conf import Statement, Word
from holdfast.wire.kea_config import Node
from holdfast.wire.windows_dhcp_export import Element

TEXTS = (
    "", "0", "-1", "1", "255", "99999999999999999999", "1.5", "true", "null", "10.0.0.1", "192.0.2.300",
    "192.0.2.0/24", "192.0.2.1/24", "192.0.2.0/32", "0.0.0.0/0", "192.0.2.9-192.0.2.1", "198.51.100.5",
    "zz", "0x", "0xff", "a*", "*", "1:", "00-11-22-33-44-55", "02:00:00:00:99:01", "a\x00b", "ä", "x" * 300,
    '"', ",", "EQ", "Phones", "pxe", "subnet", "2.00:00:00", "option[60].hex == 'a'",
    "substring(option[60].hex,0,999) == 'a'", "not", "9999-99-99", "\ufffd",
)  # fmt: skip


def of_statements(
    statements: tuple[Statement, ...], rng: random.Random, rate: float
) -> tuple[Statement, ...]:
    """A dhcpd.conf."""
    found: list[Statement] = []
    for each in statements:
        words = list(each.words)
        block = None if each.block is None else of_statements(each.block, rng, rate)
        if rng.random() < rate and words:
            at = rng.randrange(len(words))
            match rng.randrange(5):
                case 0:
                    del words[at]
                case 1:
                    words[at] = Word(rng.choice(TEXTS).encode(), each.line, rng.random() < 0.3)
                case 2:
                    words.insert(at, Word(rng.choice(TEXTS).encode(), each.line))
                case 3:
                    block = None if block is not None else found[-1].block if found else ()
                case _:
                    found.append(each)
        if words or block is not None:
            found.append(replace(each, words=tuple(words), block=block))
    return tuple(found)


def of_nodes(node: Node, rng: random.Random, rate: float) -> Node:
    """A Kea configuration."""
    value = node.value
    if rng.random() < rate:
        value = rng.choice(
            (*TEXTS, None, True, 0, -1, 1 << 70, 2.5, [], {}, [Node("x", 1)], {"x": Node(1, 1)})
        )
    if isinstance(value, dict):
        changed = {key: of_nodes(each, rng, rate) for key, each in value.items() if rng.random() > rate}
        return Node(changed, node.line)
    if isinstance(value, list):
        items = [of_nodes(each, rng, rate) for each in value if rng.random() > rate]
        return Node(items + items[: rng.random() < rate], node.line)
    return Node(value, node.line)


def of_elements(element: Element, rng: random.Random, rate: float) -> Element:
    """A Windows export."""
    children = [of_elements(each, rng, rate) for each in element.children if rng.random() > rate]
    if children and rng.random() < rate:
        children.append(rng.choice(children))
    text = rng.choice(TEXTS).strip() if rng.random() < rate and not children else element.text
    name = (
        rng.choice(("Odd", "Scope", "Value", "Name", element.name)) if rng.random() < rate else element.name
    )
    return Element(name, element.line, text, children)
