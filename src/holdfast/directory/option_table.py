"""The options that are known without being declared: number, name, form.

Options that the protocol itself needs (message type, requested address, relay
agent information …) are in ``PROTOCOL_OPTIONS``: no administrator gives them a value.

Source: RFC 2132 and the RFCs named at the entries; IANA's registry of BOOTP and DHCP parameters.
"""

from __future__ import annotations

from holdfast.directory.dhcp_options import OptionDefinition, OptionType

_T = OptionType

# name, code, types, array
_ROWS: tuple[tuple[int, str, tuple[OptionType, ...], bool], ...] = (
    (1, "subnet-mask", (_T.ADDRESS,), False),
    (2, "time-offset", (_T.INT32,), False),
    (3, "routers", (_T.ADDRESS,), True),
    (4, "time-servers", (_T.ADDRESS,), True),
    (5, "name-servers", (_T.ADDRESS,), True),
    (6, "dns-servers", (_T.ADDRESS,), True),
    (7, "log-servers", (_T.ADDRESS,), True),
    (8, "cookie-servers", (_T.ADDRESS,), True),
    (9, "lpr-servers", (_T.ADDRESS,), True),
    (10, "impress-servers", (_T.ADDRESS,), True),
    (11, "resource-location-servers", (_T.ADDRESS,), True),
    (12, "host-name", (_T.TEXT,), False),
    (13, "boot-size", (_T.UINT16,), False),
    (14, "merit-dump", (_T.TEXT,), False),
    (15, "domain-name", (_T.TEXT,), False),
    (16, "swap-server", (_T.ADDRESS,), False),
    (17, "root-path", (_T.TEXT,), False),
    (18, "extensions-path", (_T.TEXT,), False),
    (19, "ip-forwarding", (_T.BOOL,), False),
    (20, "non-local-source-routing", (_T.BOOL,), False),
    (21, "policy-filter", (_T.ADDRESS, _T.ADDRESS), True),
    (22, "max-datagram-reassembly", (_T.UINT16,), False),
    (23, "default-ip-ttl", (_T.UINT8,), False),
    (24, "path-mtu-aging-timeout", (_T.UINT32,), False),
    (25, "path-mtu-plateau-table", (_T.UINT16,), True),
    (26, "interface-mtu", (_T.UINT16,), False),
    (27, "all-subnets-local", (_T.BOOL,), False),
    (28, "broadcast-address", (_T.ADDRESS,), False),
    (29, "perform-mask-discovery", (_T.BOOL,), False),
    (30, "mask-supplier", (_T.BOOL,), False),
    (31, "router-discovery", (_T.BOOL,), False),
    (32, "router-solicitation-address", (_T.ADDRESS,), False),
    (33, "static-routes", (_T.ADDRESS, _T.ADDRESS), True),
    (34, "trailer-encapsulation", (_T.BOOL,), False),
    (35, "arp-cache-timeout", (_T.UINT32,), False),
    (36, "ieee802-3-encapsulation", (_T.BOOL,), False),
    (37, "default-tcp-ttl", (_T.UINT8,), False),
    (38, "tcp-keepalive-interval", (_T.UINT32,), False),
    (39, "tcp-keepalive-garbage", (_T.BOOL,), False),
    (40, "nis-domain", (_T.TEXT,), False),
    (41, "nis-servers", (_T.ADDRESS,), True),
    (42, "ntp-servers", (_T.ADDRESS,), True),
    (43, "vendor-encapsulated-options", (_T.HEX,), False),
    (44, "netbios-name-servers", (_T.ADDRESS,), True),
    (45, "netbios-dd-server", (_T.ADDRESS,), True),
    (46, "netbios-node-type", (_T.UINT8,), False),
    (47, "netbios-scope", (_T.TEXT,), False),
    (48, "font-servers", (_T.ADDRESS,), True),
    (49, "x-display-manager", (_T.ADDRESS,), True),
    (58, "renewal-time", (_T.UINT32,), False),
    (59, "rebinding-time", (_T.UINT32,), False),
    (60, "vendor-class-identifier", (_T.TEXT,), False),  # a PXE server says "PXEClient" in it
    (62, "nwip-domain-name", (_T.TEXT,), False),
    (63, "nwip-suboptions", (_T.HEX,), False),
    (64, "nisplus-domain-name", (_T.TEXT,), False),
    (65, "nisplus-servers", (_T.ADDRESS,), True),
    (66, "tftp-server-name", (_T.TEXT,), False),
    (67, "boot-file-name", (_T.TEXT,), False),
    (68, "mobile-ip-home-agent", (_T.ADDRESS,), True),
    (69, "smtp-servers", (_T.ADDRESS,), True),
    (70, "pop-servers", (_T.ADDRESS,), True),
    (71, "nntp-servers", (_T.ADDRESS,), True),
    (72, "www-servers", (_T.ADDRESS,), True),
    (73, "finger-servers", (_T.ADDRESS,), True),
    (74, "irc-servers", (_T.ADDRESS,), True),
    (75, "streettalk-servers", (_T.ADDRESS,), True),
    (76, "streettalk-directory-assistance-servers", (_T.ADDRESS,), True),
    (78, "slp-directory-agents", (_T.BOOL, _T.ADDRESSES), False),  # RFC 2610
    (79, "slp-service-scope", (_T.BOOL, _T.TEXT), False),  # RFC 2610
    (85, "nds-servers", (_T.ADDRESS,), True),  # RFC 2241
    (86, "nds-tree-name", (_T.TEXT,), False),  # RFC 2241
    (87, "nds-context", (_T.TEXT,), False),  # RFC 2241
    (88, "bcms-domain-names", (_T.DOMAIN,), True),  # RFC 4280
    (89, "bcms-addresses", (_T.ADDRESS,), True),  # RFC 4280
    (98, "uap-servers", (_T.TEXT,), False),  # RFC 2485
    (100, "posix-time-zone", (_T.TEXT,), False),  # RFC 4833
    (101, "tz-database-time-zone", (_T.TEXT,), False),  # RFC 4833
    (108, "v6-only-preferred", (_T.UINT32,), False),  # RFC 8925
    (112, "netinfo-parent-servers", (_T.ADDRESS,), True),
    (113, "netinfo-parent-tag", (_T.TEXT,), False),
    (114, "captive-portal", (_T.TEXT,), False),  # RFC 8910
    (116, "auto-configure", (_T.UINT8,), False),  # RFC 2563
    (117, "name-service-search", (_T.UINT16,), True),  # RFC 2937
    (119, "domain-search", (_T.DOMAINS,), False),  # RFC 3397
    (120, "sip-servers", (_T.HEX,), False),  # RFC 3361: a form of its own
    (121, "classless-static-routes", (_T.ROUTES,), False),  # RFC 3442
    (124, "vendor-identifying-class", (_T.HEX,), False),  # RFC 3925
    (125, "vendor-identifying-options", (_T.HEX,), False),  # RFC 3925
    (128, "tftp-server-phone", (_T.HEX,), False),
    (136, "pana-agents", (_T.ADDRESS,), True),  # RFC 5192
    (137, "lost-server", (_T.DOMAIN,), False),  # RFC 5223
    (138, "capwap-controllers", (_T.ADDRESS,), True),  # RFC 5417
    (141, "sip-ua-domains", (_T.DOMAINS,), False),  # RFC 6011
    (150, "tftp-server-addresses", (_T.ADDRESS,), True),  # RFC 5859
    (160, "captive-portal-old", (_T.TEXT,), False),
    (208, "pxelinux-magic", (_T.HEX,), False),  # RFC 5071
    (209, "pxelinux-configuration-file", (_T.TEXT,), False),  # RFC 5071
    (210, "pxelinux-path-prefix", (_T.TEXT,), False),  # RFC 5071
    (211, "pxelinux-reboot-time", (_T.UINT32,), False),  # RFC 5071
    (249, "microsoft-classless-static-routes", (_T.ROUTES,), False),
    (252, "web-proxy-auto-discovery", (_T.TEXT,), False),
)

