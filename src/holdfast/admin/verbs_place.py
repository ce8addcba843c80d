"""The verbs about sites, servers, accepted domains and mailbox databases."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin import verbs_protection, verbs_server_certificate
from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, Usage, not_found
from holdfast.admin.results import (
    Changed,
    DatabaseList,
    DatabaseRow,
    DatabaseShown,
    DomainList,
    DomainRow,
    ServerList,
    ServerRow,
    ServerShown,
    SiteList,
    SiteRow,
)
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.edit import find_object, with_object
from holdfast.directory.model import AcceptedDomain, DomainKind, MailboxDatabase, Site
from holdfast.directory.server_certificates import known_certificates, sha256_of
from holdfast.kernel.errors import Refusal


def _add_site(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    site = replace(Site(arguments.text("name")), **given_settings(arguments, Site))
    if any(each.name == site.name for each in organisation.sites):
        raise Refusal(f'site "{site.name}" is there already; choose another name')
    return context.change(arguments, replace(organisation, sites=(*organisation.sites, site)))


def _set_site(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    site = find_object(organisation, Site, arguments.text("name"))
    values = given_settings(arguments, Site) | {"name": site.name}
    return context.change(arguments, with_object(organisation, replace(site, **values)))


def _list_sites(context: Context, arguments: Arguments) -> SiteList:
    organisation = context.organisation
    return SiteList(
        [
            SiteRow(
                site.name,
                [str(each) for each in site.subnets],
                [server.name for server in organisation.servers if server.site == site.name],
                site.hub,
            )
            for site in sorted(organisation.sites, key=lambda each: each.name)
        ]
    )


def _remove_site(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if all(each.name != name for each in organisation.sites):
        raise not_found("site", name, (each.name for each in organisation.sites))
    kept = tuple(each for each in organisation.sites if each.name != name)
    return context.change(arguments, replace(organisation, sites=kept))


def _list_servers(context: Context, arguments: Arguments) -> ServerList:
    return ServerList(
        [
            ServerRow(
                each.name,
                each.fqdn,
                each.site,
                [role.value for role in each.roles],
                list(each.addresses),
                known_certificates(each) != (),
            )
            for each in sorted(context.organisation.servers, key=lambda each: each.name)
        ]
    )


def _show_server(context: Context, arguments: Arguments) -> ServerShown:
    organisation, name = context.organisation, arguments.text("name")
    server = organisation.server(name)
    if server is None:
        raise not_found("server", name, (each.name for each in organisation.servers))
    return ServerShown(
        name=server.name,
        fqdn=server.fqdn,
        site=server.site,
        roles=[each.value for each in server.roles],
        addresses=list(server.addresses),
        smtp=[
            f"{binding} ({connector.name})"
            for connector in organisation.receive_connectors
            if connector.server == name
            for binding in connector.bindings
        ],
        imap=[f"{each.bind} ({each.tls.value})" for each in server.imap],
        metrics=server.metrics,
        databases=[each.name for each in organisation.mailbox_databases if each.server == name],
        certificates=[sha256_of(each) for each in known_certificates(server)],
    )


def _add_domain(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    kind = DomainKind(arguments.text("kind"))
    domain = replace(
        AcceptedDomain(arguments.text("name"), kind), **given_settings(arguments, AcceptedDomain)
    )
    if domain.name in organisation.domain_names:
        raise Refusal(f'domain "{domain.name}" is accepted already; nothing to do')
    domains = (*organisation.accepted_domains, domain)
    return context.change(arguments, replace(organisation, accepted_domains=domains))


def _set_domain(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    domain = find_object(organisation, AcceptedDomain, arguments.text("name"))
    values = given_settings(arguments, AcceptedDomain) | {"name": domain.name}
    return context.change(arguments, with_object(organisation, replace(domain, **values)))


def _list_domains(context: Context, arguments: Arguments) -> DomainList:
    addresses = [each.rpartition("@")[2] for each in context.organisation.recipients]
    return DomainList(
        [
            DomainRow(each.name, each.kind.value, addresses.count(each.name), each.protect.value)
            for each in sorted(context.organisation.accepted_domains, key=lambda each: each.name)
        ]
    )


def _remove_domain(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if name not in organisation.domain_names:
        raise not_found("accepted domain", name, organisation.domain_names)
    kept = tuple(each for each in organisation.accepted_domains if each.name != name)
    return context.change(arguments, replace(organisation, accepted_domains=kept))


def _database_usage(context: Context, database: MailboxDatabase) -> Usage | None:
    """What all mailboxes of a database hold together; None while it does not answer."""
    mailbox_ids = context.mailbox_ids(database)
    usages = context.usage(database.name, mailbox_ids)
    if len(usages) != len(mailbox_ids):
        return None
    return Usage(
        sum(each.size_bytes for each in usages.values()), sum(each.message_count for each in usages.values())
    )


def _list_databases(context: Context, arguments: Arguments) -> DatabaseList:
    rows = []
    databases = sorted(context.organisation.mailbox_databases, key=lambda each: each.name)
    for done, database in enumerate(databases):
        context.progress(done, len(databases), f"asking {database.name}")
        usage = _database_usage(context, database)
        rows.append(
            DatabaseRow(
                name=database.name,
                server=database.server,
                mailbox_count=len(context.mailbox_ids(database)),
                size_bytes=usage.size_bytes if usage else None,
                message_count=usage.message_count if usage else None,
            )
        )
    return DatabaseList(rows)


def _show_database(context: Context, arguments: Arguments) -> DatabaseShown:
    organisation, name = context.organisation, arguments.text("name")
    database = organisation.databases_by_name.get(name)
    if database is None:
        raise not_found("mailbox database", name, organisation.databases_by_name)
    usage = _database_usage(context, database)
    return DatabaseShown(
        name=database.name,
        server=database.server,
        mailbox_count=len(context.mailbox_ids(database)),
        size_bytes=usage.size_bytes if usage else None,
        message_count=usage.message_count if usage else None,
        warn_bytes=database.warn_bytes,
        prohibit_send_bytes=database.prohibit_send_bytes,
        prohibit_send_receive_bytes=database.prohibit_send_receive_bytes,
    )


def _name(of: str, completes: str = "", kind: Kind = Kind.TEXT) -> Argument:
    return Argument("name", kind, f"name of the {of}", required=True, positional=True, completes=completes)


_SITE, _SITES = _name("site"), _name("site", "site.sites.name")
_DOMAIN, _DOMAINS = _name("domain", kind=Kind.DOMAIN), _name("domain", "domain.domains.name", Kind.DOMAIN)
_SITE_SETTINGS = setting_arguments(Site, leave_out=("name",))
_KIND = Argument(
    "kind",
    Kind.CHOICE,
    "who has its mailboxes: authoritative: we have all; internal-relay: we have some, mail for the others is "
    "handed on; external-relay: all its mail is handed on",
    choices=tuple(each.value for each in DomainKind),
)
_PROTECT = setting_arguments(AcceptedDomain, leave_out=("name", "kind"))
_SERVERS = _name("server", "server.servers.name")
_DATABASES = _name("mailbox database", "database.databases.name")

VERBS = (
    Verb(
        "site",
        "add",
        "Add a site.",
        "holdfast site add berlin --subnet 192.0.2.0/24",
        Changed,
        (_SITE, *_SITE_SETTINGS, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_add_site,
    ),
    Verb(
        "site",
        "set",
        "Change a site.",
        "holdfast site set berlin --hub yes",
        Changed,
        (_SITES, *_SITE_SETTINGS, default_argument(_SITE_SETTINGS), *CHANGE_ARGUMENTS),
        detail="Subnets that are given take the place of all that were there.",
        changes=True,
        perform=_set_site,
    ),
    Verb("site", "list", "List the sites.", "holdfast site list", SiteList, perform=_list_sites),
    Verb(
        "site",
        "remove",
        "Remove a site that no server is in.",
        "holdfast site remove berlin",
        Changed,
        (_SITES, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove_site,
    ),
    Verb(
        "server",
        "list",
        "List the servers, and whether they are known by a certificate.",
        "holdfast server list",
        ServerList,
        perform=_list_servers,
    ),
    Verb(
        "server",
        "show",
        "Show all of one server, with what listens on it.",
        "holdfast server show demo",
        ServerShown,
        (_SERVERS,),
        perform=_show_server,
    ),
    *verbs_server_certificate.VERBS,
    *verbs_protection.VERBS,
    Verb(
        "domain",
        "add",
        "Accept mail for a domain.",
        "holdfast domain add example.test",
        Changed,
        (_DOMAIN, replace(_KIND, default=DomainKind.AUTHORITATIVE.value), *_PROTECT, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_add_domain,
    ),
    Verb(
        "domain",
        "set",
        "Say who has the mailboxes of a domain, and whether its mail needs a second copy.",
        "holdfast domain set example.test --kind internal-relay --yes",
        Changed,
        (_DOMAINS, _KIND, *_PROTECT, default_argument((_KIND, *_PROTECT)), *CHANGE_ARGUMENTS),
        changes=True,
        perform=_set_domain,
    ),
    Verb(
        "domain",
        "list",
        "List the accepted domains.",
        "holdfast domain list",
        DomainList,
        perform=_list_domains,
    ),
    Verb(
        "domain",
        "remove",
        "Accept no more mail for a domain.",
        "holdfast domain remove old.example --yes",
        Changed,
        (_DOMAINS, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove_domain,
    ),
    Verb(
        "database",
        "list",
        "List the mailbox databases with what they hold.",
        "holdfast database list",
        DatabaseList,
        perform=_list_databases,
    ),
    Verb(
        "database",
        "show",
        "Show all of one mailbox database.",
        "holdfast database show mail",
        DatabaseShown,
        (_DATABASES,),
        perform=_show_database,
    ),
)
