"""Places that hold keys, passwords, tokens and private life: what no command gets to read.

It hides nothing; it lists what exists. Files of the workspace are found by ``tools.sandbox.survey``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

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


def hidden_places(home: Path, own: Iterable[Path]) -> tuple[Path, ...]:
    """The real paths of what exists of all that; ``own`` are this program's settings and state.

    Other people's home folders are among them (unless the running interpreter lives there).
    """
    found = [base / name for base in (home, Path("/root")) for name in _HOME]
    found += [*map(Path, _SYSTEM), *own]
    found += list(Path("/etc/ssh").glob(_HOST_KEYS)) if os.access("/etc/ssh", os.R_OK) else []
    found += _other_homes(home)
    real = dict.fromkeys(Path(os.path.realpath(path)) for path in found if os.path.lexists(path))
    existing = [path for path in real if path.exists()]
    return tuple(path for path in existing if not any(path != each and path.is_relative_to(each) for each in existing))


def _other_homes(home: Path) -> list[Path]:
    homes: list[Path] = []
    for place in (Path("/home"), Path("/Users")):
        try:
            homes += [each for each in place.iterdir() if each.is_dir() and not each.is_symlink()]
        except OSError:
            continue
    own = Path(os.path.realpath(home))
    return [each for each in homes if not own.is_relative_to(each)]
