"""Run the rooms that are asked most as machine code, where they were compiled from the very same sources.

``packaging/compile.py`` translates a few modules (mypyc) into a folder of their
own, beside what plain Python imports. A role that wants them says so before it
imports its rooms. Whatever does not fit, other sources, another Python, or
nothing compiled at all, is a reason to go on with plain Python: slower, and in
nothing else different.

Invariant: compiled code is used for all of these modules or for none, and only
while every source that it was made from is as it was.

Source: docs/decisions/0024; https://mypyc.readthedocs.io.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent.parent
DIRECTORY = PACKAGE / "compiled"
LIST = "compiled.json"
# What an exchange of DHCP goes through, message by message, and what its failover partner hears of it.
DHCP = (
    "holdfast.wire.dhcp4",
    "holdfast.wire.failover",
    "holdfast.wire.failover_digest",
    "holdfast.wire.failover_messages",
    "holdfast.dhcp.acknowledged",
    "holdfast.dhcp.authority",
    "holdfast.dhcp.balance",
    "holdfast.dhcp.choice",
    "holdfast.dhcp.client_match",
    "holdfast.dhcp.declines",
    "holdfast.dhcp.desk",
    "holdfast.dhcp.failover_accept",
    "holdfast.dhcp.failover_authority",
    "holdfast.dhcp.failover_bindings",
    "holdfast.dhcp.failover_endpoint",
    "holdfast.dhcp.failover_link",
    "holdfast.dhcp.failover_pools",
    "holdfast.dhcp.failover_states",
    "holdfast.dhcp.lease",
    "holdfast.dhcp.lease_table",
    "holdfast.dhcp.names",
    "holdfast.dhcp.offers",
    "holdfast.dhcp.option_blocks",
    "holdfast.dhcp.pool",
    "holdfast.dhcp.probing",
    "holdfast.dhcp.records",
    "holdfast.dhcp.replies",
    "holdfast.dhcp.served",
    "holdfast.dhcp.server",
    "holdfast.node.failover",
    "holdfast.drivers.audit_log",
    "holdfast.drivers.dhcp_sockets",
    "holdfast.drivers.failover_links",
    "holdfast.drivers.sqlite_bulk",
)
# What a message of mail goes through. A class that another one derives from brings it along.
MAIL = (
    "holdfast.wire.headers",
    "holdfast.wire.line_ends",
    "holdfast.wire.smtp",
    "holdfast.wire.smtp_parameters",
    "holdfast.wire.smtp_reply",
    "holdfast.transport.admission",
    "holdfast.transport.bounce",
    "holdfast.transport.categorize",
    "holdfast.transport.connector_choice",
    "holdfast.transport.copy_state",
    "holdfast.transport.delivery",
    "holdfast.transport.header_firewall",
    "holdfast.transport.hop_profile",
    "holdfast.transport.host_health",
    "holdfast.transport.intake",
    "holdfast.transport.mailbox_lanes",
    "holdfast.transport.names",
    "holdfast.transport.next_hop",
    "holdfast.transport.outbound",
    "holdfast.transport.outbound_envelope",
    "holdfast.transport.outbound_queue",
    "holdfast.transport.outbound_session",
    "holdfast.transport.outbound_words",
    "holdfast.transport.outcomes",
    "holdfast.transport.protection",
    "holdfast.transport.queue",
    "holdfast.transport.reading",
    "holdfast.transport.rights",
    "holdfast.transport.route",
    "holdfast.transport.session",
    "holdfast.transport.session_chunks",
    "holdfast.transport.session_data",
    "holdfast.transport.session_reading",
    "holdfast.transport.session_terms",
    "holdfast.transport.shadow_queues",
    "holdfast.transport.tls_policy",
    "holdfast.transport.tracking",
    "holdfast.node.outbound",
    "holdfast.node.own_writes",
    "holdfast.node.ports",
    "holdfast.node.reports",
    "holdfast.node.resubmission",
    "holdfast.node.safety_net",
    "holdfast.node.shadow",
    "holdfast.node.smtp_doors",
    "holdfast.node.tls_reporting",
    "holdfast.node.transport",
    "holdfast.drivers.busy_polling",
    "holdfast.drivers.clock",
    "holdfast.drivers.outbound",
    "holdfast.drivers.runner",
    "holdfast.drivers.tcp",
    "holdfast.drivers.transport_runner",
)
# What is compiled together.
GROUPS = {"dhcp": DHCP, "mail": MAIL}
MODULES = (*DHCP, *MAIL)
# Constants and layouts of what these import are compiled in.
_ROOMS = ("kernel", "wire", "directory", "dhcp", "transport", "node", "drivers")
PLAIN = "HOLDFAST_PLAIN_PYTHON"  # set to anything: compiled code is left alone


def digest_of_sources(package: Path = PACKAGE) -> str:
    """What compiled code depends on, as one number."""
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((package / room).glob("*.py")):
            digest.update(f"{room}/{path.name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


class _CompiledModules(MetaPathFinder):
    """Finds the compiled form of modules before the plain one is looked for."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self.files.get(fullname)
        return None if file is None else importlib.util.spec_from_file_location(fullname, file)


def prefer_compiled(*first: str, directory: Path = DIRECTORY, package: Path = PACKAGE) -> str:
    """Have the imports that follow take compiled modules.

    Args:
        first: modules that need them, which are imported; if that fails, plain Python is gone back to.
        directory: where they are.
        package: what they were made from.

    Returns:
        Empty when they are used; else why they are not, in words.
    """
    if os.environ.get(PLAIN):
        return f"{PLAIN} is set"
    try:
        made = json.loads((directory / LIST).read_text("utf-8"))
        suffix, sources = str(made["suffix"]), str(made["sources"])
        names = [str(name) for name in made["modules"]]
    except FileNotFoundError:
        return "nothing was compiled"
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"{directory / LIST} cannot be read: {error}"
    if suffix not in EXTENSION_SUFFIXES:
        return f"it was compiled for another Python ({suffix})"
    if sources != digest_of_sources(package):
        return "the sources changed since it was compiled"
    early = sorted(name for name in names if name in sys.modules)
    if early:
        return f"{early[0]} was imported before"
    files = {name: directory / f"{name.replace('.', '/')}{suffix}" for name in names}
    missing = next((file for file in files.values() if not file.is_file()), None)
    if missing is not None:
        return f"{missing} is missing"
    before = set(sys.modules)
    finder = _CompiledModules(files)
    sys.meta_path.insert(0, finder)
    try:
        for name in first:
            importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - whatever it is, plain Python serves
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            del sys.modules[name]
        return f"it cannot be loaded: {error}"
    return ""
