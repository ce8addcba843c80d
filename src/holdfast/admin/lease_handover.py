"""Hand leases that arrive over to the dhcp role of this server, and ask it for those that go out.

They travel in parts, for a message has a limit; the role takes all of them over with the last part, in one
transaction, or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.admin.context import Context
from holdfast.kernel.errors import Refusal, Unavailable

if TYPE_CHECKING:
    from holdfast.dhcp.moving import MovedLease
    from holdfast.drivers.dhcp_requests import LeaseState

PART_COUNT = 50_000
_NAMED_MAX = 20


def hand_over(context: Context, leases: Sequence[MovedLease]) -> None:
    """Have the role make leases durable; addresses that it keeps for others are named in a warning.

    Raises:
        Refusal: the role does not take them.
        Unavailable: the role does not run or does not answer; nothing was taken over.
    """
    from holdfast.drivers.dhcp_requests import IMPORT_LEASES, ImportLeases

    if not leases:
        return
    batch = f"{context.luck.getrandbits(64):016x}"
    kept: tuple[str, ...] = ()
    for part, start in enumerate(range(0, len(leases), PART_COUNT)):
        end = min(start + PART_COUNT, len(leases))
        context.progress(start, len(leases), "handing over leases")
        question = ImportLeases(batch, part, end == len(leases), tuple(leases[start:end]))
        try:
            kept = IMPORT_LEASES.ask(context.surroundings.ask, question).kept
        except Unavailable as error:
            raise Unavailable(
                f"nothing was changed: {len(leases)} leases could not be handed over: {error.text}"
            ) from None
        except Refusal as refusal:
            raise Refusal(f"nothing was changed: {refusal.text}") from None
    if kept:
        names = ", ".join(kept[:_NAMED_MAX]) + (" …" if len(kept) > _NAMED_MAX else "")
        context.warnings.append(
            f"{len(kept)} addresses are leased here to other clients already, who keep them: {names}"
        )


def all_leases(context: Context, scopes: Sequence[str]) -> Iterator[LeaseState]:
    """Every lease of some scopes, as the role of this server has them.

    Raises:
        Unavailable: the role does not run or does not answer.
        Refusal: it does not tell.
    """
    from holdfast.drivers.dhcp_requests import LIST_LEASES, LeaseQuestion

    after, count = "", 0
    while scopes:
        answer = LIST_LEASES.ask(context.surroundings.ask, LeaseQuestion(scopes=tuple(scopes), after=after))
        yield from answer.leases
        count += len(answer.leases)
        context.progress(count, 0, f"{count} leases")
        if not answer.more or not answer.leases:
            return
        after = answer.leases[-1].address
