"""Makes .venv ready to run and test the project: environment, llama.cpp, pinned packages.

Standard library only, run with the machine's own Python; it downloads no model weights.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
STAMP = VENV / ".ready"
LLAMA = "llama-cpp-python"


def say(text: str) -> None:
    """One line about what is going on."""
    print(f"==> {text}", flush=True)


def stop(text: str) -> None:
    """End with one sentence."""
    print(f"setup: {text}", file=sys.stderr)
    raise SystemExit(2)


def run(*command: str) -> None:
    """Run a command; end with its output when it fails."""
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.stderr.write(result.stdout[-4000:] + result.stderr[-8000:])
        stop(f"`{' '.join(command[:6])} ...` failed; the lines above say why.")


def wanted_state() -> str:
    """A hash of everything that an installation depends on."""
    native = [path for path in (ROOT / "inference" / "kernels").iterdir() if path.suffix in (".cpp", ".h")]
    files = [CONSTRAINTS, ROOT / "pyproject.toml", ROOT / "setup.py", *sorted(native)]
    text = "".join(path.read_text() for path in files) + str(ROOT) + sys.version + build_key()
    return hashlib.sha256(text.encode()).hexdigest()


def build_key() -> str:
    """What a compiled llama.cpp depends on: a wheel made for this processor may crash on another."""
    cpu = platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        flags = re.search(r"^(flags|Features)\s*:(.*)$", info.read_text(), re.MULTILINE)
        cpu += " ".join(sorted(flags[2].split())) if flags else ""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return hashlib.sha256(f"{cpu}|{python}|{os.environ.get('CMAKE_ARGS', '')}".encode()).hexdigest()[:12]


def pinned(name: str) -> str:
    """``name==version`` as constraints.txt has it."""
    match = re.search(rf"^{re.escape(name)}==\S+", CONSTRAINTS.read_text(), re.MULTILINE | re.IGNORECASE)
    if not match:
        raise SystemExit(f"setup: constraints.txt has no pin for {name}")
    return match[0]


def create_environment() -> None:
    """.venv with a pip that knows dependency groups."""
    if VENV.is_symlink() or (PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], check=False).returncode):
        VENV.unlink() if VENV.is_symlink() else shutil.rmtree(VENV)
    if not PYTHON.exists():
        say("Creating .venv")
        try:
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(error.stdout + error.stderr)
            stop("Python cannot create a virtual environment; on Debian, `apt-get install python3-venv` adds that.")
    run(str(PYTHON), "-m", "pip", "install", "--quiet", pinned("pip"))


def llama_wheel() -> Path:
    """The compiled wheel, from the cache or built now with progress."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemma-agent" / "wheels" / build_key()
    version = pinned(LLAMA).split("==")[1]
    found = sorted(cache.glob(f"llama_cpp_python-{version}-*.whl"))
    if found:
        say(f"llama.cpp was compiled before: {found[0].name}")
        return found[0]
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        stop("no C++ compiler found; install one (Debian: `apt-get install g++`).")
    say("Compiling llama.cpp for this processor (once; about 7 minutes on two cores)")
    cache.mkdir(parents=True, exist_ok=True)
    command = [str(PYTHON), "-m", "pip", "wheel", "-v", "--no-deps", "-w", str(cache), pinned(LLAMA)]
    follow_build(command, ROOT / ".venv" / "llama-build.log")
    found = sorted(cache.glob(f"llama_cpp_python-{version}-*.whl"))
    if not found:
        stop("the build of llama.cpp left no wheel; see .venv/llama-build.log.")
    return found[0]


def follow_build(command: list[str], log: Path) -> None:
    """Run the build and turn ninja's or make's counters into a line of progress with the time left."""
    began = last = time.monotonic()
    with (
        log.open("w") as sink,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as build,
    ):
        assert build.stdout is not None
        for line in build.stdout:
            sink.write(line)
            counter = re.search(r"\[\s*(\d+)/(\d+)\]", line)
            share = int(counter[1]) / int(counter[2]) if counter else 0.0
            percent = re.search(r"\[\s*(\d+)%\]", line)
            share = int(percent[1]) / 100 if percent else share
            now = time.monotonic()
            if share > 0.02 and now - last >= 10:
                last = now
                left = (now - began) * (1 - share) / share
                print(f"    {share:4.0%}  about {left / 60:.1f} minutes left", flush=True)
    if build.returncode:
        sys.stderr.write("".join(log.read_text().splitlines(keepends=True)[-30:]))
        stop(f"llama.cpp did not compile; the whole log is in {log}.")


def main() -> None:
    """Do what is missing; do nothing twice."""
    if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python is stopped by)
        stop(f"Python 3.11 or newer is needed, this is {platform.python_version()}.")
    if STAMP.exists() and not VENV.is_symlink() and STAMP.read_text() == wanted_state():
        return
    create_environment()
    wheel = llama_wheel()
    say("Installing packages (versions pinned in constraints.txt)")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
    run(*pip, str(wheel))
    run(*pip, "--group", "dev", "-e", ".")
    STAMP.write_text(wanted_state())
    say("Ready: .venv/bin/agent")


if __name__ == "__main__":
    main()
