"""Read a LAB.csv: which servers the lab has, where each stands, and in which order they are started.

The first line names the columns. Only ``name`` and ``site`` are needed; an empty
cell is the column's default. Every problem of a file is found in one go, each
with its line.

    name,site,roles,address,wait,ports,start
    mail1,North,transport mailbox access,10.1.0.11,yes,,yes
    mail2,South,transport mailbox access,10.2.0.11,yes,smtp=25 imap=143,yes

Invariant: the same file gives the same servers with the same addresses, always.
"""

from __future__ import annotations

import csv
import hashlib
import io
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from holdfast.directory.model import Role
from holdfast.kernel.errors import Problem, Refusal

COLUMNS = ("name", "site", "roles", "address", "wait", "ports", "start", "mailboxes")
FILE_CHARACTERS_MAX = 1 << 20
MACHINE_COUNT_MAX = 64
MAILBOX_COUNT_MAX = 1000
DEFAULT_MAILBOX_COUNT = 6
DEFAULT_ROLES = (Role.TRANSPORT, Role.MAILBOX, Role.ACCESS)
SITE_PREFIX = 24  # the network of a site, as the lab lays it out
PORT_MAX = 65_535
# Above 1023, so that nobody needs to be root.
LOOPBACK_PORT_OFFSET = 20_000

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?")
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the doors of a server are."""

    smtp: int = 25
    submission: int = 587
    submission_tls: int = 465
    imap: int = 143
    imap_tls: int = 993
    metrics: int = 2090

    def as_dict(self) -> dict[str, int]:
        """Ports by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Machine:
    """One row: a server of the lab.

    Attributes:
        wait: whether the next server is started only when this one serves.
        start: whether ``lab up`` starts it; ``lab start`` does later.
        mailbox_count: mailboxes in its database, where it has the mailbox role.
    """

    name: str
    site: str
    address: str
    roles: tuple[Role, ...] = DEFAULT_ROLES
    wait: bool = True
    ports: Ports = field(default_factory=Ports)
    start: bool = True
    mailbox_count: int = DEFAULT_MAILBOX_COUNT

    def listening(self) -> tuple[tuple[str, int], ...]:
        """Address and port of everything that clients come to, from what its roles are."""
        ports: list[int] = []
        if Role.TRANSPORT in self.roles:
            ports += [self.ports.smtp, self.ports.submission, self.ports.submission_tls]
        if Role.ACCESS in self.roles:
            ports += [self.ports.imap, self.ports.imap_tls]
        return tuple((self.address, port) for port in ports)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The servers of a lab, in the order in which they are started."""

    machines: tuple[Machine, ...]

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in the order in which the file names them."""
        return tuple(dict.fromkeys(each.site for each in self.machines))

    def of_site(self, site: str) -> tuple[Machine, ...]:
        """The servers of a site."""
        return tuple(each for each in self.machines if each.site == site)

    def machine(self, name: str) -> Machine:
        """Find a server.

        Raises:
            Refusal: there is none of that name.
        """
        found = next((each for each in self.machines if each.name == name), None)
        if found is None:
            names = ", ".join(each.name for each in self.machines)
            raise Refusal(f'the lab has no server "{name}"; it has {names}')
        return found


TWO_SERVERS = Sheet((Machine("mail1", "Main", "10.61.0.11"), Machine("mail2", "Main", "10.61.0.12")))


def read_sheet(text: str, file_name: str) -> Sheet:
    """Read a LAB.csv.

    Raises:
        Refusal: it is not one; ``problems`` lists everything found, with lines.
    """
    if len(text) > FILE_CHARACTERS_MAX:
        raise Refusal(f"{file_name} has more than {FILE_CHARACTERS_MAX} characters; is it the right file?")
    reader = _Reader(file_name)
    try:
        machines = reader.read(text.removeprefix("\ufeff"))
    except csv.Error as error:
        raise Refusal(f"{file_name} is not CSV: {error}; write one server per line") from None
    if reader.problems:
        more = f" ({len(reader.problems)} problems)" if len(reader.problems) > 1 else ""
        raise Refusal(f"{reader.problems[0]}{more}", problems=tuple(reader.problems))
    return Sheet(tuple(machines))


