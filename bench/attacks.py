"""Claim: no attack of the suite gets through, as root and as an ordinary user, in each tier that works here.

Runs every attack of ``tests.attacks``; as root it runs them a second time as an ordinary user, whom it makes for that
(``--user``). It measures no time.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import cast

from bench.claims import report
from tests.attacks.ground import Ground
from tests.attacks.suite import ATTACKS
from tests.fakes.confined import TIERS
from tools.sandbox.policy import Tier
from tools.sandbox.probe import find_tier

ROOT = Path(__file__).resolve().parent.parent


def run_tier(tier: Tier) -> dict[str, object] | None:
    """Which attacks did harm, and what was caught after commands; None where the tier does not work."""
    found = find_tier(tier)
    if found.tier is not tier:
        print(f"no {tier} here: {found.shortfall}", file=sys.stderr)
        return None
    harmed: dict[str, list[str]] = {}
    caught: list[str] = []
    place = Path.home() / ".cache"
    place.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=place, prefix="gemma-attacks-") as name,
        Ground(Path(name, "g"), found) as ground,
    ):
        _require_commands(ground, tier)
        for number, attack in enumerate(ATTACKS, start=1):
            if sys.stderr.isatty():
                print(f"\r{tier} {number}/{len(ATTACKS)}", end="", file=sys.stderr, flush=True)
            said = attack.run(ground)
            if "put back" in said or "was removed" in said or "withheld" in said:
                caught.append(attack.name)
            harm = ground.harm(said, with_git=attack.kind == "git")
            if harm:
                harmed[attack.name] = harm
        _require_commands(ground, tier)
    return {"harmed": harmed, "caught": caught}


def _require_commands(ground: Ground, tier: Tier) -> None:
    """Where none runs, nothing could get through, either."""
    said = ground.command("echo commands run")
    if "commands run" not in said:
        raise SystemExit(f"in {tier} no command runs: {said}")


def as_user(name: str, tier: Tier) -> dict[str, object] | None:
    """The same in a process of an ordinary user, with whatever Python that user can run."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--create-home", name], check=True)
        account = pwd.getpwnam(name)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys.executable, *filter(None, [shutil.which(version, path="/usr/bin:/usr/local/bin")])]
    environment = {
        "HOME": account.pw_dir,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{sysconfig.get_paths()['purelib']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for python in candidates:
        command = [python, "-m", "bench.attacks", "--one", tier.value]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue  # an interpreter in root's home folder
        return json.loads(done.stdout.splitlines()[-1])
    print(f"{name} can run none of {', '.join(candidates)}", file=sys.stderr)
    return None


def tell(who: str, tier: Tier, found: dict[str, object] | None) -> bool:
    """Print the claim."""
    if found is None:
        return True
    harmed = cast("dict[str, list[str]]", found["harmed"])
    caught = cast("list[str]", found["caught"])
    for name, harm in harmed.items():
        print(f"through as {who} in {tier}: {name}: {harm}", file=sys.stderr)
    report(f"{tier} as {who}: caught after the command", len(caught), "attacks")
    return report(f"{tier} as {who}: through of {len(ATTACKS)} attacks", len(harmed), "attacks", "== 0")


def main() -> int:
    """Exit code 1 when one gets through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--user", default="gemma-attacks", help="the ordinary user (made when it does not exist)")
    parser.add_argument("--one", help="run one tier as whoever this is, and print what happened as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_tier(Tier(options.one))))
        return 0
    held = True
    for tier in TIERS:
        who = "root" if os.geteuid() == 0 else "an ordinary user"
        held &= tell(who, tier, run_tier(tier))
        if os.geteuid() == 0:
            held &= tell("an ordinary user", tier, as_user(options.user, tier))
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
