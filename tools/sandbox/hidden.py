"""Places that hold keys, passwords, tokens and private life: what no command gets to read.

It hides nothing; it lists what exists. Files of the workspace are found by ``tools.sandbox.survey``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from tools.sandbox.policy import is_within

# Below the home folder. What tools of a repository need (.gitconfig, .config/pip, caches) is not among them.
_HOME = (
    # keys and passwords
    ".ssh", ".gnupg", ".pki", ".password-store", ".local/share/keyrings", ".local/share/kwalletd", ".config/op",
    ".config/1Password", ".config/Bitwarden", ".config/keepassxc", ".netrc", "_netrc", ".git-credentials",
    ".config/git/credentials", ".pgpass", ".my.cnf", ".mylogin.cnf", ".vault-token", ".age", ".config/sops",
    # clouds and registries
    ".aws", ".azure", ".kube", ".docker", ".oci", ".config/gcloud", ".config/doctl", ".config/rclone", ".config/gh",
    ".config/hub", ".config/glab-cli", ".config/heroku", ".config/netlify", ".config/fly", ".fly", ".s3cfg", ".boto",
    ".terraform.d", ".config/containers", ".npmrc", ".yarnrc.yml", ".pypirc", ".gem/credentials", ".bundle/config",
    ".cargo/credentials", ".cargo/credentials.toml", ".composer/auth.json", ".m2/settings.xml", ".nuget/NuGet",
    ".config/helm", ".huggingface", ".cache/huggingface/token", ".cache/huggingface/stored_tokens", ".kaggle",
    # browsers, mail and chat
    ".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware",
    ".config/microsoft-edge", ".config/vivaldi", ".config/opera", ".config/Signal", ".config/Slack", ".config/discord",
    ".local/share/TelegramDesktop", "snap/firefox", ".var/app",
    # other agents and editors: tokens and conversations
    ".claude", ".claude.json", ".codex", ".gemini", ".config/github-copilot", ".config/goose", ".local/share/opencode",
    ".aider", ".vibe", ".config/Code/User/globalStorage", ".config/Cursor/User/globalStorage",
    # what was typed
    ".bash_history", ".zsh_history", ".python_history", ".node_repl_history", ".psql_history", ".mysql_history",
    ".sqlite_history", ".lesshst", ".viminfo", ".local/share/fish/fish_history", ".local/state/bash", ".histfile",
    # macOS
    "Library/Keychains", "Library/Cookies", "Library/Application Support/Google", "Library/Mail", "Library/Messages",
    "Library/Application Support/Firefox", "Library/Application Support/com.apple.TCC", "Library/Safari",
)  # fmt: skip
_SYSTEM = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d",
    "/etc/ssl/private", "/etc/krb5.keytab", "/etc/wireguard", "/etc/NetworkManager/system-connections",
    "/etc/docker/key.json",
    "/etc/kubernetes", "/etc/letsencrypt", "/var/lib/docker", "/var/lib/kubelet", "/var/spool/cron", "/var/spool/mail",
    "/var/mail", "/var/backups",
)  # fmt: skip
_HOST_KEYS = "ssh_host_*_key"  # in /etc/ssh


class HiddenPlaces:
    """What exists of all that, for one user; ``own`` are this program's settings and state."""

    def __init__(self, home: Path, own: Iterable[Path]) -> None:
        names = [f"{base}/{name}" for base in dict.fromkeys((str(home), "/root")) for name in _HOME]
        self._candidates = (*names, *_SYSTEM, *map(str, own), *_host_keys())
        self._home = home
        self._seen: list[str] | None = None
        self._real: tuple[Path, ...] = ()

    def now(self) -> tuple[Path, ...]:
        """Their real paths, as they are at this moment; other people's home folders are among them."""
        seen = [path for path in (*self._candidates, *_other_homes(self._home)) if _holds_something(path)]
        if seen != self._seen:
            real = sorted({os.path.realpath(path) for path in seen})
            outer = [path for path in real if not any(path != each and is_within(path, each) for each in real)]
            self._seen, self._real = seen, tuple(map(Path, outer))
        return self._real


def _holds_something(path: str) -> bool:
    """Whether a command, which has no capabilities, could read anything there: each hidden place costs it time."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - strings
        group = facts.st_gid in (os.getegid(), *os.getgroups())
        if facts.st_uid != os.geteuid() and not facts.st_mode & (0o055 if group else 0o005):
            return False
        if not stat.S_ISDIR(facts.st_mode):
            return facts.st_size > 0
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _host_keys() -> list[str]:
    try:
        return [str(path) for path in Path("/etc/ssh").glob(_HOST_KEYS)]
    except OSError:
        return []


def _other_homes(home: Path) -> list[str]:
    found: list[str] = []
    for place in ("/home", "/Users"):
        try:
            with os.scandir(place) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return [path for path in sorted(found) if not is_within(str(home), path)]
