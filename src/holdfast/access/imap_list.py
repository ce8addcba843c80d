r"""LIST and LSUB: which folders match a pattern, and what is said of each.

Source: RFC 3501 sections 6.3.8 and 6.3.9; RFC 5258 (LIST-EXTENDED); RFC 5819
(LIST-STATUS); RFC 6154 (SPECIAL-USE).
"""

from __future__ import annotations

from collections.abc import Generator

from holdfast.access.imap_conversation import Bad, Conversation, Step, StepResult, ask, drain_if_long
from holdfast.access.imap_folders import DELIMITER, say_status
from holdfast.wire import store
from holdfast.wire.imap import Arguments, ListCommand, format_mailbox, parse_list

PATTERN_CHARACTERS_MAX = 500

Run = Generator[Step, StepResult, str]


def matches(name: str, pattern: str) -> bool:
    """Whether a folder's name matches a pattern: ``*`` is any text, ``%`` any text within a level.

    Takes time proportional to the product of both lengths at most.

    Source: RFC 3501 section 6.3.8.
    """
    if name == "INBOX":
        pattern = pattern.upper()
    # The places in the name that the pattern read so far can lead to.
    places = {0}
    for sign in pattern:
        if not places:
            return False
        if sign == "*":
            places = set(range(min(places), len(name) + 1))
        elif sign == "%":
            places = _within_level(name, places)
        else:
            places = {place + 1 for place in places if name[place : place + 1] == sign}
    return len(name) in places


def _within_level(name: str, places: set[int]) -> set[int]:
    reached: set[int] = set()
    for place in sorted(places):
        while place not in reached:
            reached.add(place)
            if place == len(name) or name[place] == DELIMITER:
                break
            place += 1
    return reached


def _check_patterns(wish: ListCommand) -> None:
    if any(len(wish.reference) + len(pattern) > PATTERN_CHARACTERS_MAX for pattern in wish.patterns):
        raise Bad("Illegal arguments: a pattern is too long.")


def list_folders(conversation: Conversation, arguments: Arguments) -> Run:
    """LIST (RFC 3501 section 6.3.8; RFC 5258)."""
    wish = parse_list(arguments)
    _check_patterns(wish)
    if wish.patterns == ("",) and not wish.extended:
        conversation.say(f'* LIST (\\Noselect) "{DELIMITER}" ""'.encode())
        return ""
    listed = yield from ask(
        store.ListFolders(mailbox_id=conversation.signed_in().mailbox_id), store.FolderList
    )
    tree = _Tree(listed.folders)
    for folder in sorted([*listed.folders, *tree.levels()], key=_list_order):
        if not _is_named(folder, wish, is_level=tree.is_level(folder.name)):
            continue
        attributes = _attributes(folder, wish, tree)
        if attributes is not None:
            _say_folder(conversation, "LIST", folder.name, *attributes)
            if wish.status_items and folder.exists and folder.selectable:
                yield from say_status(conversation, folder, wish.status_items)
            yield from drain_if_long(conversation)
    return ""


def _list_order(folder: store.Folder) -> tuple[bool, str]:
    return (folder.name != "INBOX", folder.name)


def _is_named(folder: store.Folder, wish: ListCommand, *, is_level: bool) -> bool:
    """Whether a pattern names the folder.

    A level that is no folder is listed where the client looks level by level:
    when the pattern ends with ``%`` (RFC 3501 section 6.3.8), or to say what is
    subscribed below it (RFC 5258 section 3.5).
    """
    return any(
        matches(folder.name, wish.reference + pattern)
        and (not is_level or pattern.endswith("%") or "SUBSCRIBED" in wish.select)
        for pattern in wish.patterns
    )


