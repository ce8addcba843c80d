"""What kinds of objects an organisation has, and the fields of each, read off the model's dataclasses.

File format, storage, plan and reference page go by this one table, so a field
that is added to the model is known everywhere. In files a key leaves out the
unit (``quota`` for ``quota_bytes``), because its value carries one (``2GB``).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.directory.model import (
    AcceptedDomain,
    DhcpClass,
    DhcpServer,
    DistributionGroup,
    DsnText,
    FailoverRelationship,
    MacFilter,
    Mailbox,
    MailboxDatabase,
    OptionDefinition,
    Organisation,
    ReceiveConnector,
    RequiredTls,
    Reservation,
    ResourceThreshold,
    Scope,
    SendConnector,
    Server,
    Site,
    SiteLink,
)

DirectoryObject = (
    Site
    | SiteLink
    | Server
    | AcceptedDomain
    | ReceiveConnector
    | SendConnector
    | MailboxDatabase
    | Mailbox
    | DistributionGroup
    | DhcpServer
    | Scope
    | Reservation
    | DhcpClass
    | OptionDefinition
    | MacFilter
    | FailoverRelationship
    | RequiredTls
    | DsnText
    | ResourceThreshold
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a dataclass of the model.

    Attributes:
        attribute: its name in the model, ``quota_bytes``.
        key: its name in files, ``quota``.
        hint: its type as the model declares it.
        default: what it is when it is left out; None too for a required one.
        required: whether it must be given.
        unit, reason, source, least, most: see ``about.about``.
    """

    attribute: str
    key: str
    hint: object
    default: object
    required: bool
    unit: str
    reason: str
    source: str
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    Attributes:
        type: its dataclass.
        word: what it is called in texts for people, ``receive connector``.
        collection: the field of ``Organisation`` that holds these objects.
        name_attribute: the field or property that is their identity.
    """

    type: type[DirectoryObject]
    word: str
    collection: str
    name_attribute: str = "name"

    @property
    def table(self) -> str:
        """The name of its tables in files."""
        return self.word.replace(" ", "_")


# In the order in which an administrator reads an organisation.
KINDS: tuple[Kind, ...] = (
    Kind(Site, "site", "sites"),
    Kind(SiteLink, "site link", "site_links"),
    Kind(Server, "server", "servers"),
    Kind(AcceptedDomain, "accepted domain", "accepted_domains"),
    Kind(ReceiveConnector, "receive connector", "receive_connectors"),
    Kind(SendConnector, "send connector", "send_connectors"),
    Kind(MailboxDatabase, "mailbox database", "mailbox_databases"),
    Kind(Mailbox, "mailbox", "mailboxes", "address"),
    Kind(DistributionGroup, "distribution group", "distribution_groups", "address"),
    Kind(DhcpServer, "dhcp server", "dhcp_servers", "server"),
    Kind(Scope, "scope", "scopes"),
    Kind(Reservation, "reservation", "reservations", "key"),
    Kind(DhcpClass, "dhcp class", "dhcp_classes"),
    Kind(OptionDefinition, "option definition", "option_definitions", "key"),
    Kind(MacFilter, "mac filter", "mac_filters", "pattern"),
    Kind(FailoverRelationship, "failover relationship", "failover_relationships"),
    Kind(RequiredTls, "required tls", "required_tls", "domain"),
    Kind(DsnText, "dsn text", "dsn_texts"),
    Kind(ResourceThreshold, "resource threshold", "resource_thresholds", "resource"),
)

_BY_TYPE = {kind.type: kind for kind in KINDS}
_NOT_SETTINGS = frozenset(kind.collection for kind in KINDS) | {"revision"}


def make_object(kind: Kind, arguments: Mapping[str, object]) -> DirectoryObject:
    """Make an object of a kind from its attributes, which the caller has checked against its settings."""
    make = typing.cast(Callable[..., DirectoryObject], kind.type)
    return make(**arguments)


def kind_of(object_type: type) -> Kind:
    """Find the kind of an object type of the model."""
    return _BY_TYPE[object_type]


def objects_of(organisation: Organisation, kind: Kind) -> tuple[DirectoryObject, ...]:
    """All objects of a kind, in their order."""
    return typing.cast(tuple[DirectoryObject, ...], getattr(organisation, kind.collection))


def name_of(item: DirectoryObject) -> str:
    """The name or address that is the identity of an object."""
    name = getattr(item, kind_of(type(item)).name_attribute)
    return str(name.value if isinstance(name, enum.Enum) else name)


def subject_of(item: DirectoryObject) -> str:
    """An object in words, for example ``receive connector "scanner"``."""
    return f'{kind_of(type(item)).word} "{name_of(item)}"'


def settings_of(record_type: type) -> tuple[Setting, ...]:
    """The settings of a dataclass of the model; of ``Organisation`` those that hold for the whole of it."""
    return _settings_of(record_type)


@functools.cache
def _settings_of(record_type: type) -> tuple[Setting, ...]:
    assert dataclasses.is_dataclass(record_type)
    hints = typing.get_type_hints(record_type)
    return tuple(
        Setting(
            attribute=each.name,
            key=_key(each.name),
            hint=hints[each.name],
            default=None if each.default is dataclasses.MISSING else each.default,
            required=each.default is dataclasses.MISSING,
            unit=each.metadata["unit"],
            reason=each.metadata["reason"],
            source=each.metadata["source"],
            least=each.metadata["least"],
            most=each.metadata["most"],
        )
        for each in dataclasses.fields(record_type)
        if record_type is not Organisation or each.name not in _NOT_SETTINGS
    )


def _key(attribute: str) -> str:
    if attribute.endswith("_bytes_max"):
        return attribute.removesuffix("_bytes_max") + "_size_max"
    return attribute.removesuffix("_bytes").removesuffix("_s")
