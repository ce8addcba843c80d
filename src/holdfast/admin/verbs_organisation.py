"""The verbs about the organisation as a whole."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, change_text
from holdfast.admin.results import (
    Changed,
    Checked,
    History,
    HistoryRow,
    OrganisationSettingList,
    OrganisationSettingRow,
    OrganisationShown,
    ProblemRow,
    Text,
)
from holdfast.admin.setting_arguments import (
    argument_name,
    default_argument,
    given_settings,
    setting_arguments,
)
from holdfast.admin.verbs_threshold import pressure_dangers
from holdfast.directory.checks import check_organisation
from holdfast.directory.kinds import settings_of
from holdfast.directory.model import Organisation
from holdfast.directory.toml_format import read_organisation, write_organisation
from holdfast.directory.values import write_text
from holdfast.kernel.ids import MailboxId, Revision, new_mailbox_id


def _show(context: Context, arguments: Arguments) -> OrganisationShown:
    organisation = context.organisation
    return OrganisationShown(
        name=organisation.name,
        revision=organisation.revision,
        site_count=len(organisation.sites),
        server_count=len(organisation.servers),
        accepted_domains=[each.name for each in organisation.accepted_domains],
        receive_connector_count=len(organisation.receive_connectors),
        send_connector_count=len(organisation.send_connectors),
        database_count=len(organisation.mailbox_databases),
        mailbox_count=len(organisation.mailboxes),
        group_count=len(organisation.distribution_groups),
        tracking_subject=organisation.tracking_subject,
        duplicate_memory_s=organisation.duplicate_memory_s,
    )


def _export(context: Context, arguments: Arguments) -> Text:
    return Text(write_organisation(context.organisation))


def _import(context: Context, arguments: Arguments) -> Changed:
    file_name, text = arguments.texts("file")

    def new_id() -> MailboxId:
        return new_mailbox_id(context.luck)

    after = read_organisation(text, file_name, existing=context.organisation, new_id=new_id)
    return context.change(arguments, after, more_dangers=pressure_dangers(context, after))


def _history(context: Context, arguments: Arguments) -> History:
    before = arguments.optional_count("before")
    records = context.store.history(
        arguments.count("limit"), before=None if before is None else Revision(before)
    )
    return History(
        [
            HistoryRow(
                revision=each.revision,
                at=each.at,
                who=each.who,
                why=each.why,
                changes=[change_text(change) for change in each.changes],
            )
            for each in records
        ]
    )


def _check(context: Context, arguments: Arguments) -> Checked:
    problems = [
        ProblemRow(each.subject, each.text, each.advice) for each in check_organisation(context.organisation)
    ]
    return Checked(context.organisation.revision, len(problems), problems)


def _settings(context: Context, arguments: Arguments) -> OrganisationSettingList:
    organisation = context.organisation
    return OrganisationSettingList(
        [
            OrganisationSettingRow(
                argument_name(each),
                write_text(getattr(organisation, each.attribute), each.unit),
                write_text(each.default, each.unit),
                each.reason,
            )
            for each in settings_of(Organisation)
        ]
    )


def _set(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    return context.change(arguments, replace(organisation, **given_settings(arguments, Organisation)))


_SETTINGS = setting_arguments(Organisation)

VERBS = (
    Verb(
        "organisation",
        "show",
        "Show the organisation in numbers.",
        "holdfast organisation show",
        OrganisationShown,
        perform=_show,
    ),
    Verb(
        "organisation",
        "export",
        "Write everything declared as TOML, for keeping, comparing and changing.",
        "holdfast organisation export organisation.toml",
        Text,
        (Argument("file", Kind.OUTPUT, "where to write; the terminal if not given", positional=True),),
        perform=_export,
    ),
    Verb(
        "organisation",
        "import",
        "Make the organisation what a TOML file says.",
        "holdfast organisation import organisation.toml --plan",
        Changed,
        (
            Argument(
                "file", Kind.FILE, "a file that export wrote, or your own", required=True, positional=True
            ),
            *CHANGE_ARGUMENTS,
        ),
        detail="What the file does not name is removed. Look at --plan first.",
        changes=True,
        perform=_import,
    ),
    Verb(
        "organisation",
        "history",
        "Show who changed what, when and why, newest first.",
        "holdfast organisation history --limit 20",
        History,
        (
            Argument("limit", Kind.COUNT, "how many changes", default=50),
            Argument("before", Kind.COUNT, "only changes before this revision"),
        ),
        perform=_history,
    ),
    Verb(
        "organisation",
        "settings",
        "Show the settings that hold for the whole organisation, with their defaults and reasons.",
        "holdfast organisation settings",
        OrganisationSettingList,
        perform=_settings,
    ),
    Verb(
        "organisation",
        "set",
        "Change settings that hold for the whole organisation.",
        "holdfast organisation set --expiry 3d --delay-notice 1h",
        Changed,
        (*_SETTINGS, default_argument(_SETTINGS), *CHANGE_ARGUMENTS),
        detail="What may be given several times takes the place of all that was there.",
        changes=True,
        perform=_set,
    ),
    Verb(
        "organisation",
        "check",
        "List everything that is wrong with the organisation as it is.",
        "holdfast organisation check",
        Checked,
        perform=_check,
    ),
)
