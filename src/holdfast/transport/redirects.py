"""Where an administrator sends recipients of one message instead of their own way.

A message that waits in several queues may be redirected out of one of them: its other
recipients keep their way, since the host that takes mail for one domain refuses that
for others. What is kept with the message is a text: entries parted by semicolons, each
a host and the domains it is for; an entry without domains is for all recipients that
no other names.

Source: exchange-behaviour QU-4 (redirect a queue).
"""

from __future__ import annotations

from collections.abc import Iterable


def host_for(redirect: str, recipient: str) -> str:
    """The host that a recipient is sent to; empty for its own way."""
    if not redirect:
        return ""
    domain = _domain(recipient)
    others = ""
    for host, domains in _entries(redirect):
        if domain in domains:
            return host
        if not domains:
            others = host
    return others


def redirected(redirect: str, recipients: Iterable[str], host: str) -> str:
    """Send the domains of some recipients to a host too; an empty one gives them their own way again."""
    moved = {_domain(recipient) for recipient in recipients}
    kept: dict[str, set[str]] = {}
    for each, domains in _entries(redirect):
        # Taken back for some, an order for all holds for none: nobody has said what the others are.
        if domains - moved or (not domains and host):
            kept.setdefault(each, set()).update(domains - moved)
    if host and kept.get(host) != set():
        kept.setdefault(host, set()).update(moved)
    return ";".join(" ".join((each, *sorted(domains))) for each, domains in kept.items())


def in_words(redirect: str) -> str:
    """The same for people."""
    return ", ".join(
        f"{host} ({', '.join(sorted(domains))})" if domains else host for host, domains in _entries(redirect)
    )


def _entries(redirect: str) -> list[tuple[str, set[str]]]:
    found = (entry.split(" ") for entry in redirect.split(";") if entry)
    return [(host, set(domains)) for host, *domains in found]


def _domain(recipient: str) -> str:
    return recipient[recipient.rfind("@") + 1 :].lower()
