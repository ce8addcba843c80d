"""What the dhcp role may say in a log: why a client got no address, and what an administrator should look at.

Events about a single client's message are bounded by the node that says them:
each kind at most a few times a minute, with a count of those unsaid.

Source: the catalogue's rules are in ``kernel.events``.
"""

from __future__ import annotations

from holdfast.kernel.events import Severity, declare

POOL_EXHAUSTED = declare(
    "DHC-0101",
    Severity.ERROR,
    'scope "{scope}" has no free address for {client}: {leased_count} leased, {offered_count} offered, '
    "{declined_count} declined, {partner_count} free and the failover partner's, of {size}",
    "New clients of this scope get no address; those that have one keep it. Widen the pool, shorten the "
    "lease, remove exclusions, or look for a client that takes many addresses (`holdfast dhcp lease "
    "list`). Declined addresses come back by themselves after a while. What is free and the failover "
    "partner's is leased here when the partner is back, or was declared down and the MCLT is over "
    "(`holdfast dhcp failover show`). DHC-0102 says when there is room again.",
)
POOL_HAS_ROOM = declare(
    "DHC-0102",
    Severity.INFO,
    'scope "{scope}" has free addresses again: {free_count}',
    "New clients are served again. When it was full for long, plan a larger pool.",
)
ADDRESS_DECLINED = declare(
    "DHC-0103",
    Severity.WARNING,
    "{client} found {address} in use by somebody else; the address is kept back for {wait_s} s",
    "A machine uses an address of the pool without having leased it, most often because it was configured"
    " by hand. Find it (`ip neigh`, `arping`), exclude its address or make a reservation for it.",
)
ADDRESS_IN_USE = declare(
    "DHC-0104",
    Severity.WARNING,
    "{address} answered a probe before it was offered to {client}; it is kept back for {wait_s} s",
    "A machine uses an address of the pool without having leased it. Find it (`ip neigh`, `arping`), "
    "exclude its address or make a reservation for it.",
)
CLIENT_DECLINES_ALL = declare(
    "DHC-0105",
    Severity.WARNING,
    "{client} declined {declined_count} addresses in a row; it gets no offer for {wait_s} s",
    "A client that finds every address in use is broken, or wants to use up the pool; a device that "
    "answers ARP for every address (proxy ARP) has the same effect. Look at the client and at what "
    "answers on its wire.",
)
CLIENT_REFUSED = declare(
    "DHC-0106",
    Severity.INFO,
    "{client} was refused {address}: {reason}; {unsaid_count} more since the last such line",
    "The client asked to go on with an address that it cannot have here, and was told so (DHCPNAK); it "
    "asks for another at once. That is usual after a move to another network or a change of the scope.",
)
CLIENT_FILTERED = declare(
    "DHC-0107",
    Severity.INFO,
    "{client} is not served: the lists of hardware addresses keep it out; {unsaid_count} more since the "
    "last such line",
    "Put the client on the allow list, or take it off the deny list: `holdfast dhcp filter`.",
)
NO_SCOPE = declare(
    "DHC-0108",
    Severity.WARNING,
    "{client} asks on {network}, for which there is no scope; {unsaid_count} more since the last such line",
    "Messages come from a network that nobody declared a scope for: by a relay whose address lies in no "
    "subnet of ours, or on an interface without one. Add a scope, name the relay in the scope's `relays`,"
    " or leave the interface out of the server's `interfaces`.",
)
SHARED_CLIENT_ID = declare(
    "DHC-0109",
    Severity.WARNING,
    "two machines say that they are the client {client_id}: {hardware} now, {hardware_before} before; "
    "both get {address}",
    "Machines that were copied from one image often share their identifier, and then fight for one "
    "address. Give the copy an identifier of its own (Linux: remove /etc/machine-id and the DUID file; "
    "Windows: sysprep). A notebook that changes between cable and radio causes this line too, and is "
    "harmless.",
)
RESERVED_IN_USE = declare(
    "DHC-0110",
    Severity.WARNING,
    "{address} is reserved for {client}, but {holder} has it until its lease ends; {client} gets another "
    "address",
    "The reservation was made while somebody else had the address. It takes effect when that lease ends; "
    "to have it now, remove the lease (`holdfast dhcp lease remove`) once that machine has given it up.",
)
MESSAGE_DROPPED = declare(
    "DHC-0111",
    Severity.INFO,
    "a message of {source} was dropped: {reason}; {unsaid_count} more since the last such line",
    "It is no message of DHCP that makes sense. Scanners and broken devices send such; the metric "
    "`holdfast_dhcp_dropped_total` counts all of them.",
)
LEASES_NOT_DURABLE = declare(
    "DHC-0201",
    Severity.ERROR,
    "leases cannot be written: {reason}; {reply_count} answers were not sent, and no address is offered",
    "Most often the disk is full. No client was promised what could be forgotten; clients that have a "
    "lease keep it and ask again. Free space on the file system of the state directory; no restart is "
    "needed.",
)
LEASES_DURABLE = declare(
    "DHC-0202",
    Severity.INFO,
    "leases can be written again",
    "A commit succeeded after at least one had failed. Clients are served again.",
)
NOT_SERVED = declare(
    "DHC-0203",
    Severity.WARNING,
    "something that was declared is not served: {problem}",
    "It was left out, and everything else is served. `holdfast organisation check` says what is wrong "
    "with it.",
)
CLOCK_SET = declare(
    "DHC-0204",
    Severity.WARNING,
    "the clock of this machine was set by {step_s} s; leases last as long as they were promised",
    "Leases are counted on a clock that nobody sets, so none ends early or comes back. Find out who sets "
    "the clock; two servers whose clocks differ by more than a minute cannot be partners.",
)
NAME_NOT_USABLE = declare(
    "DHC-0601",
    Severity.WARNING,
    '{client} calls itself "{name}", which is not registered in DNS: {reason}; {unsaid_count} more since the '
    "last such line",
    "The client has its address all the same. Give it another host name, or a reservation with a name; where "
    "no domain is known, set one: `holdfast dhcp scope set SCOPE --dns-suffix example.test`.",
)
NAME_TAKEN = declare(
    "DHC-0602",
    Severity.WARNING,
    '"{name}" is another client\'s in DNS; {address} of {client} is not registered; {unsaid_count} more '
    "since the last such line",
    "Two machines have one name, or the name was made by hand and has no DHCID record. Rename one of them. "
    "When the machine only changed its network card or system, remove the old records (A and DHCID) from the "
    "zone: the name is tried again whenever the client renews. `dns_protect` of the scope switched off lets "
    "the last one have a name.",
)
DNS_NOT_UPDATED = declare(
    "DHC-0603",
    Severity.ERROR,
    "zone {zone} takes no updates: {reason}; {waiting_count} addresses wait, the next try is in {wait_s} s",
    "Clients have their addresses all the same, and nothing is forgotten: what waits is done when the zone "
    "takes updates again, also after a restart (`holdfast dhcp dns status`; `holdfast dhcp dns retry` tries "
    "at once). REFUSED, NOTAUTH: the server does not have this zone, or does not let this key change it; say "
    "which zones there are with dns_zones. BADKEY, BADSIG: name, algorithm and secret of the key must be "
    "those of the DNS server. BADTIME: one of the clocks is wrong. No answer: a firewall, or the server is "
    "down.",
)
DNS_UPDATED = declare(
    "DHC-0604",
    Severity.INFO,
    "zone {zone} takes updates again; {waiting_count} addresses wait",
    "What waited is done now. Nothing needs to be done.",
)
BULK_NOT_SERVED = declare(
    "DHC-0605",
    Severity.ERROR,
    "bulk lease queries are not served at TCP port {port}: {reason}",
    "Leases are served all the same. When another process holds the port, stop it (`ss -ltnp`), and change "
    "`bulk_lease_query_from` or the port again.",
)
BULK_REFUSED = declare(
    "DHC-0606",
    Severity.WARNING,
    "{requester} wanted to read the leases by bulk lease query and may not: {reason}; {unsaid_count} more "
    "since the last such line",
    "Nothing was told. If it is a relay or a monitor of yours, allow it: `holdfast dhcp set "
    "--bulk-lease-query-from ADDRESS`, which takes the place of those that were allowed.",
)
SERVING = declare(
    "DHC-0301",
    Severity.INFO,
    "{scope_count} scopes are served with {lease_count} leases, read in {read_s} s",
    "The server answers. Nothing needs to be done.",
)
INTERFACE_NOT_SERVED = declare(
    "DHC-0302",
    Severity.ERROR,
    "DHCP is not served on {interface}: {reason}",
    "When another process holds the port, stop it (`ss -lunp`). When the interface is not there or has no"
    " IPv4 address, correct it, or the server's `interfaces`. Port 67 and raw frames need rights that the"
    " packaged systemd unit gives. Nothing needs a restart: it is tried again by itself.",
)
INTERFACE_SERVED = declare(
    "DHC-0303",
    Severity.INFO,
    "DHCP is served on {interface} at {address}",
    "Nothing needs to be done.",
)
AUDIT_NOT_WRITTEN = declare(
    "DHC-0304",
    Severity.WARNING,
    "the audit log {path} cannot be written: {reason}; {lost_count} lines are lost",
    "Leases go on. Usually the disk is full, or the file of the day reached its limit.",
)
REPLY_NOT_SENT = declare(
    "DHC-0305",
    Severity.WARNING,
    "an answer to {target} could not be sent: {reason}; {unsaid_count} more since the last such line",
    "The client asks again by itself. When it stays so, the network behind the text's address is not "
    "reachable from here: a route, a firewall, or an interface that is down.",
)
PLAIN_PYTHON = declare(
    "DHC-0306",
    Severity.INFO,
    "messages are decided by plain Python and not by compiled code: {reason}",
    "Everything works, with about half the leases a second; a network of a few thousand clients does not "
    "notice. `make compiled`, or `python packaging/compile.py` with the Python that runs Holdfast, compiles "
    "it (it needs a C compiler); it takes effect at the next start of the role.",
)
