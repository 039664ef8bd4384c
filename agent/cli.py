"""The command line: flags, subcommands, exit codes; every job itself lives in a module that is imported when needed.

Nothing heavy is imported here: ``agent --help`` must answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

EXIT_DONE, EXIT_NOT_ACHIEVED, EXIT_CANNOT_RUN, EXIT_INTERRUPTED = 0, 1, 2, 130
AddCommand = Callable[..., argparse.ArgumentParser]
_MODES = ("default", "accept-edits", "plan", "yolo")
_FORMATS = ("text", "json", "stream-json")


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0 done, 1 not achieved, 2 could not run, 130 interrupted."""
    from agent.errors import AgentError
    from inference.errors import EngineError

    try:
        args = build_parser().parse_args(arguments)
        _start_log()
        code = _handler(args)(args)
        sys.stdout.flush()  # here, where a reader that is gone is no surprise
        return code
    except (AgentError, EngineError) as error:
        from agent.clean import clean

        print(clean(f"agent: {error}"), file=sys.stderr)
        return EXIT_CANNOT_RUN
    except KeyboardInterrupt:
        print("agent: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output is gone; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NOT_ACHIEVED


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="agent",
        description="A local coding agent: the model runs on this machine. Without a command: a chat.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    once = parser.add_argument_group("one answer, no chat")
    once.add_argument(
        "-p", "--print", nargs="?", const="", metavar="PROMPT", help="answer once; standard input is read"
    )
    once.add_argument("--output-format", choices=_FORMATS, default="text", help="what goes to standard output")
    once.add_argument("--json-schema", metavar="FILE", help="the answer is JSON that fits this schema")
    parser.add_argument(
        "--plain", action="store_true", help="chat line by line, for screen readers and simple terminals"
    )
    _add_session_flags(parser)
    _add_common_flags(parser)
    add = parser.add_subparsers(dest="command", metavar="COMMAND").add_parser
    _add_fix(add)
    _add_review(add)
    _add_sessions(add)
    _add_models(add)
    for name, text in (("undo", "take back the last file changes made here"), ("redo", "take back the last undo")):
        add(name, help=text).add_argument(
            "session", nargs="?", help="a session's id (default: the latest in this repository)"
        )
    _add_engine(add)
    _add_doctor(add)
    demo = add("demo", help="make a small repository with a bug in a temporary place and repair it", allow_abbrev=False)
    demo.add_argument("--directory", metavar="DIR", help="make it there instead")
    _add_common_flags(demo)
    return parser


def _add_session_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sessions")
    group.add_argument("-c", "--continue", dest="continue_", action="store_true", help="go on with the latest one here")
    group.add_argument("-r", "--resume", metavar="ID", help="go on with this one (the beginning of its id is enough)")
    group.add_argument("--fork", action="store_true", help="with -c or -r: go on with a copy")


def _add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that the subcommands have too; a missing one sets nothing, so that either position works."""
    group = parser.add_argument_group("model, limits, safety", argument_default=argparse.SUPPRESS)
    group.add_argument("--model", metavar="NAME", help="a name of 'agent models list', or a GGUF file")
    group.add_argument("--context", type=int, metavar="TOKENS", help="size of the model's context")
    group.add_argument("--kv-type", choices=("f16", "q8_0"), help="of the model's memory; q8_0 takes half as much")
    group.add_argument("--drafter", metavar="NAME", help="a smaller model that guesses ahead, auto, or none")
    group.add_argument("--mode", choices=_MODES, help="what may run without a question")
    group.add_argument("--max-turns", type=int, metavar="N", help="stop after so many model responses")
    group.add_argument("--max-tokens", type=int, metavar="N", help="stop after so many generated tokens")
    group.add_argument("--max-seconds", type=float, metavar="S", help="stop after so many seconds")
    group.add_argument("--seed", type=int, metavar="N", help="fixes the random draws")
    group.add_argument("--offline", action="store_true", help="open no socket")
    group.add_argument("--trust", action="store_true", help="let this repository's own settings count, from now on")
    group.add_argument("--bare", action="store_true", help="no AGENTS.md, no settings of the repository")
    group.add_argument(
        "--no-sandbox", dest="sandbox", action="store_const", const="off", help="run commands with all your rights"
    )
    group.add_argument(
        "--in-process", action="store_true", help="run the model in this process, not in the one that programs share"
    )


def _add_fix(add: AddCommand) -> None:
    fix = add("fix", help="repair the repository until a test command is green", allow_abbrev=False)
    fix.add_argument("complaint", nargs="?", default="", help="what is wrong (default: what the tests say)")
    fix.add_argument("--test", required=True, metavar="COMMAND", help='the judge, such as "pytest -q"')
    fix.add_argument("--test-timeout", type=float, default=600.0, metavar="S", help="for one run of the tests")
    fix.add_argument("--allow-test-edits", action="store_true", help="tests may be changed too")
    fix.add_argument("--network", action="store_true", help="the test command may use the network")
    fix.add_argument("--dry-run", action="store_true", help="show the diff and leave the files as they are")
    fix.add_argument("--attempts", type=int, metavar="N", help="give up after so many")
    fix.add_argument(
        "--only-model", action="store_true", help="do not try what the failure itself names before the model is asked"
    )
    fix.add_argument("--keep", action="store_true", help="leave the files of a failed attempt as they are")
    fix.add_argument("--output-format", choices=_FORMATS, default="text", help="what goes to standard output")
    _add_common_flags(fix)


def _add_review(add: AddCommand) -> None:
    from agent.review_flags import add_hooks_arguments, add_review_arguments

    review = add("review", help="say what a change breaks, before it is committed", allow_abbrev=False)
    add_review_arguments(review)
    _add_common_flags(review)
    add_hooks_arguments(add("hooks", help="let git review every commit, or no longer"))


def _add_sessions(add: AddCommand) -> None:
    sessions = add("sessions", help="list, show, rename, export, import or remove kept sessions")
    actions = sessions.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="the sessions of this repository (the default)")
    listing.add_argument("--all", action="store_true", help="of every repository")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    for name, text in (("show", "print a session"), ("export", "as JSON lines"), ("rm", "remove a session")):
        action = actions.add_parser(name, help=text)
        action.add_argument("session", metavar="ID", help="the beginning of its id is enough")
    rename = actions.add_parser("rename", help="give a session another title")
    rename.add_argument("session", metavar="ID", help="the beginning of its id is enough")
    rename.add_argument("title")
    taking_in = actions.add_parser("import", help="keep an exported session here, under a new id")
    taking_in.add_argument("file", help="JSON lines; - for standard input")


def _add_models(add: AddCommand) -> None:
    from agent.models.commands import add_arguments

    add_arguments(add("models", help="list, fetch, remove and verify models"))


def _add_engine(add: AddCommand) -> None:
    engine = add("engine", help="show or stop the processes that have models loaded")
    actions = engine.add_subparsers(dest="action", metavar="ACTION")
    status = actions.add_parser("status", help="which model, how much memory, how many programs use it (the default)")
    status.add_argument("--json", action="store_true", help="one JSON object a line")
    actions.add_parser("stop", help="end them now; what they have read is kept on disk")


def _add_doctor(add: AddCommand) -> None:
    doctor = add("doctor", help="say what works here, what does not, and what to do")
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.add_argument("--offline", action="store_true", default=argparse.SUPPRESS, help="open no socket")


def _handler(args: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """The function for what was asked, from its module."""
    match args.command:
        case "fix":
            return _run_fix
        case "demo":
            return _run_demo
        case "review":
            from agent.review_command import run_review

            return run_review
        case "hooks":
            from agent.hooks_command import run_hooks

            return run_hooks
        case "models":
            from agent.models.commands import run_models

            return run_models
        case "engine":
            from agent.engine_command import run_engine

            return run_engine
        case "doctor":
            from agent.doctor import run_doctor

            return run_doctor
        case "sessions":
            from agent.session_commands import run_sessions

            return run_sessions
        case "undo":
            from agent.session_commands import run_undo

            return run_undo
        case "redo":
            from agent.session_commands import run_redo

            return run_redo
        case _ if args.print is not None or not sys.stdin.isatty():
            from agent.headless import run_print

            return run_print
        case _ if args.plain or not (sys.stdout.isatty() and sys.stderr.isatty()) or os.environ.get("TERM") == "dumb":
            from agent.chat import run_chat

            return run_chat
        case _:
            # By name: the screen stands above this package, which must not depend on it.
            return importlib.import_module("tui.start").run_tui


def _start_log() -> None:
    from agent.log import log_to
    from agent.paths import state_dir

    log_to(state_dir() / "agent.log")


def _run_fix(args: argparse.Namespace) -> int:
    import asyncio

    from agent.fix_command import run_fix

    return asyncio.run(run_fix(args))


def _run_demo(args: argparse.Namespace) -> int:
    import asyncio

    from agent.demo import demo_test_command, run_demo

    fix = build_parser().parse_args(["fix", "--test", demo_test_command()])
    return asyncio.run(run_demo(args, fix))


class _Version(argparse.Action):
    """Looks the version up when it is asked for: reading the package's metadata takes a tenth of a second."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("gemma-agent")
        except PackageNotFoundError:
            found = "(not installed)"
        print(f"gemma-agent {found}")
        parser.exit()
