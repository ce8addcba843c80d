"""The verbs about mailboxes."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import (
    CHANGE_ARGUMENTS,
    PASSWORD_CHARACTERS_MIN,
    Argument,
    Arguments,
    Kind,
    Verb,
)
from holdfast.admin.context import Context, Usage, not_found
from holdfast.admin.results import (
    Changed,
    MailboxAdded,
    MailboxList,
    MailboxRow,
    MailboxShown,
    PasswordSet,
    PasswordsSet,
)
from holdfast.directory.model import DistributionGroup, Mailbox
from holdfast.kernel.address import parse_address
from holdfast.kernel.errors import Refusal
from holdfast.kernel.ids import MailboxId, new_mailbox_id

_ADDRESS = Argument(
    "address",
    Kind.ADDRESS,
    "primary address of the mailbox",
    required=True,
    positional=True,
    completes="mailbox.mailboxes.address",
)
_PASSWORD = Argument(
    "password", Kind.PASSWORD, "the password; one is made up and shown once if none is given"
)
_DATABASE = Argument("database", Kind.TEXT, "mailbox database", completes="database.databases.name")


def find_mailbox(context: Context, address: str) -> Mailbox:
    """Find a mailbox by its address or an alias.

    Raises:
        Refusal: there is none; the text says which is nearest, or that it is a group.
    """
    found = context.organisation.recipients.get(parse_address(address).key)
    if isinstance(found, DistributionGroup):
        raise Refusal(f'"{address}" is a group, not a mailbox; see: holdfast group list')
    if found is None:
        raise not_found("mailbox", address, (each.address for each in context.organisation.mailboxes))
    return found


def _add(context: Context, arguments: Arguments) -> MailboxAdded:
    from holdfast.drivers.passwords import hash_password, new_password

    mailbox = Mailbox(
        address=arguments.text("address"),
        mailbox_id=new_mailbox_id(context.luck),
        database=arguments.optional_text("database") or _default_database(context),
        aliases=arguments.texts("alias"),
        display_name=arguments.text("display-name"),
        quota_bytes=arguments.optional_count("quota"),
    )
    organisation = context.organisation
    if any(each.address.casefold() == mailbox.address.casefold() for each in organisation.mailboxes):
        raise Refusal(
            f'mailbox "{mailbox.address}" is there already; see: holdfast mailbox show {mailbox.address}'
        )
    given = arguments.optional_text("password")
    password = given or new_password()

    def set_password() -> None:
        context.store.set_secret(mailbox.mailbox_id, hash_password(password))

    # The password before the mailbox: a stop in between leaves a secret that nobody asks for,
    # the other order would leave a mailbox that nobody can open.
    after = replace(organisation, mailboxes=(*organisation.mailboxes, mailbox))
    changed = context.change(arguments, after, just_before=set_password)
    return MailboxAdded(
        applied=changed.applied,
        revision=changed.revision,
        address=mailbox.address,
        mailbox_id=mailbox.mailbox_id,
        database=mailbox.database,
        changes=changed.changes,
        password=password if changed.applied and given is None else None,
    )


def _default_database(context: Context) -> str:
    """The database with the fewest mailboxes, of this server where we know our name."""
    databases = context.organisation.mailbox_databases
    ours = context.surroundings.server_name
    candidates = [each for each in databases if each.server == ours] or list(databases)
    if not candidates:
        raise Refusal("there is no mailbox database; declare one with: holdfast organisation export, import")
    return min(candidates, key=lambda each: (len(context.mailbox_ids(each)), each.name)).name


def _list(context: Context, arguments: Arguments) -> MailboxList:
    organisation = context.organisation
    wanted = arguments.optional_text("database")
    usages: dict[MailboxId, Usage] = {}
    for database in organisation.mailbox_databases:
        if wanted in (None, database.name):
            usages |= context.usage(database.name, context.mailbox_ids(database))
    rows = []
    for mailbox in sorted(organisation.mailboxes, key=lambda each: each.address):
        if wanted in (None, mailbox.database):
            usage = usages.get(mailbox.mailbox_id)
            rows.append(
                MailboxRow(
                    address=mailbox.address,
                    display_name=mailbox.display_name,
                    database=mailbox.database,
                    enabled=mailbox.enabled,
                    quota_bytes=organisation.quota_bytes(mailbox),
                    size_bytes=usage.size_bytes if usage else None,
                    message_count=usage.message_count if usage else None,
                )
            )
    return MailboxList(rows)


def _show(context: Context, arguments: Arguments) -> MailboxShown:
    mailbox = find_mailbox(context, arguments.text("address"))
    organisation = context.organisation
    usage = context.usage(mailbox.database, [mailbox.mailbox_id]).get(mailbox.mailbox_id)
    own = {each.casefold() for each in (mailbox.address, *mailbox.aliases)}
    return MailboxShown(
        address=mailbox.address,
        mailbox_id=mailbox.mailbox_id,
        display_name=mailbox.display_name,
        aliases=list(mailbox.aliases),
        database=mailbox.database,
        enabled=mailbox.enabled,
        quota_bytes=organisation.quota_bytes(mailbox),
        quota_from="database" if mailbox.quota_bytes is None else "mailbox",
        has_password=context.store.secret(mailbox.mailbox_id) is not None,
        language=mailbox.language,
        groups=[
            group.address
            for group in organisation.distribution_groups
            if own & {member.casefold() for member in group.members}
        ],
        size_bytes=usage.size_bytes if usage else None,
        message_count=usage.message_count if usage else None,
    )


def _set(context: Context, arguments: Arguments) -> Changed:
    before = find_mailbox(context, arguments.text("address"))
    after = before
    if arguments.given("new-address"):
        after = replace(after, address=arguments.text("new-address"))
    if arguments.given("display-name"):
        after = replace(after, display_name=arguments.text("display-name"))
    if arguments.given("language"):
        after = replace(after, language=arguments.text("language"))
    if arguments.given("quota") and arguments.flag("database-quota"):
        raise Refusal("quota and database-quota contradict each other; give one of them")
    if arguments.given("quota"):
        after = replace(after, quota_bytes=arguments.count("quota"))
    if arguments.flag("database-quota"):
        after = replace(after, quota_bytes=None)
    if arguments.given("enabled"):
        after = replace(after, enabled=arguments.text("enabled") == "yes")
    gone = {each.casefold() for each in arguments.texts("remove-alias")}
    for alias in arguments.texts("remove-alias"):
        if alias.casefold() not in {each.casefold() for each in before.aliases}:
            raise not_found("alias", alias, before.aliases)
    kept = tuple(each for each in before.aliases if each.casefold() not in gone)
    after = replace(after, aliases=(*kept, *arguments.texts("add-alias")))
    return _replace(context, arguments, before, after)


def _replace(context: Context, arguments: Arguments, before: Mailbox, after: Mailbox | None) -> Changed:
    organisation = context.organisation
    others = tuple(each for each in organisation.mailboxes if each.mailbox_id != before.mailbox_id)
    mailboxes = others if after is None else (*others, after)
    if after == before:
        mailboxes = organisation.mailboxes
    return context.change(arguments, replace(organisation, mailboxes=mailboxes))


def _remove(context: Context, arguments: Arguments) -> Changed:
    return _replace(context, arguments, find_mailbox(context, arguments.text("address")), None)


def _set_password(context: Context, arguments: Arguments) -> PasswordSet:
    from holdfast.drivers.passwords import hash_password, new_password

    mailbox = find_mailbox(context, arguments.text("address"))
    given = arguments.optional_text("password")
    password = given or new_password()
    context.store.set_secret(mailbox.mailbox_id, hash_password(password))
    context.applied.append(f'password of mailbox "{mailbox.address}" set')
    return PasswordSet(mailbox.address, password if given is None else None)


def _set_passwords(context: Context, arguments: Arguments) -> PasswordsSet:
    from holdfast.drivers.passwords import hash_password

    file_name, text = arguments.texts("file")
    found: dict[MailboxId, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            address, comma, password = line.partition(",")
            if not comma or len(password) < PASSWORD_CHARACTERS_MIN:
                raise Refusal(
                    f"{file_name} line {number} is not an address, a comma and a password of at least "
                    f"{PASSWORD_CHARACTERS_MIN} characters; nothing was changed"
                )
            try:
                found[find_mailbox(context, address.strip()).mailbox_id] = password
            except Refusal as refusal:
                raise Refusal(f"{file_name} line {number}: {refusal.text}; nothing was changed") from None
    hashes: dict[MailboxId, str] = {}
    for mailbox_id, password in found.items():
        context.progress(len(hashes), len(found), "passwords")
        hashes[mailbox_id] = hash_password(password)
    for mailbox_id, hash in hashes.items():
        context.store.set_secret(mailbox_id, hash)
    context.applied.append(f"passwords of {len(hashes)} mailboxes set")
    return PasswordsSet(len(hashes))


VERBS = (
    Verb(
        "mailbox",
        "add",
        "Add a mailbox.",
        "holdfast mailbox add alice@example.test --quota 2GB --alias sales@example.test",
        MailboxAdded,
        (
            replace(_ADDRESS, completes=""),
            Argument(
                "quota", Kind.SIZE, "mail is refused above this size; the database's quota if not given"
            ),
            Argument("alias", Kind.ADDRESS, "a further address of the mailbox", many=True),
            Argument("display-name", Kind.TEXT, "the name that people see", default=""),
            replace(_DATABASE, help="its mailbox database; the one with the fewest mailboxes if not given"),
            _PASSWORD,
            *CHANGE_ARGUMENTS,
        ),
        detail="Mail to it is taken as soon as the command returns.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "mailbox",
        "list",
        "List the mailboxes with what they hold.",
        "holdfast mailbox list --json",
        MailboxList,
        (replace(_DATABASE, help="only mailboxes of this database"),),
        perform=_list,
    ),
    Verb(
        "mailbox",
        "show",
        "Show all of one mailbox.",
        "holdfast mailbox show alice@example.test",
        MailboxShown,
        (_ADDRESS,),
        perform=_show,
    ),
    Verb(
        "mailbox",
        "set",
        "Change a mailbox.",
        "holdfast mailbox set alice@example.test --quota 5GB --add-alias press@example.test",
        Changed,
        (
            _ADDRESS,
            Argument("new-address", Kind.ADDRESS, "another primary address; the mail stays"),
            Argument("display-name", Kind.TEXT, "the name that people see"),
            Argument(
                "language", Kind.TEXT, 'language of delivery reports to the user, for example de; "" for none'
            ),
            Argument("quota", Kind.SIZE, "mail is refused above this size"),
            Argument("database-quota", Kind.FLAG, "take the database's quota again"),
            Argument("add-alias", Kind.ADDRESS, "a further address", many=True),
            Argument("remove-alias", Kind.ADDRESS, "an address that it shall lose", many=True),
            Argument(
                "enabled",
                Kind.CHOICE,
                "a disabled mailbox takes no mail and lets nobody in",
                choices=("yes", "no"),
            ),
            *CHANGE_ARGUMENTS,
        ),
        changes=True,
        perform=_set,
    ),
    Verb(
        "mailbox",
        "remove",
        "Remove a mailbox; its mail can no longer be reached.",
        "holdfast mailbox remove alice@example.test --yes",
        Changed,
        (_ADDRESS, *CHANGE_ARGUMENTS),
        changes=True,
        perform=_remove,
    ),
    Verb(
        "mailbox",
        "set-password",
        "Set the password of a mailbox.",
        "holdfast mailbox set-password alice@example.test",
        PasswordSet,
        (_ADDRESS, _PASSWORD),
        changes=True,
        perform=_set_password,
    ),
    Verb(
        "mailbox",
        "set-passwords",
        "Set the passwords of many mailboxes from a file.",
        "holdfast mailbox set-passwords passwords.csv",
        PasswordsSet,
        (
            Argument(
                "file",
                Kind.FILE,
                "a line per mailbox: address, comma, password",
                required=True,
                positional=True,
            ),
        ),
        detail="All of them or none. Keep the file where nobody else can read it, and remove it afterwards.",
        changes=True,
        perform=_set_passwords,
    ),
)
