"""The verbs about the organisation as a whole."""

from __future__ import annotations

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context, change_text
from holdfast.admin.results import (
    Changed,
    Checked,
    History,
    HistoryRow,
    OrganisationShown,
    ProblemRow,
    Text,
)
from holdfast.directory.checks import check_organisation
from holdfast.directory.toml_format import read_organisation, write_organisation
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
    return context.change(arguments, after)


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
        "check",
        "List everything that is wrong with the organisation as it is.",
        "holdfast organisation check",
        Checked,
        perform=_check,
    ),
)
