"""What the verbs that move DHCP in and out give back."""

from __future__ import annotations

from holdfast.admin.results import ProblemRow, Result


class MovedCountRow(Result, frozen=True):
    """How many of one thing are new."""

    what: str
    new_count: int


class MovedScopeRow(Result, frozen=True):
    """One scope that arrives; ``exists`` when it is here already and says the same."""

    scope: str
    subnet: str
    pool: str
    reservation_count: int
    lease_count: int
    exists: bool


class NoteRow(Result, frozen=True):
    """Something that did not come over as it was: ``changed`` or ``left behind``."""

    place: str
    what: str
    fate: str
    reason: str


class Moved(Result, frozen=True):
    """What moving in did, or would do when ``applied`` is false.

    ``conflicts`` stop it; ``notes`` are what an administrator has to look at afterwards.
    """

    applied: bool
    revision: int
    new: list[MovedCountRow]
    scopes: list[MovedScopeRow]
    dangers: list[str]
    conflicts: list[ProblemRow]
    note_count: int
    notes: list[NoteRow]
    next_step: str


class MergedScopeRow(Result, frozen=True):
    """One scope made of two halves; ``lease_count`` came from the source."""

    scope: str
    subnet: str
    pool: str
    exclusions: list[str]
    reservation_count: int
    lease_count: int


class Merged(Result, frozen=True):
    """What merging did, or would do when ``applied`` is false; ``backup`` is what undo goes by."""

    applied: bool
    revision: int
    backup: str
    scopes: list[MergedScopeRow]
    dangers: list[str]
    conflicts: list[ProblemRow]
    notes: list[NoteRow]
    next_step: str
