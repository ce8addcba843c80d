"""What next hops took of ours, held against what was sent to us and what we wrote down.

**relay**: somebody elsewhere gets each message once; twice only when the process
died, or the connection broke, after the next hop took it and before we could
know: each copy too many needs one such acceptance (RFC 1047). They are counted.
Nothing is taken that was not sent, or with other bytes, and nobody is given up
whom no next hop refused. Where 8BITMIME is not offered, a body with 8 bits is
encoded, and reads as it was sent (RFC 6152 section 3).
"""

from __future__ import annotations

import email

from holdfast.sim.elsewhere import FAR_DOMAIN_COUNT, far_domain
from holdfast.sim.next_hops import Taken
from holdfast.sim.senders import Letter
from holdfast.sim.world import Violation

BOUNCE_HEADER = b"multipart/report"


class Acceptances:
    """All that next hops took, by letter and recipient."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], list[Taken]] = {}
        self.bounce_count = 0
        self.doubled_count = 0  # copies that came once more, since nobody could know

    @property
    def copy_count(self) -> int:
        """Copies that arrived elsewhere, bounces not counted."""
        return sum(len(all_taken) for all_taken in self._taken.values())

    def holds(self, marker: str, recipient: str) -> bool:
        """Whether a next hop took a letter for a recipient."""
        return (marker, recipient) in self._taken

    def take(self, taken: Taken, letter: Letter | None, tries: list[tuple[str, ...]]) -> None:
        """Take in what a next hop has just taken.

        Args:
            taken: the message.
            letter: the one it is, by its marker; None when it is none of ours.
            tries: the recipients of each different try of its sender.

        Raises:
            Violation: it is none, is not what was sent, or came once too often.
        """
        if BOUNCE_HEADER in taken.data:
            self._take_bounce(taken, letter)
            return
        if letter is None:
            raise Violation(f"{taken.place} took a message that nobody sent: {taken.data[:80]!r}")
        marker = letter.marker
        as_sent = taken.data.endswith(b"\r\n" + letter.data)
        if not (as_sent if taken.eight_bit or letter.data.isascii() else _reads_as(taken.data, letter.data)):
            raise Violation(f"{taken.place} took {marker} with other bytes than were sent")
        if taken.reverse_path != letter.reverse_path:
            raise Violation(f"{taken.place} took {marker} from {taken.reverse_path}")
        for recipient in taken.recipients:
            try_count = sum(recipient in each for each in tries)
            if not try_count:
                raise Violation(f"{taken.place} took {marker} for {recipient}, to whom it was never sent")
            earlier = self._taken.setdefault((marker, recipient), [])
            excused_count = sum(each.excused(recipient) for each in earlier)
            if len(earlier) + 1 > try_count + excused_count:
                raise Violation(
                    f"{taken.place} took {marker} for {recipient} for the {len(earlier) + 1}. time, by "
                    f"{try_count} different tries, and only {excused_count} acceptances could not be known"
                )
            self.doubled_count += len(earlier) >= try_count
            earlier.append(taken)

    def _take_bounce(self, taken: Taken, letter: Letter | None) -> None:
        self.bounce_count += 1
        if taken.reverse_path or letter is None or taken.recipients != (letter.reverse_path,):
            raise Violation(f"{taken.place} took a bounce for {taken.recipients}, who sent no such letter")

    def taken_over(self, marker: str, recipients: tuple[str, ...]) -> None:
        """Another server answers for these from now on, and does not know what was handed out before."""
        for recipient in recipients:
            for taken in self._taken.get((marker, recipient), ()):
                taken.forgotten.append(recipient)

    def transport_ended(self, place: str, still_queued: dict[str, list[str]]) -> None:
        """A transport process is gone.

        Args:
            place: of its server; what it did not hand out itself it may yet.
            still_queued: by letter, the recipients that its disk still has to serve: what was taken for
                these will be sent again.
        """
        for (marker, recipient), all_taken in self._taken.items():
            if recipient in still_queued.get(marker, ()):
                for taken in (each for each in all_taken if each.near.place == place):
                    taken.forgotten.append(recipient)


def _reads_as(taken: bytes, sent: bytes) -> bool:
    """Whether a message without 8 bits has the fields and the text of another, whose text has some."""
    fields, _, text = sent.partition(b"\r\n\r\n")
    decoded = email.message_from_bytes(taken).get_payload(decode=True)
    return taken.isascii() and b"\r\n" + fields + b"\r\n" in taken and decoded == text


def is_elsewhere(recipient: str) -> bool:
    """Whether there is such a domain, and it is not ours."""
    domain = recipient.rpartition("@")[2]
    return any(domain == far_domain(index) for index in range(FAR_DOMAIN_COUNT))
