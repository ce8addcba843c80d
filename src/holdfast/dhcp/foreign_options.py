"""How ISC dhcpd and Kea name options and write their values.

Both name the standard options alike, with few exceptions. A value becomes the bytes that the other server
would send: their definition gives the form, ours reads the bytes afterwards.

Source: dhcp-options(5) of ISC dhcpd 4.4; Kea Administrator Reference Manual, "Standard DHCPv4 Options"; RFC
2132.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from holdfast.directory.dhcp_options import OptionDefinition, OptionType
from holdfast.directory.option_values import encode_option
from holdfast.kernel.errors import Refusal
from holdfast.wire.isc_conf import Word

_NAMES = (
    "1 subnet-mask,2 time-offset,3 routers,4 time-servers,5 ien116-name-servers,"
    "6 domain-name-servers,7 log-servers,8 cookie-servers,9 lpr-servers,10 impress-servers,"
    "11 resource-location-servers,12 host-name,13 boot-size,14 merit-dump,15 domain-name,"
    "16 swap-server,17 root-path,18 extensions-path,19 ip-forwarding,20 non-local-source-routing,"
    "21 policy-filter,22 max-dgram-reassembly,23 default-ip-ttl,24 path-mtu-aging-timeout,"
    "25 path-mtu-plateau-table,26 interface-mtu,27 all-subnets-local,28 broadcast-address,"
    "29 perform-mask-discovery,30 mask-supplier,31 router-discovery,32 router-solicitation-address,"
    "33 static-routes,34 trailer-encapsulation,35 arp-cache-timeout,36 ieee802-3-encapsulation,"
    "37 default-tcp-ttl,38 tcp-keepalive-interval,39 tcp-keepalive-garbage,40 nis-domain,"
    "41 nis-servers,42 ntp-servers,43 vendor-encapsulated-options,44 netbios-name-servers,"
    "45 netbios-dd-server,46 netbios-node-type,47 netbios-scope,48 font-servers,49 x-display-manager,"
    "50 dhcp-requested-address,51 dhcp-lease-time,52 dhcp-option-overload,53 dhcp-message-type,"
    "54 dhcp-server-identifier,55 dhcp-parameter-request-list,56 dhcp-message,"
    "57 dhcp-max-message-size,58 dhcp-renewal-time,59 dhcp-rebinding-time,60 vendor-class-identifier,"
    "61 dhcp-client-identifier,62 nwip-domain,63 nwip-suboptions,64 nisplus-domain,"
    "65 nisplus-servers,66 tftp-server-name,67 bootfile-name,68 mobile-ip-home-agent,69 smtp-server,"
    "70 pop-server,71 nntp-server,72 www-server,73 finger-server,74 irc-server,75 streettalk-server,"
    "76 streettalk-directory-assistance-server,77 user-class,78 slp-directory-agent,"
    "79 slp-service-scope,82 relay-agent-information,85 nds-servers,86 nds-tree-name,87 nds-context,"
    "88 bcms-controller-names,89 bcms-controller-address,93 pxe-system-type,94 pxe-interface-id,"
    "97 pxe-client-id,98 uap-servers,100 pcode,101 tcode,108 v6-only-preferred,"
    "112 netinfo-server-address,113 netinfo-server-tag,114 default-url,116 auto-config,"
    "117 name-service-search,118 subnet-selection,119 domain-search,124 vivco,125 vivso,"
    "136 pana-agent,137 v4-lost,138 capwap-ac-v4,141 sip-ua-cs-domains,150 tftp-server-address,"
    "208 loader-magic,209 loader-configfile,210 loader-pathprefix,211 loader-reboottime"
)
# What only one of them says, or has said in another version.
_OTHERS = (
    "5 name-servers,62 nwip-domain-name,64 nisplus-domain-name,67 boot-file-name,93 client-system,"
    "93 arch,94 client-ndi,97 uuid-guid,108 v6-only-preferred,112 netinfo-server-address,"
    "114 v4-captive-portal,121 classless-static-route,124 vivco-suboptions,125 vivso-suboptions,"
    "136 pana-agent,209 pxelinux.configfile,210 pxelinux.pathprefix,211 pxelinux.reboottime,"
    "208 pxelinux.magic,89 bcms-controller-address,78 slp-directory-agents,143 v4-sztp-redirect"
)


def _table(text: str) -> dict[str, int]:
    pairs = (each.split(" ") for each in text.split(","))
    return {name: int(code) for code, name in pairs}


CODES: dict[str, int] = _table(_NAMES) | _table(_OTHERS)
ISC_NAMES: dict[int, str] = {code: name for name, code in _table(_NAMES).items()}

_KEA_TYPES = {
    "empty": OptionType.EMPTY,
    "binary": OptionType.HEX,
    "boolean": OptionType.BOOL,
    "uint8": OptionType.UINT8,
    "uint16": OptionType.UINT16,
    "uint32": OptionType.UINT32,
    "int32": OptionType.INT32,
    "ipv4-address": OptionType.ADDRESS,
    "string": OptionType.TEXT,
    "fqdn": OptionType.DOMAIN,
}
KEA_TYPE_NAMES: dict[OptionType, str] = {kind: name for name, kind in _KEA_TYPES.items()}
_COMMA = re.compile(r"(?<!\\),")


def isc_definition(code: int, name: str, words: Sequence[str]) -> OptionDefinition:
    """Read what stands behind ``code N =`` in an option's definition.

    Raises:
        Refusal: the type has none like it here.
    """
    rest = [each for each in words if each not in ("compressed",)]
    array = rest[:2] == ["array", "of"]
    rest = rest[2:] if array else rest
    if rest[:1] == ["{"]:
        rest = rest[1:-1]
    if "encapsulate" in rest:
        raise Refusal("options inside an option are taken over as the bytes of that option")
    types: list[OptionType] = []
    field: list[str] = []
    for word in [*rest, ","]:
        if word == ",":
            types.append(_isc_type(" ".join(field)))
            field = []
        else:
            field.append(word)
    return _fitting(code, name, types, array)


def _isc_type(text: str) -> OptionType:
    known = {
        "boolean": OptionType.BOOL,
        "flag": OptionType.BOOL,
        "integer 8": OptionType.UINT8,
        "integer 16": OptionType.UINT16,
        "integer 32": OptionType.UINT32,
        "signed integer 32": OptionType.INT32,
        "ip-address": OptionType.ADDRESS,
        "text": OptionType.TEXT,
        "string": OptionType.HEX,
        "domain-name": OptionType.DOMAIN,
        "domain-list": OptionType.DOMAINS,
    }
    found = known.get(text.removeprefix("unsigned "))
    if found is None:
        raise Refusal(f'there is no type like "{text}"')
    return found


def kea_definition(code: int, name: str, words: str, *, array: bool) -> OptionDefinition:
    """Read the type of a Kea definition; ``words`` are the types of a record, with commas.

    Raises:
        Refusal: there is no type like it here.
    """
    types: list[OptionType] = []
    for word in words.split(","):
        kind = _KEA_TYPES.get(word.strip())
        if kind is None:
            raise Refusal(f'there is no type like "{word.strip()}"')
        types.append(kind)
    return _fitting(code, name, types, array)


def _fitting(code: int, name: str, types: list[OptionType], array: bool) -> OptionDefinition:
    if array and types[-1] in (OptionType.TEXT, OptionType.HEX, OptionType.DOMAINS):
        raise Refusal(f"a list of {types[-1].value} has no form here")
    to_the_end = (OptionType.TEXT, OptionType.HEX, OptionType.DOMAINS)
    if any(each in to_the_end for each in types[:-1]):
        raise Refusal("a text is followed by something")
    if types == [OptionType.DOMAIN] and array:
        return OptionDefinition(code, name, (OptionType.DOMAINS,))
    return OptionDefinition(code, name, tuple(types), array)


def isc_data(definition: OptionDefinition, words: Sequence[Word]) -> bytes:
    """The bytes of a value as it stands in dhcpd.conf: words, strings and commas.

    Raises:
        Refusal: it does not have the form of the definition, or is an expression.
    """
    groups: list[list[Word]] = [[]]
    for word in words:
        if not word.quoted and word.data == b",":
            groups.append([])
        else:
            groups[-1].append(word)
    types = definition.types
    if len(types) > 1 and definition.array is False and all(len(each) == 1 for each in groups):
        groups = [[each[0] for each in groups]]  # the fields of one record may have commas between them
    values = [
        " ".join(_isc_field(types, index, word) for index, word in enumerate(group)) for group in groups
    ]
    if types == (OptionType.HEX,):
        return b"".join(encode_option(definition, (value,)) for value in values)
    return encode_option(definition, tuple(values))


def _isc_field(types: tuple[OptionType, ...], index: int, word: Word) -> str:
    kind = types[min(index, len(types) - 1)]
    if word.quoted:
        return word.data.hex() if kind is OptionType.HEX else word.text
    text = word.text
    if text in ("(", ")", "=") or text == "concat":
        raise Refusal("it is an expression, and values are fixed here")
    if kind is OptionType.HEX:
        # 1:2:ab has single digits.
        return "".join(part.rjust(2, "0") for part in text.split(":"))
    return text


def kea_data(definition: OptionDefinition, text: str) -> bytes:
    """The bytes of a value as it stands in ``data`` with ``csv-format`` on.

    Raises:
        Refusal: it does not have the form of the definition.
    """
    types = definition.types
    if types == (OptionType.TEXT,):
        return encode_option(definition, (text.replace("\\,", ","),))
    if types == (OptionType.ROUTES,):
        return encode_option(definition, (text.replace(" - ", " "),))
    fields = [each.strip().replace("\\,", ",") for each in _COMMA.split(text)]
    if types == (OptionType.EMPTY,):
        return encode_option(definition, ())
    if types == (OptionType.HEX,):
        return encode_option(definition, (text,))
    size = len(types)
    if types[-1] is OptionType.ADDRESSES and size > 1:
        return encode_option(definition, (" ".join(fields),))
    if len(fields) % size:
        raise Refusal(f"{len(fields)} fields do not make whole values of {size}")
    values = tuple(" ".join(fields[at : at + size]) for at in range(0, len(fields), size))
    return encode_option(definition, values)


def encapsulated(suboptions: Sequence[tuple[int, bytes]]) -> bytes:
    """The bytes of an option that holds others (RFC 2132 section 8.4).

    Raises:
        Refusal: one of them is longer than 255 bytes.
    """
    data = b""
    for code, value in suboptions:
        if len(value) > 255:
            raise Refusal(f"sub-option {code} has {len(value)} bytes, more than 255")
        data += bytes((code, len(value))) + value
    return data
