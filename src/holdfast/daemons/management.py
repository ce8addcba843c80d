"""The management role: owns the directory database and answers the command line and the roles.

Mail goes on without it: roles read the organisation themselves.
"""

from __future__ import annotations

import sys

from holdfast.admin.service import ManagementService
from holdfast.daemons.role import RoleProcess, run_role
from holdfast.directory.model import Organisation
from holdfast.drivers.events import MANAGEMENT_LISTENING, METRICS_LISTENING, PORT_NOT_OPENED, PORT_OPENED_LATE
from holdfast.drivers.listeners import Binding, Listeners, parse_binding
from holdfast.drivers.management_socket import management_socket, open_listener
from holdfast.kernel.events import happened


def metrics_binding(organisation: Organisation, server_name: str) -> dict[Binding, None]:
    """Where this server's metrics are read; nothing when that is switched off."""
    server = organisation.own_server(server_name)
    if server is None or not server.metrics:
        return {}
    return {parse_binding(server.metrics, implicit_tls=False): None}


async def serve(process: RoleProcess) -> int:
    """Serve until told to stop."""
    service = ManagementService(process.home, process.server_name, process.log)

    def not_opened(binding: Binding, reason: str) -> None:
        event = happened(
            PORT_NOT_OPENED, role="management", host=binding.host, port=binding.port, reason=reason
        )
        process.log.write(event)

    def opened_late(binding: Binding) -> None:
        process.log.write(happened(PORT_OPENED_LATE, role="management", host=binding.host, port=binding.port))

    listeners = Listeners(lambda binding: service.metrics.protocol(), not_opened, opened_late)

    async def follow(organisation: Organisation) -> None:
        """Serve metrics where the organisation says."""
        before = set(listeners.open_bindings)
        await listeners.follow(metrics_binding(organisation, process.server_name))
        for binding in set(listeners.open_bindings) - before:
            process.log.write(happened(METRICS_LISTENING, address=f"{binding.host}:{binding.port}"))

    service.open_ports = lambda: ", ".join(str(each) for each in listeners.open_bindings)
    service.on_organisation = lambda organisation: process.start(follow(organisation))
    process.watch_signals(lambda: process.start(service.reload()))
    await service.start(open_listener(process.home))
    process.log.write(
        happened(
            MANAGEMENT_LISTENING,
            path=str(management_socket(process.home)),
            revision=service.organisation.revision,
        )
    )
    await follow(service.organisation)
    process.tell_ready([str(each) for each in listeners.open_bindings])
    await process.stop.wait()
    listeners.close()
    await service.close()
    management_socket(process.home).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_role("management", serve))
