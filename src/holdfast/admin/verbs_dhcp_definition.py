"""The verbs about option definitions: the forms of options that are not built in, or of a vendor's."""

from __future__ import annotations

from dataclasses import replace

from holdfast.admin.catalogue import CHANGE_ARGUMENTS, Argument, Arguments, Kind, Verb
from holdfast.admin.context import Context
from holdfast.admin.dhcp_places import VENDOR_CLASS, find_option, named_class
from holdfast.admin.results import Changed
from holdfast.admin.results_dhcp import OptionDefinitionList, OptionDefinitionRow
from holdfast.admin.setting_arguments import given_settings, setting_arguments
from holdfast.directory.dhcp_options import OptionDefinition
from holdfast.directory.edit import with_object, without_object
from holdfast.directory.option_table import BUILT_IN
from holdfast.kernel.errors import Refusal


def _add(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    given = given_settings(arguments, OptionDefinition)
    given["vendor_class"] = named_class(organisation, given.get("vendor_class"))
    definition = OptionDefinition(**given)
    if any(each.key == definition.key for each in organisation.option_definitions):
        raise Refusal(
            f'option definition "{definition.key}" is there already; remove it before with: '
            f"holdfast dhcp option-definition remove {definition.code}"
        )
    return context.change(arguments, with_object(organisation, definition))


def _remove(context: Context, arguments: Arguments) -> Changed:
    organisation = context.organisation
    vendor_class = named_class(organisation, arguments.optional_text("vendor-class"))
    code = find_option(organisation, arguments.text("option"), vendor_class)
    if not vendor_class and code in BUILT_IN and (vendor_class, code) not in organisation.own_definitions:
        raise Refusal(f"option {code} ({BUILT_IN[code].name}) is built in; it cannot be removed")
    key = f"{vendor_class}/{code}" if vendor_class else str(code)
    return context.change(arguments, without_object(organisation, OptionDefinition, key))


def _list(context: Context, arguments: Arguments) -> OptionDefinitionList:
    organisation = context.organisation
    own = organisation.own_definitions
    found = list(organisation.option_definitions)
    if not arguments.flag("own"):
        found += [each for code, each in BUILT_IN.items() if ("", code) not in own]
    return OptionDefinitionList(
        [
            OptionDefinitionRow(
                each.code,
                each.name,
                [one.value for one in each.types],
                each.array,
                each.vendor_class,
                (each.vendor_class, each.code) not in own,
                ", ".join(each.default),
                each.description,
            )
            for each in sorted(found, key=lambda each: (each.vendor_class, each.code))
        ]
    )


_SETTINGS = {each.name: each for each in setting_arguments(OptionDefinition)}

VERBS = (
    Verb(
        "dhcp option-definition",
        "add",
        "Declare the form of an option.",
        "holdfast dhcp option-definition add 224 site-code --type uint16",
        Changed,
        (
            replace(_SETTINGS["code"], required=True, positional=True),
            replace(_SETTINGS["name"], required=True, positional=True),
            replace(_SETTINGS["type"], required=True),
            *(
                each
                for name, each in _SETTINGS.items()
                if name not in ("code", "name", "type", "vendor-class")
            ),
            replace(VENDOR_CLASS, help=_SETTINGS["vendor-class"].help),
            *CHANGE_ARGUMENTS,
        ),
        detail="A value of several fields is written with a space between them: give --type once for each, "
        "in their order.",
        changes=True,
        perform=_add,
    ),
    Verb(
        "dhcp option-definition",
        "list",
        "List the forms of options, built-in ones too.",
        "holdfast dhcp option-definition list --own",
        OptionDefinitionList,
        (Argument("own", Kind.FLAG, "without the built-in ones"),),
        perform=_list,
    ),
    Verb(
        "dhcp option-definition",
        "remove",
        "Forget the form of an option.",
        "holdfast dhcp option-definition remove 224",
        Changed,
        (
            Argument(
                "option",
                Kind.TEXT,
                "its name or its code",
                required=True,
                positional=True,
                completes="dhcp option-definition.definitions.name",
            ),
            VENDOR_CLASS,
            *CHANGE_ARGUMENTS,
        ),
        changes=True,
        perform=_remove,
    ),
)
