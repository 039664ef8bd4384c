"""The profile for macOS comes from the same policy as the other tiers; it was never run by us, so it is kept."""

from __future__ import annotations

from pathlib import Path

from tools.sandbox.policy import Policy
from tools.sandbox.seatbelt import SANDBOX_EXEC, command, profile

GOLDEN = Path(__file__).parents[2] / "golden" / "seatbelt.sb"
WORKSPACE = Path("/Users/me/project")
POLICY = Policy(
    folder=WORKSPACE,
    workspace=WORKSPACE,
    temporary=Path("/private/tmp/gemma-agent-x/tmp"),
    writable=(WORKSPACE, WORKSPACE / ".git"),
    read_only=(WORKSPACE / ".git/config", WORKSPACE / ".git/hooks", WORKSPACE / '.agent"x'),
    hidden=(Path("/Users/me/.ssh"), Path("/Users/me/Library")),
    masks=((WORKSPACE / ".env", Path("/private/tmp/gemma-agent-x/masks/0")),),
    visible=(Path("/Users/me/Library/Python"),),
)


def test_the_profile_is_as_it_was_written_down() -> None:
    assert profile(POLICY) == GOLDEN.read_text(encoding="utf-8")


def test_later_rules_win_so_what_is_protected_comes_after_what_is_writable() -> None:
    lines = profile(POLICY).splitlines()
    writable = lines.index(f'(allow file-write* (subpath "{WORKSPACE}"))')
    for protected in (".git/config", ".git/hooks"):
        assert lines.index(f'(deny file-write* (subpath "{WORKSPACE}/{protected}"))') > writable
    assert lines.index(f'(deny file-read* (subpath "{WORKSPACE}/.env"))') > writable
    assert lines[-1] == "(deny network*)"


def test_the_command_runs_below_the_systems_own_program() -> None:
    assert command(POLICY, ["sh", "-c", "true"]) == [SANDBOX_EXEC, "-p", profile(POLICY), "sh", "-c", "true"]
