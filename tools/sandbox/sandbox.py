"""The sandbox of one session: starts commands confined, and looks after each at what it left.

Which tier it uses was found out by ``tools.sandbox.probe``; without one it refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tools.commands import Access, RunningCommand
from tools.errors import ToolError
from tools.launch import CommandLine, Launch, file_in_memory, launcher
from tools.limits import Limits
from tools.sandbox import bubblewrap, seatbelt
from tools.sandbox.aftermath import Aftermath
from tools.sandbox.capture import Captured, Images
from tools.sandbox.confined import Confined, Prepared
from tools.sandbox.landlock import Rulesets
from tools.sandbox.planning import Plan, Planner, User
from tools.sandbox.policy import Policy, Tier, cache_environment
from tools.sandbox.private import PrivateFolder, clear_stale
from tools.sandbox.probe import Found
from tools.sandbox.seccomp import program
from tools.sandbox.survey import Survey, survey
from tools.sandbox.watch import OpenWatch


class Sandbox:
    """A CommandRunner; ``close`` removes what belongs to the session.

    ``user`` says what is hidden; ``network_environment`` is given to commands that may use the network.
    """

    def __init__(
        self,
        found: Found,
        workspace: Path,
        user: User,
        network_environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.found = found
        self._workspace = workspace.resolve()
        self._planner = Planner(self._workspace, user)
        self._network_environment = dict(network_environment or {})
        self._limits = limits or Limits()
        self._images = Images(self._workspace)
        self._rulesets = Rulesets()
        self._opened: tuple[PrivateFolder, Aftermath] | None = None

    async def start(
        self, line: CommandLine, access: Access, emit: Callable[[str], None] | None = None
    ) -> RunningCommand:
        """Start a command confined; raises ToolError where that is not possible."""
        if self.found.tier is Tier.NONE:
            raise ToolError(f"{self.found.sentence()} Tell the user.")
        try:
            prepared = await asyncio.to_thread(self._prepare, line, access)
        except OSError as error:
            raise ToolError(
                f"The command could not be confined ({error}), so it was not run; tell the user."
            ) from error
        return await Confined.start(prepared, emit)

    def close(self) -> None:
        """Remove the private folder; all commands must have ended."""
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None
        self._rulesets.close()

    def _open(self) -> tuple[PrivateFolder, Aftermath]:
        if self._opened is None:
            clear_stale(self._workspace, Aftermath.put_right)
            private = PrivateFolder(not_in=self._workspace)
            self._opened = (private, Aftermath(self._workspace, private))
        return self._opened

    def _prepare(self, line: CommandLine, access: Access) -> Prepared:
        """Everything before the start; takes milliseconds, so not on the event loop."""
        private, aftermath = self._open()
        before = survey(self._workspace)
        plan = self._planner.plan(line, access, before, private.temporary)
        _forget(before, plan)
        masks = tuple((path, private.mask(path)) for path in plan.secrets)
        policy = replace(plan.policy, masks=masks, limits=self._limits)
        mounted = self.found.tier is Tier.BUBBLEWRAP
        if access.writes:
            self._images.refresh(before)
            policy = aftermath.begin(before, replace(plan, policy=policy), mounted=mounted)
        settle = partial(self._settle, before, plan, aftermath if access.writes else None)
        watch: OpenWatch | None = None
        try:
            watch = OpenWatch(plan.secrets) if plan.secrets and not mounted else None  # they cannot be masked
            return Prepared(self._launch(line, policy), policy, watch, settle)
        except BaseException:
            if watch is not None:
                watch.close()
            settle()
            raise

    def _settle(self, before: Survey, plan: Plan, aftermath: Aftermath | None) -> tuple[Captured, tuple[str, ...]]:
        """Everything after the end: what was put back, and what the files became."""
        if aftermath is None:
            return Captured(), ()
        after, notices = aftermath.end()
        _forget(after, plan)
        return self._images.differences(before, after), notices

    def _launch(self, line: CommandLine, policy: Policy) -> Launch:
        mounted = self.found.tier is Tier.BUBBLEWRAP
        inside = Path("/tmp") if mounted else policy.temporary  # noqa: S108 - its own, by a mount
        network = self._network_environment if policy.network else {}
        environment = {**line.environment, **network, **cache_environment(inside / ".cache"), "TMPDIR": str(inside)}
        if policy.masks:
            _tell_git_of_masks(environment)
        if self.found.tier is Tier.LANDLOCK:
            confinement = {
                "ruleset": (rules := self._rulesets.get(policy)),
                "seccomp": program(internet=policy.network),
                "processes": policy.limits.processes,
            }
            return launcher(replace(line, environment=environment), confinement, (rules,))
        if self.found.tier is Tier.SEATBELT:
            return launcher(replace(line, argv=seatbelt.command(policy, line.argv), environment=environment), None)
        filters = file_in_memory(program(internet=True))
        made = bubblewrap.arguments(policy, environment, filters, user_namespaces_off=self.found.user_namespaces_off)
        argv = [self.found.program, *made, *bubblewrap.first_program(policy, line.argv)]
        return Launch(argv, {}, (filters,), asked_to_end=False)


def _tell_git_of_masks(environment: dict[str, str]) -> None:
    """A mask has its file's size and time, but is another file: git shall not look further than those."""
    count = int(environment.get("GIT_CONFIG_COUNT", "0"))
    for key, value in (("core.checkStat", "minimal"), ("core.trustctime", "false")):
        environment[f"GIT_CONFIG_KEY_{count}"], environment[f"GIT_CONFIG_VALUE_{count}"] = key, value
        count += 1
    environment["GIT_CONFIG_COUNT"] = str(count)


def _forget(found: Survey, plan: Plan) -> None:
    """Hidden files are not recorded."""
    for path in plan.secrets:
        found.files.pop(path.relative_to(found.root).as_posix(), None)
