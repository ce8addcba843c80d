"""The verbs that are a DHCP client: they send frames on this machine, so only the command line has them."""

from __future__ import annotations

from holdfast.admin.catalogue import Argument, Kind, Runs, Verb
from holdfast.admin.results_dhcp_client import DhcpProbe, TimelineLine

VERBS = (
    Verb(
        "dhcp client",
        "",
        "Get an address on an interface as a DHCP client does, and print what happens (as root).",
        "holdfast dhcp client --interface eth1 --once",
        TimelineLine,
        (
            Argument("interface", Kind.TEXT, "where to ask", required=True),
            Argument("configure", Kind.FLAG, "give the interface the address and its routes (not DNS)"),
            Argument("once", Kind.FLAG, "end with the first lease, or after a minute without a server"),
            Argument("for", Kind.SPAN, "end after this long; at Ctrl-C if not given"),
            Argument("release", Kind.FLAG, "give the lease back at the end"),
            Argument("new", Kind.FLAG, "do not ask for the address of the lease that was kept"),
            Argument(
                "lease-file", Kind.TEXT, "where the lease is kept; dhcp-client/ below --home if not given"
            ),
            Argument("address", Kind.IPV4, "an address that it would like"),
            Argument("alternate", Kind.TEXT, "address/prefix to use while no server answers"),
            Argument("alternate-router", Kind.IPV4, "default gateway that goes with --alternate"),
            Argument("no-link-local", Kind.FLAG, "take no 169.254.x.y while no server answers"),
            Argument("client-id", Kind.TEXT, "client identifier in hexadecimal; 01 and the MAC if not given"),
            Argument("host-name", Kind.TEXT, "the name it calls itself (option 12)"),
            Argument("vendor-class", Kind.TEXT, "its vendor class (option 60)"),
            Argument("user-class", Kind.TEXT, "its user class (option 77)"),
            Argument("broadcast", Kind.FLAG, "ask for answers that go to everybody"),
        ),
        detail="It renews at half of the lease, asks any server at seven eighths, keeps a lease from before "
        "while its gateway answers, and takes an alternate or link-local address while no server does, "
        "asking again every five minutes. Without --configure nothing of the machine is changed: it answers "
        "ARP for the address itself. The signal USR1 has it renew now. With --json each line is an object. "
        "Exit code 0 when it had a lease at its end, else 1.",
        runs=Runs.PROGRAM,
    ),
    Verb(
        "dhcp probe",
        "",
        "List every DHCP server that answers, and mark those that are not ours (as root).",
        "holdfast dhcp probe --interface eth1 --known 10.0.0.1",
        DhcpProbe,
        (
            Argument(
                "interface",
                Kind.TEXT,
                "where to ask; every interface with an address if not given",
                many=True,
            ),
            Argument("wait", Kind.SPAN, "how long answers are waited for", default=5.0),
            Argument("known", Kind.IPV4, "a server that belongs there", many=True),
            Argument("mac", Kind.TEXT, "ask as this client; the interface itself if not given"),
        ),
        detail="Servers of the organisation are known by `holdfast server set --address` when the server of "
        "--home answers. A server does not hear a probe from its own machine. Each server that answers "
        "keeps an offer for a minute or so; no lease is taken. Exit code 1 when a rogue answered.",
        runs=Runs.PROGRAM,
    ),
)
