"""The verbs about links between sites (exchange-behaviour RT-1, RT-8)."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.results import Changed, SiteLinkList, SiteLinkRow
from holdfast.admin.setting_arguments import default_argument, given_settings, setting_arguments
from holdfast.directory.edit import find_object, with_object, without_object
from holdfast.directory.model import SiteLink
from holdfast.kernel.errors import Refusal


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation, name = context.organisation, arguments.text("name")
    if any(each.name.casefold() == name.casefold() for each in organisation.site_links):
        raise Refusal(f'site link "{name}" is there already; change it with: holdfast site-link set {name}')
    link = replace(SiteLink(name, ()), **given_settings(arguments, SiteLink))
    return context.change(arguments, with_object(organisation, link))


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    link = find_object(organisation, SiteLink, arguments.text("name"))
    # The name is given to find it, and may differ from its own in the case of letters.
    values = given_settings(arguments, SiteLink) | {"name": link.name}
    return context.change(arguments, with_object(organisation, replace(link, **values)))


def _list(context: Context, arguments: Arguments) -> SiteLinkList:
    return SiteLinkList(
        [
            SiteLinkRow(each.name, list(each.sites), each.cost, each.message_bytes_max or None)
            for each in sorted(context.organisation.site_links, key=lambda each: each.name)
        ]
    )


def _remove(context: Context, arguments: Arguments) -> Changed:
    after = without_object(context.organisation, SiteLink, arguments.text("name"))
    return context.change(arguments, after)


_NAME = Argument(
    "name",
    Kind.TEXT,
    "name of the site link",
    required=True,
    positional=True,
    completes="site-link.links.name",
)
_SETTINGS = setting_arguments(SiteLink, leave_out=("name",))

VERBS = (
    Verb(
        "site-link",
        "add",
        "Link sites.",
        "holdfast site-link add berlin-oxford --site berlin --site oxford --cost 10",
        Changed,
        (
            replace(_NAME, completes=""),
            *(replace(each, required=each.name == "site") for each in _SETTINGS),
            *CHANGE_ARGUMENTS,
        ),
        changes=True,
        perform=_add,
    ),
    Verb(
        "site-link",
        "list",
        "List the links between sites.",
        "holdfast site-link list",
        SiteLinkList,
        perform=_list,
    ),
    Verb(
        "site-link",
        "set",
        "Change a site link.",
        "holdfast site-link set berlin-oxford --cost 50 --message-size-max 10MB",
        Changed,
        (_NAME, *_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        detail="Sites that are given take the place of all that were there.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "site-link",
        "remove",
        "Remove a site link.",
        "holdfast site-link remove berlin-oxford",
        Changed,
        (_NAME, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
)
