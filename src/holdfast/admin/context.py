"""What a verb may use while it is done by management.

A verb gets the organisation as it is, makes another one and hands it to
``change``: that plans, refuses what is wrong or dangerous, and applies. So every
verb that changes something shows its plan, and none can forget to ask.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.admin.catalogue import Arguments
from holdfast.admin.own_certificate import with_own_certificate
from holdfast.admin.results import Changed
from holdfast.directory.dangers_connectors import find_relays_opened
from holdfast.directory.model import MailboxDatabase, Organisation
from holdfast.directory.plan import Change, plan_change
from holdfast.drivers.management_socket import StateValue
from holdfast.drivers.sqlite_directory import DirectoryStore
from holdfast.kernel.errors import Problem, Refusal, Unavailable
from holdfast.kernel.ids import MailboxId


@dataclass(frozen=True, slots=True)
class RoleState:
    """What management knows of one connected role process."""

    role: str
    pid: int
    revision: int
    state: dict[str, StateValue]


@dataclass(frozen=True, slots=True)
class Usage:
    """How much one mailbox holds."""

    size_bytes: int
    message_count: int


@dataclass
class Surroundings:
    """What management lends to verbs: the world behind plain functions.

    Attributes:
        home: the state directory.
        server_name: our own name where it was told; empty otherwise.
        roles: asks every connected role for its state.
        usage: asks a mailbox database what mailboxes hold, in the order asked;
            raises Unavailable.
        ask: asks a role (``transport``) to do or tell something: role, verb, body in,
            body out; raises Refusal and Unavailable.
    """

    home: Path
    server_name: str
    roles: Callable[[], list[RoleState]]
    usage: Callable[[str, list[MailboxId]], list[Usage]]
    ask: Callable[[str, str, bytes], bytes]


@dataclass
class Context:
    """One call of one verb.

    Attributes:
        surroundings: what management lends.
        store: the directory; writable only for a verb that changes something.
        who: the user that asked, for the change log.
        now: seconds since the epoch.
        luck: for new ids; seeded from the machine's source of randomness.
        progress: tells the asker how far we are (done, total or 0, text).
        warnings: what the asker should look at although the verb was done.
        applied: the changes made, as text, for the log of management.
        known: the organisation as management has it in memory, taken while it is the one in force:
            reading a large one takes longer than most verbs.
    """

    surroundings: Surroundings
    store: DirectoryStore
    who: str
    now: float
    luck: random.Random
    progress: Callable[[int, int, str], None]
    warnings: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    known: Organisation | None = None
    _organisation: Organisation | None = None

    @property
    def organisation(self) -> Organisation:
        """The organisation as it is now."""
        if self._organisation is None:
            in_force = self.known is not None and self.known.revision == self.store.revision()
            self._organisation = self.known if in_force else self.store.read()
        assert self._organisation is not None
        return self._organisation

    def change(
        self,
        arguments: Arguments,
        after: Organisation,
        *,
        just_before: Callable[[], None] = lambda: None,
        more_dangers: Sequence[str] = (),
    ) -> Changed:
        """Plan a change and, unless only the plan is wanted, apply it.

        ``just_before`` is called once nothing stands in the way any more;
        ``more_dangers`` are what a role knows and the organisation does not say.

        Raises:
            Refusal: the organisation would be wrong (all problems are listed), this server would not
                know any more which one it is, or the change is dangerous and ``--yes`` was not given.
        """
        self._stay_known(after)
        after = with_own_certificate(after, self.surroundings.home, self.surroundings.server_name)
        plan = plan_change(self.organisation, after)
        if plan.problems:
            raise Refusal(
                f"nothing was changed: the organisation would have {_counted(len(plan.problems), 'problem')}",
                problems=tuple(plan.problems),
            )
        self.warnings += [f"it was wrong before and still is: {each}" for each in plan.standing]
        changes, dangers = [change_text(each) for each in plan.changes], [*plan.dangers, *more_dangers]
        opens = find_relays_opened(self.organisation, after)
        if arguments.flag("plan") or not changes:
            revision = self.organisation.revision
            return Changed(applied=False, revision=revision, changes=changes, dangers=dangers, opens=opens)
        if dangers and not arguments.flag("yes"):
            raise Refusal(
                "nothing was changed: the change is dangerous",
                problems=tuple(Problem("plan", each, "add --yes to do it all the same") for each in dangers),
            )
        just_before()
        self._organisation = self.store.apply(plan, who=self.who, why=arguments.text("why"), at=self.now)
        self.applied += changes
        revision = self._organisation.revision
        return Changed(applied=True, revision=revision, changes=changes, dangers=dangers, opens=opens)

    def _stay_known(self, after: Organisation) -> None:
        """Refuse what makes several servers of one, where ours was never told which of them it is.

        It would close all its doors at once, and make itself a certificate that nobody knows.
        """
        name = self.surroundings.server_name
        own = self.organisation.own_server(name)
        if own is None or name or len(after.servers) < 2:
            return
        told = own.name if after.server(own.name) is not None else "NAME"
        raise Refusal(
            f"nothing was changed: this server was started without a name, and of {len(after.servers)} "
            f"servers it would not know which one it is and close all its doors; stop it, start it with "
            f"`holdfast up --server {told}`, and do this again"
        )

    def usage(self, database: str, mailbox_ids: Sequence[MailboxId]) -> dict[MailboxId, Usage]:
        """What mailboxes of one database hold; empty, with a warning, while it does not answer."""
        if not mailbox_ids:
            return {}
        try:
            found = self.surroundings.usage(database, list(mailbox_ids))
        except Unavailable as error:
            self.warnings.append(f'sizes of database "{database}" are not known: {error.text}')
            return {}
        return dict(zip(mailbox_ids, found, strict=True))

    def mailbox_ids(self, database: MailboxDatabase) -> list[MailboxId]:
        """The mailboxes of a database."""
        return [each.mailbox_id for each in self.organisation.mailboxes if each.database == database.name]


def change_text(change: Change) -> str:
    """One change as a line for people: ``change mailbox "a@b": quota 2 GB -> 5 GB``."""
    head = f"{change.action} {change.kind}" + (f' "{change.name}"' if change.name else "")
    if change.action == "remove" or not change.fields:
        return head
    if change.action == "add":
        # The name is in front of it already.
        parts = [f"{each.name} {each.after_text}" for each in change.fields if each.after_text != change.name]
    else:
        parts = [f"{each.name} {each.before_text} -> {each.after_text}" for each in change.fields]
    return f"{head}: {', '.join(parts)}" if parts else head


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def not_found(kind: str, name: str, known: Iterable[str]) -> Refusal:
    """The refusal for a name that is not there, with the nearest that is."""
    import difflib

    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else f"; see: holdfast {kind.split()[-1]} list"
    return Refusal(f'there is no {kind} "{name}"{hint}')
