"""Commands that only read: which programs, and with which arguments.

A short list that errs on the side of a question; nothing here is a sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from agent.shell import SimpleCommand

# Programs that cannot write a file or start a program, whatever their arguments are.
_INERT = frozenset(
    {
        "ls", "cat", "head", "tail", "wc", "echo", "printf", "pwd", "cd", "true", "false", "whoami", "id", "uname",
        "nproc", "nl", "cut", "tr", "grep", "egrep", "fgrep", "stat", "basename", "dirname", "realpath", "readlink",
        "test", "[", "seq", "expr", "which", "type", "df", "du", "cmp", "diff", "comm", "paste", "md5sum", "sha1sum",
        "sha256sum", "cksum", "od", "rev", "fold", "jq",
    }
)  # fmt: skip

_GIT_READS = frozenset(
    {
        "status", "log", "diff", "show", "rev-parse", "ls-files", "ls-tree", "blame", "describe", "shortlog",
        "rev-list", "merge-base", "cat-file", "name-rev",
    }
)  # fmt: skip
_GIT_WRITING_OPTIONS = ("--output", "--ext-diff", "--textconv", "--exec", "--upload-pack", "--filters")
_GIT_BRANCH_OPTIONS = frozenset(
    {"-a", "--all", "-r", "--remotes", "-v", "-vv", "--verbose", "--list", "-l", "--show-current"}
)
_FIND_ACTIONS = ("-exec", "-ok", "-delete", "-fls", "-fprint")
_RG_RUNNING_OPTIONS = ("--pre", "--search-zip", "--hostname-bin")
_SORT_WRITING_OPTIONS = ("--output", "--compress-program", "--temporary-directory")
_SED_PRINT = re.compile(r"\d+(,\d+)?p")


def reads_only(command: SimpleCommand) -> bool:
    """Whether the command changes nothing and starts nothing; unknown programs do not pass."""
    program, arguments = command.program, command.texts[1:]
    if program in _INERT:
        return True
    check = _CHECKS.get(program)
    return check is not None and command.literal and check(arguments)


def _git(arguments: tuple[str, ...]) -> bool:
    """Only ``git SUBCOMMAND ...``: options before the subcommand can name another repository, pager or program."""
    if not arguments:
        return True
    subcommand, rest = arguments[0], arguments[1:]
    if subcommand == "branch":
        return all(each in _GIT_BRANCH_OPTIONS for each in rest) and "--list" not in rest[1:]
    return subcommand in _GIT_READS and not _has_option(rest, _GIT_WRITING_OPTIONS)


def _find(arguments: tuple[str, ...]) -> bool:
    return not any(each.startswith(_FIND_ACTIONS) for each in arguments)


def _rg(arguments: tuple[str, ...]) -> bool:
    return not _has_option(arguments, _RG_RUNNING_OPTIONS) and not _has_letter(arguments, "z")


def _sort(arguments: tuple[str, ...]) -> bool:
    return not _has_option(arguments, _SORT_WRITING_OPTIONS) and not _has_letter(arguments, "oT")


def _sed(arguments: tuple[str, ...]) -> bool:
    """Only ``sed -n 1,5p file...``."""
    if len(arguments) < 2 or arguments[0] != "-n" or not _SED_PRINT.fullmatch(arguments[1]):
        return False
    return not any(each.startswith("-") for each in arguments[2:])


def _base64(arguments: tuple[str, ...]) -> bool:
    return not _has_option(arguments, ("--output",)) and not _has_letter(arguments, "o")


def _tree(arguments: tuple[str, ...]) -> bool:
    return not _has_option(arguments, ("--output",)) and not _has_letter(arguments, "oR")


def _file(arguments: tuple[str, ...]) -> bool:
    return not _has_option(arguments, ("--compile",)) and not _has_letter(arguments, "C")


def _date(arguments: tuple[str, ...]) -> bool:
    return all(each.startswith(("+", "-u", "--utc", "-I", "--iso-8601", "-R")) for each in arguments)


def _uniq(arguments: tuple[str, ...]) -> bool:
    """The second operand would be written."""
    return sum(not each.startswith("-") for each in arguments) <= 1


def _command(arguments: tuple[str, ...]) -> bool:
    return arguments[:1] in (("-v",), ("-V",))


_CHECKS: Mapping[str, Callable[[tuple[str, ...]], bool]] = {
    "git": _git,
    "find": _find,
    "rg": _rg,
    "sort": _sort,
    "sed": _sed,
    "base64": _base64,
    "tree": _tree,
    "file": _file,
    "date": _date,
    "uniq": _uniq,
    "command": _command,
}


def _has_option(arguments: tuple[str, ...], options: tuple[str, ...]) -> bool:
    """Whether a long option is given, also abbreviated (``--outp``) or with a value (``--output=x``)."""
    names = [each.split("=", 1)[0] for each in arguments if each.startswith("--") and len(each) > 2]
    return any(option.startswith(name) or name.startswith(option) for name in names for option in options)


def _has_letter(arguments: tuple[str, ...], letters: str) -> bool:
    """Whether a short option is given, also within a cluster (``-no``)."""
    clusters = [each[1:] for each in arguments if each.startswith("-") and not each.startswith("--")]
    return any(letter in cluster for cluster in clusters for letter in letters)