class _Reader:
    """Reads rows and collects what is wrong."""

    def __init__(self, file_name: str) -> None:
        self.problems: list[Problem] = []
        self._file_name = file_name
        self._line = 1
        self._names: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._networks: dict[str, tuple[str, int]] = {}
        self._sites: list[str] = []

    def read(self, text: str) -> list[Machine]:
        machines: list[Machine] = []
        columns: tuple[str, ...] | None = None
        lines = csv.reader(io.StringIO(text), strict=True, skipinitialspace=True)
        for cells in lines:
            self._line = lines.line_num
            cells = [each.strip() for each in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if columns is None:
                columns = self._columns(cells)
                if not columns:
                    return []
                continue
            if len(cells) > len(columns):
                self._wrong(
                    f"{len(cells)} cells, but {len(columns)} columns", "separate words in a cell by spaces"
                )
                continue
            machine = self._machine(dict(zip(columns, cells, strict=False)), len(machines))
            if machine is not None:
                machines.append(machine)
        self._line = 1
        if not machines and not self.problems:
            self._wrong("names no server", "write a line with columns and one line per server")
        if len(machines) > MACHINE_COUNT_MAX:
            self._wrong(f"names {len(machines)} servers", f"a lab has at most {MACHINE_COUNT_MAX}")
        return machines

    def _columns(self, cells: list[str]) -> tuple[str, ...]:
        names = tuple(each.casefold() for each in cells)
        for name in names:
            if name not in COLUMNS:
                self._wrong(f'unknown column "{name[:40]}"', f"the columns are {', '.join(COLUMNS)}")
        for name in ("name", "site"):
            if name not in names:
                self._wrong(f'the column "{name}" is missing', "the first line names the columns")
        if len(set(names)) != len(names):
            self._wrong("a column is there twice", "take one away")
        return () if self.problems else names

    def _machine(self, row: Mapping[str, str], index: int) -> Machine | None:
        before = len(self.problems)
        name, site = row["name"], row.get("site") or ""
        if not _NAME.fullmatch(name):
            self._wrong(f'"{name[:40]}" is no name for a server', "use 1 to 30 of A-Z a-z 0-9 -")
        elif (first := self._names.setdefault(name.casefold(), self._line)) != self._line:
            self._wrong(f'server "{name}" is in line {first} already', "give each server its own name")
        if not site or not site.isprintable() or '"' in site or len(site) > 64:
            self._wrong(f'server "{name[:40]}" has no site', "name one, for example Main")
        machine = Machine(
            name,
            site,
            self._address(row.get("address") or f"10.61.{self._site_number(site)}.{11 + index}", site),
            self._roles(row.get("roles", "")),
            self._truth("wait", row.get("wait") or "yes"),
            self._ports(row.get("ports", "")),
            self._truth("start", row.get("start") or "yes"),
            self._count(row.get("mailboxes", "")),
        )
        return machine if len(self.problems) == before else None

    def _site_number(self, site: str) -> int:
        if site not in self._sites:
            self._sites.append(site)
        return self._sites.index(site)

    def _address(self, text: str, site: str) -> str:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            self._wrong(f'"{text[:60]}" is not an IPv4 address', "write one, for example 10.1.0.11")
            return ""
        if address.is_loopback or address.is_multicast or address.is_unspecified:
            self._wrong(f"{address} cannot be the address of a server", "take one such as 10.1.0.11")
        first = self._addresses.setdefault(str(address), self._line)
        if first != self._line:
            self._wrong(
                f"the address {address} is in line {first} already", "give each server its own address"
            )
        network = str(ipaddress.ip_network(f"{address}/{SITE_PREFIX}", strict=False))
        if str(address) in _reserved(network):
            self._wrong(f"{address} is the network's own address", f"take another one of {network}")
        owner, line = self._networks.setdefault(network, (site, self._line))
        if owner != site:
            self._wrong(
                f'{network} is the network of site "{owner}" (line {line})',
                "give each site networks of its own",
            )
        return str(address)

    def _roles(self, text: str) -> tuple[Role, ...]:
        roles: list[Role] = []
        known = {each.value: each for each in DEFAULT_ROLES}
        for word in re.split(r"[\s+;,]+", text.casefold().strip()) if text else ():
            if word not in known:
                self._wrong(f'unknown role "{word[:40]}"', f"the roles are {', '.join(known)}")
            else:
                roles.append(known[word])
        return tuple(dict.fromkeys(roles)) or DEFAULT_ROLES

    def _ports(self, text: str) -> Ports:
        found: dict[str, int] = {}
        known = Ports().as_dict()
        for word in re.split(r"[\s;,]+", text.strip()) if text else ():
            name, _, number = word.partition("=")
            if name not in known:
                self._wrong(f'unknown port "{name[:40]}"', f"write {', '.join(f'{e}=…' for e in known)}")
            elif not (number.isascii() and number.isdigit() and 0 < int(number[:6]) <= PORT_MAX):
                self._wrong(f'"{number[:20]}" is not a port', f"write {name}=1 to {name}={PORT_MAX}")
            else:
                found[name] = int(number)
        ports = Ports(**(known | found))
        values = list(ports.as_dict().values())
        twice = next((each for each in values if values.count(each) > 1), None)
        if twice is not None:
            self._wrong(f"the port {twice} is taken twice", "give each door its own port")
        return ports

    def _truth(self, column: str, text: str) -> bool:
        if text.casefold() not in _YES:
            self._wrong(f'{column} is "{text[:20]}"', "write yes or no")
        return _YES.get(text.casefold(), False)

    def _count(self, text: str) -> int:
        if not text:
            return DEFAULT_MAILBOX_COUNT
        if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MAILBOX_COUNT_MAX):
            self._wrong(f'mailboxes is "{text[:20]}"', f"write a number from 0 to {MAILBOX_COUNT_MAX}")
            return 0
        return int(text)

    def _wrong(self, text: str, advice: str) -> None:
        self.problems.append(Problem(f"{self._file_name} line {self._line}", text, advice))


def _reserved(network: str) -> Iterator[str]:
    """Addresses of a network that no server may have: its first and last, and the router's."""
    found = ipaddress.ip_network(network)
    yield str(found[0])
    yield str(found[-1])
    yield str(found[-2])


def on_loopback(sheet: Sheet, lab_id: str) -> Sheet:
    """The same servers as processes of this machine: addresses 127.x.y.z and high ports.

    Two labs have different networks inside 127/8, drawn from their ids; the addresses of one are always
    the same.
    """
    digest = hashlib.sha256(lab_id.encode()).digest()
    # 127.0 and 127.1 are where other programs of a machine are.
    prefix = f"127.{64 + digest[0] % 128}.{digest[1]}"
    return Sheet(
        tuple(
            replace(machine, address=f"{prefix}.{index}", ports=_high(machine.ports))
            for index, machine in enumerate(sheet.machines, start=11)
        )
    )


def _high(ports: Ports) -> Ports:
    return Ports(
        **{
            name: port if port > 1023 else port + LOOPBACK_PORT_OFFSET
            for name, port in ports.as_dict().items()
        }
    )
