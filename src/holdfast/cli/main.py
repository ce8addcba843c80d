"""The command ``holdfast``.

Exit codes: 0 done, 1 refused (the message says what and why), 2 usage, 3 the
server is not reachable. Nobody sees a traceback, unless HOLDFAST_TRACEBACK is set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from holdfast.admin.catalogue import Argument, ArgumentValue, Kind, Runs, Verb, find_verb, read_arguments
from holdfast.admin.streaming import Stream
from holdfast.cli.tree import Options, Tree, output_file
from holdfast.drivers.management_socket import Finished, ManagementClient, Unreachable
from holdfast.kernel.errors import Problem, Refusal, Unavailable

DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3
INTERRUPTED = 130  # 128 + SIGINT, as shells say it
COMPLETION_TIMEOUT_S = 0.5


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = Tree(_run_verb, complete).main(arguments, prog_name="holdfast", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return DONE
    except Exception as error:  # the last door before the user: nobody shall see a traceback
        if os.environ.get("HOLDFAST_TRACEBACK"):
            raise
        sys.stderr.write(
            f"this is a bug in holdfast: {type(error).__name__}: {error}\n"
            "run the command again with HOLDFAST_TRACEBACK=1 and report what it prints\n"
        )
        return REFUSED


def _forget_output() -> None:
    """Whoever read our output has enough; the interpreter must not try to flush into the pipe again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run_verb(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> None:
    try:
        if verb.runs is Runs.PROGRAM:
            raise click.exceptions.Exit(_PROGRAMS[verb.noun](verb, arguments, options))
        _do(verb, arguments, options)
    except Refusal as refusal:
        _fail(
            refusal.text,
            options,
            problems=[(each.subject, each.text, each.advice) for each in refusal.problems],
        )
        raise click.exceptions.Exit(REFUSED) from None
    except Unreachable as error:
        _fail(error.text, options, problems=[])
        raise click.exceptions.Exit(UNREACHABLE) from None
    except Unavailable as error:
        _fail(error.text, options, problems=[])
        raise click.exceptions.Exit(REFUSED) from None
    except BrokenPipeError:
        _forget_output()
        raise click.exceptions.Exit(DONE) from None
    except msgspec.MsgspecError:
        text = (
            "the server answers in a way that this command does not know; it runs another version: restart it"
        )
        _fail(text, options, problems=[])
        raise click.exceptions.Exit(REFUSED) from None


def _do(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> None:
    warnings: list[str] = []
    target = output_file(verb, arguments)
    if verb.perform_local is not None:
        answer = verb.perform_local(read_arguments(verb, arguments))
        if isinstance(answer, Stream):
            sys.stdout.writelines(answer.as_json() if options.json else answer.as_lines())
            return
        result = answer
    else:
        from holdfast.cli.ask import Misuse, ask

        try:
            result, warnings = ask(options.home, verb, arguments)
        except Misuse as error:
            raise click.UsageError(str(error)) from None
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    from holdfast.cli import render

    if target is not None:
        _write(target, result)
    elif options.json:
        sys.stdout.write(render.as_json(result) + "\n")
    else:
        render.show(result)


def _write(target: Path, result: msgspec.Struct) -> None:
    data = getattr(result, "data", None)
    try:
        if isinstance(data, bytes):
            target.write_bytes(data)
        else:
            target.write_text(getattr(result, "text", ""), encoding="utf-8")
    except OSError as error:
        raise Refusal(f"cannot write {target}: {error.strerror}") from None


def _fail(text: str, options: Options, *, problems: list[tuple[str, str, str]]) -> None:
    if options.json:
        rows = [dict(zip(("subject", "text", "advice"), each, strict=True)) for each in problems]
        sys.stderr.write(msgspec.json.encode({"error": text, "problems": rows}).decode() + "\n")
        return
    sys.stderr.write(f"{text}\n")
    if len(problems) == 1 and str(Problem(*problems[0])) == text:
        return  # the text is the problem itself
    for subject, what, advice in problems:
        sys.stderr.write(f"  - {subject}: {what}; {advice}\n")


# --- programs ------------------------------------------------------------------------------------


def _up(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from holdfast.daemons import supervisor

    demonstration = not arguments.get("empty")
    return supervisor.main(options.home, demonstration, str(arguments.get("server") or ""))


def _simulate(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from holdfast.sim import command

    words: list[str] = []
    for name, value in arguments.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return command.main([*words, "--json"] if options.json else words)


def _lab(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from holdfast.lab import command

    return command.main(verb.name, read_arguments(verb, arguments).values(), as_json=options.json)


def _drill(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from holdfast.lab import drill_command

    values = read_arguments(verb, arguments).values()
    return drill_command.main(values, options.home, as_json_text=options.json)


def _completion(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from click.shell_completion import get_completion_class

    found = get_completion_class(str(arguments["shell"]))
    assert found is not None
    sys.stdout.write(found(Tree(_run_verb, complete), {}, "holdfast", "_HOLDFAST_COMPLETE").source() + "\n")
    return DONE


def _dhcp_client(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from holdfast.cli import dhcp_client

    return DONE if dhcp_client.run(read_arguments(verb, arguments), options) else REFUSED


def _dhcp_probe(verb: Verb, arguments: dict[str, ArgumentValue], options: Options) -> int:
    from holdfast.cli import dhcp_probe

    return DONE if dhcp_probe.run(read_arguments(verb, arguments), options) else REFUSED


_PROGRAMS = {
    "up": _up,
    "simulate": _simulate,
    "lab": _lab,
    "drill": _drill,
    "completion": _completion,
    "dhcp client": _dhcp_client,
    "dhcp probe": _dhcp_probe,
}


# --- completion ----------------------------------------------------------------------------------


def complete(argument: Argument, incomplete: str) -> list[str]:
    """Words for the shell; silently none when the server does not answer."""
    if argument.kind is Kind.CHOICE:
        return [each for each in argument.choices if each.startswith(incomplete)]
    if not argument.completes:
        return []
    noun, rows_name, field_name = argument.completes.split(".")
    verb = find_verb(noun, "list")
    assert verb is not None, argument.completes
    try:
        client = ManagementClient(Options(None, json=False).home, connect_timeout_s=COMPLETION_TIMEOUT_S)
        try:
            for message in client.ask(noun, "list", {}, patience_s=COMPLETION_TIMEOUT_S):
                if not isinstance(message, Finished):
                    return []
                result = msgspec.msgpack.decode(message.result, type=verb.result)
                names = [str(getattr(row, field_name)) for row in getattr(result, rows_name)]
                return [each for each in names if each.startswith(incomplete)]
        finally:
            client.close()
    except (Unavailable, Refusal, msgspec.MsgspecError):
        pass  # a key press in a shell is no place for an error message
    return []


if __name__ == "__main__":
    main()