class _Tree:
    """Who has folders or subscriptions below, and which levels are no folders; made once per command."""

    def __init__(self, folders: list[store.Folder]) -> None:
        self.parents: set[str] = set()
        self.subscribed_below: set[str] = set()
        self._names = {folder.name for folder in folders}
        for folder in folders:
            above = list(_names_above(folder.name))
            if folder.exists:
                self.parents.update(above)
            if folder.subscribed:
                self.subscribed_below.update(above)

    def is_level(self, name: str) -> bool:
        """Whether a name is no folder and no subscription, but has folders below."""
        return name not in self._names

    def levels(self) -> list[store.Folder]:
        """The levels that are no folders, as names that cannot be selected."""
        return [
            store.Folder(
                folder_id=0, name=name, special_use="", subscribed=False, selectable=False, exists=True,
                uid_validity=0, uid_next=0, message_count=0, unseen_count=0, recent_count=0, size_bytes=0,
                highest_position=0,
            )
            for name in self.parents - self._names
        ]  # fmt: skip


def _names_above(name: str) -> Generator[str, None, None]:
    end = name.rfind(DELIMITER)
    while end > 0:
        yield name[:end]
        end = name.rfind(DELIMITER, 0, end)


def _attributes(folder: store.Folder, wish: ListCommand, tree: _Tree) -> tuple[list[str], list[str]] | None:
    """Return the attributes and the CHILDINFO of a folder, or None when it was not asked for."""
    info: list[str] = []
    # Special folders have nothing above them, so only subscriptions can lie below.
    recursive = {"RECURSIVEMATCH", "SUBSCRIBED"} <= wish.select
    if recursive and folder.exists and folder.name in tree.subscribed_below:
        info.append("SUBSCRIBED")
    if not info and not _selected_by(folder, wish):
        return None
    attributes: list[str] = []
    if folder.exists:
        attributes.append("\\HasChildren" if folder.name in tree.parents else "\\HasNoChildren")
    if not folder.selectable and folder.exists:
        attributes.append("\\Noselect")
    if folder.subscribed and "SUBSCRIBED" in (wish.select | wish.returned):
        attributes.append("\\Subscribed")
    if not folder.exists:
        attributes.append("\\NonExistent")
    if folder.special_use:
        attributes.append(folder.special_use)
    return attributes, info


def _selected_by(folder: store.Folder, wish: ListCommand) -> bool:
    if "SUBSCRIBED" in wish.select:
        if not folder.subscribed:
            return False
    elif not folder.exists:
        return False
    return "SPECIAL-USE" not in wish.select or bool(folder.special_use)


def _say_folder(
    conversation: Conversation, kind: str, name: str, attributes: list[str], info: list[str]
) -> None:
    extension = b""
    if info:
        quoted = " ".join(f'"{word}"' for word in info)
        extension = f' ("CHILDINFO" ({quoted}))'.encode()
    start = f'* {kind} ({" ".join(attributes)}) "{DELIMITER}" '.encode()
    conversation.say(start, format_mailbox(name), extension)


def list_subscribed(conversation: Conversation, arguments: Arguments) -> Run:
    r"""LSUB: subscribed names; with ``%`` also names that only have subscriptions below (section 6.3.9)."""
    wish = parse_list(arguments)
    _check_patterns(wish)
    if wish.extended or len(wish.patterns) != 1:
        raise Bad("Illegal arguments: LSUB takes one reference and one pattern.")
    pattern = wish.reference + wish.patterns[0]
    if not wish.patterns[0]:
        conversation.say(f'* LSUB (\\Noselect) "{DELIMITER}" ""'.encode())
        return ""
    listed = yield from ask(
        store.ListFolders(mailbox_id=conversation.signed_in().mailbox_id), store.FolderList
    )
    said: dict[str, list[str]] = {}
    for folder in listed.folders:
        if not folder.subscribed:
            continue
        if matches(folder.name, pattern):
            said[folder.name] = []
        elif "%" in pattern:
            for name in _names_above(folder.name):
                if matches(name, pattern):
                    said.setdefault(name, ["\\Noselect"])
    for name, attributes in said.items():
        _say_folder(conversation, "LSUB", name, attributes, [])
        yield from drain_if_long(conversation)
    return ""