BUILT_IN: dict[int, OptionDefinition] = {
    code: OptionDefinition(code, name, types, array) for code, name, types, array in _ROWS
}
BUILT_IN_BY_NAME: dict[str, OptionDefinition] = {each.name: each for each in BUILT_IN.values()}

# What the server itself answers with or reads, and what to set instead.
PROTOCOL_OPTIONS: dict[int, str] = {
    0: "it fills up a message",
    50: "a client asks for an address with it",
    51: "it is the lease: set the lease of the scope or of a policy",
    52: "it says that fields of the message hold options",
    53: "it is the kind of the message",
    54: "it is our own address: the server fills it in",
    55: "a client asks for options with it",
    56: "it is the reason of a refusal",
    57: "a client says with it how large a message may be",
    61: "a client says with it who it is: make a reservation for it",
    77: "a client says with it what it is: declare a user class",
    80: "it is the mark of two messages instead of four: set rapid_commit of the scope",
    81: "it is the name in DNS: set the dns settings of the scope",
    82: "a relay agent puts it in",
    90: "it signs a message, which we do not do",
    91: "it answers a lease query",
    92: "it answers a lease query",
    93: "a client says with it what machine it is",
    94: "a client says with it what network card it has",
    97: "a client says with it who it is",
    118: "a client asks for a subnet with it",
    255: "it ends a message",
}
