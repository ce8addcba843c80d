"""Classes of an ISC dhcpd configuration: each becomes a policy of the server, or of a scope for a part of its
pool.

A class whose test cannot be said in our model is noted once, with its line, and nothing of it is taken over:
its options would otherwise go to clients that never got them.

Source: dhcpd.conf(5) of ISC dhcpd 4.4, "client classing".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.dhcp.migrate_conditions import Term, conditions_of, isc_terms
from holdfast.dhcp.moving import Arrival, free_policy_name
from holdfast.directory.dhcp import Condition, ConditionField, Match, Policy
from holdfast.kernel.errors import Refusal
from holdfast.kernel.iprange import IPRange
from holdfast.wire.isc_conf import Statement

_SUBCLASSED = {
    "hardware": ConditionField.MAC,
    "option vendor-class-identifier": ConditionField.VENDOR_CLASS,
    "option dhcp-client-identifier": ConditionField.CLIENT_ID,
    "option agent.circuit-id": ConditionField.CIRCUIT_ID,
    "option agent.remote-id": ConditionField.REMOTE_ID,
    "option user-class": ConditionField.USER_CLASS,
}


@dataclass(slots=True)
class _Class:
    statement: Statement
    subclasses: list[Statement] = field(default_factory=list)


class IscClasses:
    """The classes of a file, by name."""

    def __init__(self, arrival: Arrival) -> None:
        """Start with none."""
        self._arrival = arrival
        self._classes: dict[str, _Class] = {}

    def _left(self, statement: Statement, reason: str) -> None:
        self._arrival.left(statement.place, statement.text, reason)

    def add(self, statement: Statement) -> None:
        """Take note of a ``class`` or ``subclass``."""
        name = statement.words[1].text if len(statement.words) > 1 else ""
        known = self._classes.get(name)
        if statement.head == "subclass":
            if known is None:
                self._left(statement, f'there is no class "{name}" before it')
                return
            if statement.block:
                self._left(statement, "what a subclass says beside its value is not taken over")
            known.subclasses.append(statement)
        elif known is None:
            self._classes[name] = _Class(statement)
        else:
            self._left(statement, f'class "{name}" is there already, on line {known.statement.line}')

    def server_policies(self, fill: Callable[[Statement, Policy], Policy]) -> tuple[Policy, ...]:
        """Policies of the server for classes that give their members something; ``fill`` reads what."""
        found: list[Policy] = []
        for name, each in self._classes.items():
            gives = [one for one in each.statement.block or () if one.head not in ("match", "spawn")]
            conditions = self._conditions(each)
            if conditions is None or not gives:
                continue
            policy = Policy(free_policy_name(name, found), conditions[0], conditions[1])
            found.append(fill(each.statement, policy))
        return tuple(found)

    def pool_policy(self, name: str, ranges: list[IPRange], statement: Statement) -> Policy | None:
        """A policy that gives ranges to the members of a class; None, with a note, when it cannot be."""
        known = self._classes.get(name)
        if known is None:
            self._left(statement, f'there is no class "{name}"')
            return None
        conditions = self._conditions(known)
        if conditions is None:
            self._left(
                statement,
                f'its members are not known here (see class "{name}"): everybody may get these addresses',
            )
            return None
        return Policy(free_policy_name(name, ()), conditions[0], conditions[1], ranges=tuple(ranges))

    def _conditions(self, wanted: _Class) -> tuple[tuple[Condition, ...], Match] | None:
        block = wanted.statement.block or ()
        match = next((each for each in block if each.head == "match"), None)
        try:
            if any(each.head == "spawn" for each in block):
                raise Refusal("it makes a class for each client")
            if match is None:
                raise Refusal("it says nothing of its members")
            if match.word(1) == "if":
                text = match.text.partition(" ")[2].partition(" ")[2]
                terms, how = isc_terms(text)
            else:
                terms, how = self._subclass_terms(match, wanted), Match.ANY
            return conditions_of(terms, how, self._arrival), how
        except Refusal as refusal:
            self._note_once(wanted.statement, refusal.text)
            return None

    def _note_once(self, statement: Statement, reason: str) -> None:
        place = statement.place
        if not any(each.place == place for each in self._arrival.notes):
            self._left(statement, reason)

    def _subclass_terms(self, match: Statement, wanted: _Class) -> list[Term]:
        source = match.text.partition(" ")[2].lower()
        looks_at = _SUBCLASSED.get(source)
        if looks_at is None:
            raise Refusal(f'"match {source}" cannot be said in a policy')
        terms: list[Term] = []
        for each in wanted.subclasses:
            word = each.words[2] if len(each.words) == 3 else None
            if word is None:
                raise Refusal(f"the subclass on line {each.line} has no value")
            try:
                data = word.data if word.quoted else bytes(int(part, 16) for part in word.text.split(":"))
            except ValueError:
                raise Refusal(f"the value of the subclass on line {each.line} is not known") from None
            # In dhcpd "hardware" begins with the type.
            terms.append(Term(looks_at, data[1:] if looks_at is ConditionField.MAC else data, True, True))
        if not terms:
            raise Refusal("it has no members")
        return terms
