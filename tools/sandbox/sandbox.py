"""The sandbox of one session: starts commands confined, and looks after each at what it left.

Which tier it uses was found out by ``tools.sandbox.probe``; without one it refuses.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tools.commands import Access, RunningCommand
from tools.errors import ToolError
from tools.launch import CommandLine, Launch, file_in_memory, launcher, specification
from tools.limits import Limits
from tools.sandbox import bubblewrap, seatbelt
from tools.sandbox.aftermath import Aftermath
from tools.sandbox.capture import Captured, Images
from tools.sandbox.confined import Confined, Prepared
from tools.sandbox.confinement import confinement
from tools.sandbox.early import EarlyBubblewrap, Waiting
from tools.sandbox.landlock import Rulesets
from tools.sandbox.planning import Plan, Planner, User
from tools.sandbox.policy import Policy, Tier, cache_environment
from tools.sandbox.private import PrivateFolder, clear_stale
from tools.sandbox.probe import Found
from tools.sandbox.shared_memory import SHARED_MEMORY, SharedMemory
from tools.sandbox.survey import Places, Survey, survey
from tools.sandbox.watch import OpenWatch
from tools.served import LaunchServer


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
        self._places = Places(self._workspace)
        self._images = Images(self._workspace)
        self._rulesets = Rulesets()
        self._shared = SharedMemory()
        self._server = LaunchServer()
        self._waiting = Waiting(found.program, bubblewrap.FIRST_PROGRAM)
        self._opened: tuple[PrivateFolder, Aftermath] | None = None

    async def start(
        self, line: CommandLine, access: Access, emit: Callable[[str], None] | None = None
    ) -> RunningCommand:
        """Start a command confined; raises ToolError where that is not possible."""
        if self.found.tier is Tier.NONE:
            raise ToolError(f"{self.found.sentence()} Tell the user.")
        try:
            early = self._waiting.take() if self.found.tier is Tier.BUBBLEWRAP else None
            prepared = await self._prepared_with(early, line, access)
        except OSError as error:
            raise ToolError(
                f"The command could not be confined ({error}), so it was not run; tell the user."
            ) from error
        return await Confined.start(prepared, emit)

    def close(self) -> None:
        """Remove the private folder; all commands must have ended."""
        self._waiting.close()
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None
        self._rulesets.close()
        self._server.close()

    async def _prepared_with(self, early: EarlyBubblewrap | None, line: CommandLine, access: Access) -> Prepared:
        try:
            return await asyncio.to_thread(self._prepare, line, access, early)
        except BaseException:
            if early is not None:
                early.abandon()
            raise

    def _open(self) -> tuple[PrivateFolder, Aftermath]:
        if self._opened is None:
            clear_stale(self._workspace, Aftermath.put_right)
            private = PrivateFolder(not_in=self._workspace)
            self._opened = (private, Aftermath(self._workspace, private))
        return self._opened

    def _prepare(self, line: CommandLine, access: Access, early: EarlyBubblewrap | None) -> Prepared:
        """Everything before the start; takes milliseconds, so not on the event loop."""
        private, aftermath = self._open()
        plan = self._planner.plan(line, access, self._places.look(), private.temporary)
        masks = tuple((path, private.mask(path)) for path in plan.secrets)
        plan = replace(plan, policy=replace(plan.policy, masks=masks, limits=self._limits))
        if not access.writes:
            return self._prepared(line, plan, _Unseen(), early)
        policy = aftermath.begin(plan, mounted=self.found.tier is Tier.BUBBLEWRAP)
        shared = None
        if self.found.tier is Tier.LANDLOCK:
            shared = self._shared
            policy = replace(policy, shared=(SHARED_MEMORY,) if shared.begin() else ())
        seen = _Seen(self._workspace, self._images, plan, aftermath, shared)
        return self._prepared(line, replace(plan, policy=policy), seen, early)

    def _prepared(
        self, line: CommandLine, plan: Plan, seen: _Seen | _Unseen, early: EarlyBubblewrap | None
    ) -> Prepared:
        watch: OpenWatch | None = None
        try:
            if plan.secrets and self.found.tier is not Tier.BUBBLEWRAP:
                watch = OpenWatch(plan.secrets)  # they cannot be masked
            launch = self._launch(line, plan.policy, early)
            prepared = Prepared(launch, plan.policy, watch, seen.before, seen.after)
            return replace(prepared, over=self._waiting.refill) if early else prepared
        except BaseException:
            if watch is not None:
                watch.close()
            seen.after()
            raise

    def _launch(self, line: CommandLine, policy: Policy, early: EarlyBubblewrap | None) -> Launch:
        inside = Path("/tmp") if early else policy.temporary  # noqa: S108 - its own, by a mount
        network = self._network_environment if policy.network else {}
        environment = {**line.environment, **network, **cache_environment(inside / ".cache"), "TMPDIR": str(inside)}
        if policy.masks:
            _tell_git_of_masks(environment)
        if early is not None:
            early.write_script(bubblewrap.script(policy, line.argv))
            flag = self.found.user_namespaces_off
            made = bubblewrap.arguments(policy, environment, early.seccomp, user_namespaces_off=flag)
            made += bubblewrap.script_argument(early.script)
            return Launch(made, {}, asked_to_end=False, starter=early)
        if self.found.tier is Tier.LANDLOCK:
            return self._served(replace(line, environment=environment), policy)
        return launcher(replace(line, argv=seatbelt.command(policy, line.argv), environment=environment))

    def _served(self, line: CommandLine, policy: Policy) -> Launch:
        """Confined by Landlock and seccomp, with a supervisor for what these leave open."""
        self._server.prepare()
        number = file_in_memory(specification(line, confinement(policy)))
        try:
            return Launch((), {}, (number, self._rulesets.get(policy)), starter=self._server)
        except BaseException:
            os.close(number)
            raise


def _tell_git_of_masks(environment: dict[str, str]) -> None:
    """A mask has its file's size and time, but is another file: git shall not look further than those."""
    count = int(environment.get("GIT_CONFIG_COUNT", "0"))
    for key, value in (("core.checkStat", "minimal"), ("core.trustctime", "false")):
        environment[f"GIT_CONFIG_KEY_{count}"], environment[f"GIT_CONFIG_VALUE_{count}"] = key, value
        count += 1
    environment["GIT_CONFIG_COUNT"] = str(count)


class _Seen:
    """The workspace before and after one command."""

    def __init__(
        self, workspace: Path, images: Images, plan: Plan, aftermath: Aftermath, shared: SharedMemory | None
    ) -> None:
        self._workspace = workspace
        self._images = images
        self._hidden = tuple(path.relative_to(workspace).as_posix() for path in plan.secrets)
        self._aftermath = aftermath
        self._shared = shared
        self._before: Survey | None = None

    def before(self) -> None:
        """Note how the files are."""
        self._before = self._without_hidden(survey(self._workspace))
        self._images.refresh(self._before)

    def after(self) -> tuple[Captured, tuple[str, ...]]:
        """What was put back, and what the files became."""
        if self._shared is not None:
            self._shared.end()
        after, notices = self._aftermath.end()
        if self._before is None:
            return Captured(), notices
        return self._images.differences(self._before, self._without_hidden(after)), notices

    def _without_hidden(self, found: Survey) -> Survey:
        """Hidden files are not recorded."""
        for name in self._hidden:
            found.files.pop(name, None)
        return found


class _Unseen:
    """The workspace around a command that cannot change it."""

    def before(self) -> None:
        """Nothing is to be noted."""

    def after(self) -> tuple[Captured, tuple[str, ...]]:
        """Nothing changed."""
        return Captured(), ()
