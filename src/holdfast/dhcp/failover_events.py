"""What the dhcp role may say of its failover partners, each with what an administrator should do.

Source: the catalogue's rules are in ``kernel.events``; spec/dhcp.md section 7.9.
"""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

STATE_CHANGED = declare(
    "DHC-0401",
    Severity.WARNING,
    'failover relationship "{relationship}": {state_before} to {state}; partner {partner_state}; now we '
    "serve {serves}",
    "NORMAL is the state of every day. COMMUNICATIONS-INTERRUPTED: the partner is not reached; clients "
    "are served, new ones for the MCLT at a time. When the partner is switched off for certain and stays "
    "so, `holdfast dhcp failover partner-down` takes its addresses over. PARTNER-DOWN and RECOVER end by "
    "themselves once the partner is back. POTENTIAL-CONFLICT: both served as if alone; they compare what "
    "they gave.",
)
CONNECTED = declare(
    "DHC-0402",
    Severity.INFO,
    'failover relationship "{relationship}": connected with {partner}, which is {partner_state}',
    "Nothing needs to be done.",
)
DISCONNECTED = declare(
    "DHC-0403",
    Severity.WARNING,
    'failover relationship "{relationship}": no connection with {partner}: {reason}',
    "It is tried again by itself, every few seconds. Look whether the partner's dhcp role runs and "
    "whether a firewall lets the failover port through in both directions.",
)
PARTNER_REFUSED = declare(
    "DHC-0404",
    Severity.ERROR,
    'failover relationship "{relationship}": {partner} was refused: {reason}',
    "The two servers are not told the same. Compare the relationship on both: its name, who is the "
    "primary, the MCLT and the shared secret; and that both clocks are right. No lease was changed.",
)
REFUSED_BY_PARTNER = declare(
    "DHC-0405",
    Severity.ERROR,
    'failover relationship "{relationship}": {partner} refused us: {reason}',
    "The two servers are not told the same. Compare the relationship on both: its name, who is the "
    "primary, the MCLT and the shared secret; and that both clocks are right. No lease was changed.",
)
UPDATE_REFUSED = declare(
    "DHC-0406",
    Severity.WARNING,
    'failover relationship "{relationship}": what {partner} says of {address} was refused: {reason}; '
    "{unsaid_count} more since the last such line",
    "After an interruption a few of these are usual, and settle by themselves. When an address is in no "
    "pool of the relationship, the two servers share different scopes or ranges.",
)
UPDATE_REFUSED_BY_PARTNER = declare(
    "DHC-0407",
    Severity.WARNING,
    'failover relationship "{relationship}": {partner} refused what we say of {address}: {reason}; '
    "{unsaid_count} more since the last such line",
    "After an interruption a few of these are usual, and settle by themselves. When an address is in no "
    "pool of the relationship, the two servers share different scopes or ranges.",
)
ADDRESS_CONFLICT = declare(
    "DHC-0408",
    Severity.ERROR,
    'failover relationship "{relationship}": {address} was leased to {client} by us and to {other} by '
    "{partner}; {keeper} keeps it",
    "Both servers leased it while each took the other for down. The client that loses it is told when it "
    "renews, and gets another address. Find out why PARTNER-DOWN was declared while the partner served.",
)
STRANGER = declare(
    "DHC-0409",
    Severity.WARNING,
    "a connection at the failover port from {source} was refused: {reason}; {unsaid_count} more since the"
    " last such line",
    "It is no partner of this server. If it should be, check the addresses of the relationship; if not, "
    "let a firewall keep it out.",
)
SCOPE_LEFT = declare(
    "DHC-0410",
    Severity.WARNING,
    'scope "{scope}" has left failover relationship "{relationship}" and is leased by this server alone; '
    "free addresses that were the partner's are held back for {wait_s} s",
    "Clients keep their addresses. What the partner leased in its last moments ends within the MCLT; then "
    "everything is ours. The partner must be told the same: until then it goes on leasing what it owned.",
)
SCOPE_OURS = declare(
    "DHC-0411",
    Severity.INFO,
    'all addresses of scope "{scope}" are leased by this server alone',
    "Nothing needs to be done: nobody can have a lease any more that a former partner gave without telling.",
)
CONFIGURATION_DIFFERS = declare(
    "DHC-0412",
    Severity.WARNING,
    'failover relationship "{relationship}": the partners are not told the same: {difference}',
    "Clients are told different things, or what one partner leases the other refuses. At the server that "
    "shall change, see what differs and take it over with `holdfast dhcp failover replicate-relationship`, "
    "with `--server-wide` where it is what the server tells all its clients; or add or remove the scope.",
)
CONFIGURATION_SAME = declare(
    "DHC-0413",
    Severity.INFO,
    'failover relationship "{relationship}": the partners are told the same again',
    "Nothing needs to be done.",
)
