"""What partners of a failover relationship must have alike, how it differs, and one made equal to the other.

That is the relationship itself, its scopes with their policies and options, the
reservations in them, and the classes and option definitions that these use. What
stands at a server and its clients see (``server_wide``) is told and compared as
well, and taken over only on request, for it is also for scopes that are not shared.

Source: spec/dhcp.md sections 1 and 4.4: Windows' replicate scope and replicate relationship.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator

from holdfast.directory.dhcp import Condition, ConditionField, Policy, Reservation, Scope
from holdfast.directory.dhcp_options import DhcpClass, OptionDefinition, OptionValue
from holdfast.directory.edit import with_object
from holdfast.directory.failover import FailoverRelationship
from holdfast.directory.model import Organisation
from holdfast.directory.server_wide import filters_of, seen_of, server_options, with_server_wide
from holdfast.directory.toml_format import read_organisation, write_organisation
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId

_CLASS_FIELDS = (ConditionField.VENDOR_CLASS, ConditionField.USER_CLASS)


def shared_part(
    organisation: Organisation, relationship: FailoverRelationship, scopes: Iterable[str] | None = None
) -> Organisation:
    """The part of an organisation that the partner must have alike.

    Args:
        organisation: of one partner.
        relationship: there.
        scopes: of these scopes alone, and then without the relationship; None for all of them.
    """
    names = set(relationship.scopes if scopes is None else scopes)
    found = sorted((each for each in organisation.scopes if each.name in names), key=lambda each: each.name)
    reservations = [one for scope in found for one in organisation.reservations_by_scope.get(scope.name, ())]
    part = Organisation(
        scopes=tuple(found),
        reservations=tuple(reservations),
        failover_relationships=(_in_order(relationship),) if scopes is None else (),
    )
    options = list(_options(found, reservations))
    return _with_what_is_used(organisation, part, [each.policies for each in found], options)


def server_part(organisation: Organisation, server: str) -> Organisation:
    """What a server tells clients of all its scopes, with the classes and definitions that it uses."""
    entry = seen_of(organisation, server)
    part = Organisation(dhcp_servers=(entry,), mac_filters=filters_of(organisation, server))
    return _with_what_is_used(organisation, part, [entry.policies], list(server_options(entry)))


def told_part(organisation: Organisation, relationship: FailoverRelationship, server: str) -> Organisation:
    """All that a partner is told: what is shared, and what ``server`` tells all its clients."""
    shared, own = shared_part(organisation, relationship), server_part(organisation, server)
    classes = {each.name: each for each in (*shared.dhcp_classes, *own.dhcp_classes)}
    definitions = {
        (each.vendor_class, each.code): each for each in (*shared.option_definitions, *own.option_definitions)
    }
    return dataclasses.replace(
        shared,
        dhcp_servers=own.dhcp_servers,
        mac_filters=own.mac_filters,
        dhcp_classes=tuple(classes[each] for each in sorted(classes)),
        option_definitions=tuple(definitions[each] for each in sorted(definitions)),
    )


def _with_what_is_used(
    organisation: Organisation,
    part: Organisation,
    policies: Iterable[Iterable[Policy]],
    options: list[OptionValue],
) -> Organisation:
    """A part with the classes and the option definitions that it uses."""
    every_policy = [policy for some in policies for policy in some]
    classes = list(_classes(organisation, every_policy, options))
    used = {(each.vendor_class, each.code) for each in options}
    return dataclasses.replace(
        part,
        dhcp_classes=tuple(sorted(classes, key=lambda each: each.name)),
        option_definitions=tuple(
            sorted(
                (each for each in organisation.option_definitions if (each.vendor_class, each.code) in used),
                key=lambda each: (each.vendor_class, each.code),
            )
        ),
    )


def _in_order(relationship: FailoverRelationship) -> FailoverRelationship:
    # The order of scopes means nothing; what each may have for itself is not compared.
    plain = FailoverRelationship(relationship.name, relationship.servers)
    return dataclasses.replace(
        relationship,
        scopes=tuple(sorted(relationship.scopes)),
        receive_timeout_s=plain.receive_timeout_s,
        unacknowledged_count_max=plain.unacknowledged_count_max,
    )


def _options(scopes: Iterable[Scope], reservations: Iterable[Reservation]) -> Iterator[OptionValue]:
    for scope in scopes:
        yield from scope.options
        for policy in scope.policies:
            yield from policy.options
    for reservation in reservations:
        yield from reservation.options


def _classes(
    organisation: Organisation, policies: Iterable[Policy], options: Iterable[OptionValue]
) -> Iterator[DhcpClass]:
    exact = {name for each in options for name in (each.vendor_class, each.user_class) if name}
    values = [
        value for policy in policies for condition in _class_conditions(policy) for value in condition.values
    ]
    exact |= {each for each in values if not each.endswith("*")}
    beginnings = tuple(each[:-1].casefold() for each in values if each.endswith("*"))
    wanted = {each.casefold() for each in exact}
    for each in organisation.dhcp_classes:
        name = each.name.casefold()
        if name in wanted or (beginnings and name.startswith(beginnings)):
            yield each


def _class_conditions(policy: Policy) -> Iterator[Condition]:
    yield from (each for each in policy.conditions if each.looks_at in _CLASS_FIELDS)


def digest_of(part: Organisation) -> bytes:
    """By what two partners know, in 32 bytes, whether what they share is the same."""
    return hashlib.sha256(write_organisation(part).encode()).digest()


def write_part(part: Organisation) -> str:
    """What is told to the partner."""
    return write_organisation(part)


def read_part(text: str, whose: str) -> Organisation:
    """Read what a partner told of itself.

    Raises:
        Refusal: it is not well formed, or of another version.
    """

    def no_mailbox() -> MailboxId:
        raise Refusal(f"{whose} tells of mailboxes where it should tell of DHCP")

    return read_organisation(text, whose, existing=Organisation(), new_id=no_mailbox)


def made_equal_server_wide(mine: Organisation, theirs: Organisation, server: str) -> Organisation:
    """Our organisation with what the partner tells all its clients in the place of what our server does.

    Args:
        mine: ours.
        theirs: the partner's ``told_part``.
        server: ours.

    Raises:
        Refusal: the partner did not tell of it.
    """
    if len(theirs.dhcp_servers) != 1:
        raise Refusal("the partner does not tell what it tells all its clients: it runs another version")
    (entry,) = theirs.dhcp_servers
    after = mine
    part = server_part(theirs, entry.server)
    kinds: tuple[tuple[DhcpClass | OptionDefinition, ...], ...] = (part.dhcp_classes, part.option_definitions)
    for objects in kinds:
        for each in objects:
            after = with_object(after, each)
    return with_server_wide(after, server, entry, part.mac_filters)


def made_equal(mine: Organisation, theirs: Organisation) -> Organisation:
    """Our organisation with what a partner shares in the place of ours.

    Args:
        mine: ours.
        theirs: the partner's ``shared_part``: what is in it takes the place of what is ours; reservations of
            its scopes that it does not have are gone. What it tells all its clients is left alone.
    """
    names = {each.name for each in theirs.scopes}
    after = mine
    kinds: tuple[tuple[DhcpClass | OptionDefinition | Scope, ...], ...] = (
        theirs.dhcp_classes,
        theirs.option_definitions,
        theirs.scopes,
    )
    for objects in kinds:
        for each in objects:
            after = with_object(after, each)
    for relationship in theirs.failover_relationships:
        after = with_object(after, _with_own_settings(mine, relationship))
    kept = tuple(each for each in mine.reservations if each.scope not in names)
    mine_of_them = tuple(each for each in mine.reservations if each.scope in names)
    known = set(mine_of_them)
    wanted = set(theirs.reservations)
    # In our order where they are the same, so that equal ones are no change.
    same = tuple(each for each in mine_of_them if each in wanted)
    new = tuple(each for each in theirs.reservations if each not in known)
    return dataclasses.replace(after, reservations=(*kept, *same, *new))


def _with_own_settings(mine: Organisation, relationship: FailoverRelationship) -> FailoverRelationship:
    """Theirs, but in our order of scopes, and with what each has for itself as it is here."""
    ours = next((each for each in mine.failover_relationships if each.name == relationship.name), None)
    if ours is None:
        return relationship
    order = {name: index for index, name in enumerate(ours.scopes)}
    return dataclasses.replace(
        relationship,
        scopes=tuple(sorted(relationship.scopes, key=lambda name: (order.get(name, len(order)), name))),
        receive_timeout_s=ours.receive_timeout_s,
        unacknowledged_count_max=ours.unacknowledged_count_max,
    )
