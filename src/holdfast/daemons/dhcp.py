"""The dhcp role: leases addresses on the interfaces of this server.

It asks for two rights and keeps no other: ports below 1024, and frames to
clients that have no address yet. What decides about messages runs compiled,
where it was compiled (``drivers.compiled``).
"""

from __future__ import annotations

import gc
import sys
import time
from functools import partial

from prometheus_client import generate_latest

from holdfast.daemons.role import RoleProcess, run_role
from holdfast.drivers.compiled import prefer_compiled

# Before the rooms are imported. A test that imports this module gets the plain ones.
PLAIN_BECAUSE = "this is no process of its own"
if __name__ == "__main__":
    gc.disable()  # what is imported, and the leases, stay: looking through them is a tenth of a start
    PLAIN_BECAUSE = prefer_compiled("holdfast.drivers.dhcp_runner")

from holdfast.dhcp.events import PLAIN_PYTHON, SERVING
from holdfast.directory.dhcp import DhcpServer
from holdfast.directory.model import Organisation
from holdfast.drivers.audit_log import AUDIT_DIRECTORY, AuditLog
from holdfast.drivers.capabilities import NET_BIND_SERVICE, NET_RAW, keep_only
from holdfast.drivers.dhcp_metrics import show_dhcp
from holdfast.drivers.dhcp_runner import DhcpRunner
from holdfast.drivers.dns_updates import read_tsig_secret
from holdfast.drivers.failover_requests import FailoverState
from holdfast.drivers.failover_secrets import read_failover_secret
from holdfast.drivers.lease_clock import LeaseClock, read_boot_id
from holdfast.drivers.role_link import RoleLink
from holdfast.drivers.sqlite_leases import LEASE_FILE, LeaseStore
from holdfast.kernel.events import happened
from holdfast.node.dhcp import DhcpNode

# A lease lives long and makes no cycles: looking through a million of them would stop the answers for a
# while. What is young is still looked through; what stayed is not, until the process ends.
GARBAGE_THRESHOLDS = (20_000, 50, 1_000_000)


class DhcpRole:
    """The role of one process."""

    def __init__(self, process: RoleProcess) -> None:
        self._process = process
        self._link = RoleLink(
            process.home, "dhcp", self._organisation_changed, generate_latest, self._state, log=process.log
        )
        organisation = self._link.read_organisation()
        started = time.monotonic()
        gc.disable()
        store = LeaseStore.open(process.home / LEASE_FILE)
        store.make_log_ready()
        leases = store.read()
        settings = self._settings(organisation)
        mark = store.read_mark()
        clock = LeaseClock(mark, read_boot_id())
        node = DhcpNode(
            organisation,
            settings.server,
            leases,
            failover=store.read_failover(),
            alive_at=0.0 if mark is None else mark.node_at,
        )
        audit = AuditLog(process.home / AUDIT_DIRECTORY, process.log.write)
        self._runner = DhcpRunner(node, store, clock, audit, process.log, settings.port)
        self._runner.tsig_secret = partial(read_tsig_secret, process.home)
        self._runner.metrics = show_dhcp(node)
        self._runner.metrics.failover_states = self._runner.answers.failover.states
        self._started_with = (len(node.server.table.scopes), len(leases), time.monotonic() - started)
        del leases
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        gc.enable()
        self._runner.secret_of = partial(read_failover_secret, process.home)
        self._runner.start(organisation, settings)
        keep_only(NET_BIND_SERVICE, NET_RAW)
        self._link.on_request = self._runner.answers.answer

    async def serve(self) -> int:
        """Serve until told to stop."""
        process = self._process
        process.watch_signals(self._link.reload)
        process.start(self._link.run())
        scope_count, lease_count, read_s = self._started_with
        process.log.write(
            happened(SERVING, scope_count=scope_count, lease_count=lease_count, read_s=round(read_s, 2))
        )
        if PLAIN_BECAUSE:
            process.log.write(happened(PLAIN_PYTHON, reason=PLAIN_BECAUSE))
        process.tell_ready(self._runner.serves_on())
        await process.stop.wait()
        self._runner.close()
        return 0

    def _settings(self, organisation: Organisation) -> DhcpServer:
        server = organisation.own_server(self._process.server_name)
        return organisation.dhcp_server(self._process.server_name if server is None else server.name)

    def _organisation_changed(self, organisation: Organisation) -> None:
        self._runner.follow(organisation, self._settings(organisation))

    def _state(self) -> dict[str, str | int | float]:
        runner = self._runner
        leased = sum(state.counts[2] + state.counts[0] for state in runner.node.server.table.scopes)
        told: dict[str, str | int | float] = {
            "ports": ", ".join(runner.serves_on()),
            "leases": leased,
            "durable": "yes" if runner.node.durable else "no",
        }
        for each in runner.answers.failover.states():
            told[f"failover {each.relationship}"] = _said(each)
        return self._process.state(told)


def _said(state: FailoverState) -> str:
    """A relationship in a few words, for `holdfast status`."""
    partner = state.partner_state or "never seen"
    return f"{state.state} (partner {partner}{'' if state.connected else ', not connected'})"


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop; what was acknowledged is durable already."""
    return await DhcpRole(process).serve()


if __name__ == "__main__":
    sys.exit(run_role("dhcp", serve))
