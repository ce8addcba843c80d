"""Names that one object uses for another: do they exist, and may they be used for that."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from holdfast.directory.model import Organisation, Role
from holdfast.kernel.address import parse_domain
from holdfast.kernel.errors import Problem, Refusal


class Names:
    """The names of an organisation, by the word for their kind."""

    def __init__(self, organisation: Organisation) -> None:
        self._servers = {server.name: server for server in organisation.servers}
        self._known: dict[str, dict[str, None]] = {
            "site": dict.fromkeys(site.name for site in organisation.sites),
            "server": dict.fromkeys(self._servers),
            "mailbox database": dict.fromkeys(each.name for each in organisation.mailbox_databases),
            "scope": dict.fromkeys(scope.name for scope in organisation.scopes),
        }

    def check(self, word: str, names: Iterable[str], subject: str) -> Iterator[Problem]:
        """Say which of the names are not those of an object of that kind."""
        known = self._known[word]
        for name in names:
            if name not in known:
                yield Problem(subject, f'{word} "{name}" does not exist', nearest_name(word, name, known))

    def check_role(self, name: str, role: Role, subject: str) -> Iterator[Problem]:
        """Say whether a server is unknown or lacks the role that the subject needs."""
        server = self._servers.get(name)
        if server is None:
            yield from self.check("server", (name,), subject)
        elif role not in server.roles:
            yield Problem(
                subject,
                f'server "{name}" does not have the role {role.value}',
                "give it the role or name another server",
            )


def nearest_name(word: str, name: str, known: Iterable[str]) -> str:
    """Advise on a name that does not exist: the nearest that does, or how to make one."""
    by_key = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name[:100].casefold(), by_key, n=1, cutoff=0.6)
    if near:
        return f'the nearest name is "{by_key[near[0]]}"'
    return f"declare the {word} or name another"


def check_fqdn(fqdn: str, subject: str, *, required: bool) -> Iterator[Problem]:
    """Say whether a host name is malformed or missing."""
    if not fqdn and not required:
        return
    try:
        if fqdn.startswith("[") or parse_domain(fqdn) != fqdn.lower():
            raise Refusal("not an ASCII host name")
    except Refusal:
        yield Problem(
            subject,
            f'"{fqdn}" is not a host name',
            "write a full name such as mail1.example.com (xn-- outside ASCII)",
        )
