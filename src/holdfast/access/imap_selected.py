r"""The selected folder as one client sees it: sequence numbers, flags, and what it has not been told yet.

The store knows messages by UID only. A client may also name them by sequence
number, so each session keeps its own list of UIDs, and removes one from it
only in the moment in which it says EXPUNGE. Between these moments the list may
hold messages that are gone and lack nothing that the client was told of.

Invariant: message number n of the client is ``uids[n - 1]``, always.

Source: RFC 3501 sections 2.3.1.2, 5.2, 7.3, 7.4.1; RFC 2180.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from holdfast.wire import store

SYSTEM_FLAGS = ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")
_SYSTEM_FLAG_NAMES = {flag.casefold(): flag for flag in SYSTEM_FLAGS}


class SelectedFolder:
    """One session's view of the folder that it has selected."""

    def __init__(self, opened: store.FolderOpened, *, read_only: bool) -> None:
        self.folder_id = opened.folder.folder_id
        self.name = opened.folder.name
        self.uid_validity = opened.folder.uid_validity
        self.read_only = read_only
        self.position = opened.folder.highest_position
        self.uids = [message.uid for message in opened.messages]
        self.flags = {message.uid: message.flags for message in opened.messages}
        self.modifications = {message.uid: message.modification for message in opened.messages}
        self.recent = set(opened.recent_uids)
        if read_only and opened.folder.recent_count:
            # Looked at, not claimed; the recent messages are always the last ones.
            self.recent.update(self.uids[-opened.folder.recent_count :])
        self.keywords: dict[str, str] = {}
        for message in opened.messages:
            self._learn_keywords(message.flags)
        self._gone: set[int] = set()
        self._flags_changed: set[int] = set()
        self._appended: set[int] = set()
        self._told_count = len(self.uids)
        self._told_recent_count = len(self.recent)
        self._told_keyword_count = len(self.keywords)

    def keep_recent(self, before: SelectedFolder) -> None:
        """Take over what was recent when this session had the folder selected already."""
        self.recent.update(before.recent.intersection(self.flags))
        self._told_recent_count = len(self.recent)

    # --- what the client may name ----------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many messages the client can name; those it was not told to be gone are among them."""
        return len(self.uids)

    def number_of(self, uid: int) -> int | None:
        """The sequence number of a UID, or None."""
        index = bisect_left(self.uids, uid)
        return index + 1 if index < len(self.uids) and self.uids[index] == uid else None

    def is_gone(self, uid: int) -> bool:
        """Whether the message was removed although the client was not told yet."""
        return uid in self._gone

    def flags_text(self, uid: int) -> str:
        r"""The flags as they are written: system flags and ``\Recent`` by name, then keywords."""
        flags = list(self.flags[uid])
        if uid in self.recent:
            flags.append("\\Recent")
        return f"({' '.join(sorted(flags, key=_flag_order))})"

    def first_unseen_number(self) -> int | None:
        r"""The number of the first message without ``\Seen``, or None."""
        for number, uid in enumerate(self.uids, 1):
            if "\\Seen" not in self.flags[uid]:
                return number
        return None

    def known_flags_text(self) -> str:
        """System flags and the keywords of this folder, as FLAGS lists them."""
        return " ".join((*SYSTEM_FLAGS, *sorted(self.keywords.values())))

    def canonical_flags(self, flags: Iterable[str]) -> list[str]:
        r"""Write flags as the folder knows them (they compare without case); ``\Recent`` is dropped."""
        canonical: dict[str, None] = {}
        for flag in flags:
            key = flag.casefold()
            if key != "\\recent":
                canonical[_SYSTEM_FLAG_NAMES.get(key) or self.keywords.get(key, flag)] = None
        return list(canonical)

    # --- what the store says ---------------------------------------------------------------------

    def absorb(self, changes: store.Changes) -> None:
        """Take what happened in the folder; the client hears of it by ``updates``."""
        self.position = max(self.position, changes.position)
        self.forget(changes.vanished)
        self.recent.update(changes.recent_uids)
        for message in changes.changed:
            self._take_state(message, own=False)

    def stored(self, messages: Iterable[store.MessageState]) -> None:
        """Take flags that this session itself has set: the client is told by the command, not by us."""
        for message in messages:
            self._take_state(message, own=True)

    def appended(self, uid_validity: int, uid: int) -> None:
        """Note that this session itself put a message somewhere; its flags need not be told then."""
        if uid_validity == self.uid_validity:
            self._appended.add(uid)

    def forget(self, uids: Iterable[int]) -> None:
        """Note that messages are gone."""
        self._gone.update(uid for uid in uids if uid in self.flags)

    def flags_told(self, uids: Iterable[int]) -> None:
        """Note that the client was just told these messages' flags."""
        self._flags_changed.difference_update(uids)

    def flags_to_tell(self, uids: Iterable[int]) -> None:
        """Note that the client has to be told these messages' flags."""
        self._flags_changed.update(uids)

    def has_flags_to_tell(self, uid: int) -> bool:
        """Whether the client was not told a message's flags since they changed."""
        return uid in self._flags_changed

    def _take_state(self, message: store.MessageState, *, own: bool) -> None:
        uid = message.uid
        if uid not in self.flags:
            # UIDs only grow; a smaller one that we do not have is a message whose
            # EXPUNGE the client has read already.
            if self.uids and uid <= self.uids[-1]:
                return
            self.uids.append(uid)
            # RFC 3501 section 2.3.2 leaves open which of several sessions sees it as recent: all do.
            self.recent.add(uid)
            if message.flags and uid not in self._appended:
                self._flags_changed.add(uid)
        elif self.flags[uid] != message.flags and not own:
            self._flags_changed.add(uid)
        self.flags[uid] = message.flags
        self.modifications[uid] = message.modification
        self._learn_keywords(message.flags)

    def _learn_keywords(self, flags: Iterable[str]) -> None:
        for flag in flags:
            if not flag.startswith("\\"):
                self.keywords.setdefault(flag.casefold(), flag)

    # --- what the client is told -----------------------------------------------------------------

    def keyword_updates(self) -> bytes:
        """Untagged FLAGS and PERMANENTFLAGS when the folder has got a new keyword."""
        if len(self.keywords) == self._told_keyword_count:
            return b""
        self._told_keyword_count = len(self.keywords)
        flags = self.known_flags_text()
        return f"* FLAGS ({flags})\r\n* OK [PERMANENTFLAGS ({flags} \\*)] Limited\r\n".encode()

    def updates(self, *, expunges: bool, with_uid: bool) -> bytes:
        """Untagged responses for everything that the client was not told yet.

        Args:
            expunges: whether EXPUNGE may be said now; without it sequence
                numbers stay as they are (RFC 3501 section 7.4.1).
            with_uid: name the UID in FETCH responses (RFC 3501 section 6.4.8).
        """
        lines: list[str] = []
        if expunges and self._gone:
            lines += self._expunge_lines()
        if self.count != self._told_count:
            lines.append(f"* {self.count} EXISTS")
        recent_count = len(self.recent)
        if self.count != self._told_count or recent_count != self._told_recent_count:
            lines.append(f"* {recent_count} RECENT")
        self._told_count = self.count
        self._told_recent_count = recent_count
        pieces = ["".join(f"{line}\r\n" for line in lines).encode(), self.keyword_updates()]
        for uid in sorted(self._flags_changed - self._gone):
            number = self.number_of(uid)
            uid_item = f" UID {uid}" if with_uid else ""
            pieces.append(f"* {number} FETCH (FLAGS {self.flags_text(uid)}{uid_item})\r\n".encode())
        self._flags_changed.clear()
        self._appended.clear()
        return b"".join(pieces)

    def tell_expunged(self) -> bytes:
        """Untagged EXPUNGE for what is gone, without RECENT: for MOVE, which Apache James answers so."""
        lines = self._expunge_lines()
        self._told_recent_count = len(self.recent)
        return "".join(f"{line}\r\n" for line in lines).encode()

    def _expunge_lines(self) -> list[str]:
        lines: list[str] = []
        kept: list[int] = []
        for uid in self.uids:
            if uid in self._gone:
                lines.append(f"* {len(kept) + 1} EXPUNGE")
                del self.flags[uid], self.modifications[uid]
            else:
                kept.append(uid)
        # Messages that came and went unseen were never counted to the client.
        told_gone_count = sum(1 for uid in self.uids[: self._told_count] if uid in self._gone)
        lines = lines[:told_gone_count]
        self.recent -= self._gone
        self._flags_changed -= self._gone
        self._told_count -= told_gone_count
        self.uids = kept
        self._gone.clear()
        return lines


def _flag_order(flag: str) -> tuple[bool, str]:
    return (not flag.startswith("\\"), flag)
