"""Address spaces: which domains a send connector serves, and at what cost.

``example.com`` is that domain alone, ``*.example.com`` it and all below, ``*``
every domain. A type (``SMTP:``) in front and a cost (``;5``) behind may be left out.

Source: exchange-behaviour SC-3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.kernel.address import parse_domain
from holdfast.kernel.errors import Refusal

COST_MAX = 100
_SHAPE = re.compile(r"(?:([A-Za-z0-9]{1,20}):)?([^:;]*)(?:;([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """One address space, read.

    Attributes:
        domain: in comparable form without the star; empty for ``*``.
        below: whether domains below ``domain`` belong to it.
        cost: 1 to 100; the lower is preferred.
    """

    domain: str
    below: bool
    cost: int = 1

    def serves(self, domain: str) -> bool:
        """Whether a domain in comparable form belongs to it."""
        if not self.domain or domain == self.domain:
            return True
        return self.below and domain.endswith(f".{self.domain}")


def parse_address_space(text: str) -> AddressSpace:
    """Read ``type:space;cost``.

    Raises:
        Refusal: it is malformed; the text says what is wrong with it.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise Refusal("it is not type:domain;cost")
    kind, domain, cost_text = match.groups()
    if kind is not None and kind.upper() != "SMTP":
        raise Refusal(f'the type "{kind}" is not SMTP')
    cost = 1 if cost_text is None else int(cost_text)
    if not 1 <= cost <= COST_MAX:
        raise Refusal(f"the cost {cost} is not from 1 to {COST_MAX}")
    if domain == "*":
        return AddressSpace("", below=True, cost=cost)
    if domain.startswith("*") and not domain.startswith("*."):
        raise Refusal("a star stands alone or before a dot")
    parsed = parse_domain(domain.removeprefix("*."))
    if parsed.startswith("["):
        raise Refusal("an address literal is not a domain")
    return AddressSpace(parsed, below=domain.startswith("*."), cost=cost)
