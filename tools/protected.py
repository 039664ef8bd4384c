"""Names that file tools must not write, and names that they must not even read; pure functions of path components.

A name is compared as a careless file system would see it: without regard to case, Unicode form and invisible
characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase

READ_ONLY_NAMES = (".git", ".agent")
_SECRET_FOLDERS = frozenset({".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store"})
_SECRET_NAMES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx",
    "*.ppk", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_*_sk", ".netrc", "_netrc", ".npmrc", ".pypirc",
    ".git-credentials", ".htpasswd", ".pgpass", ".vault-token",
)  # fmt: skip
_NOT_SECRET = frozenset({"example", "sample", "template", "dist", "defaults", "test", "schema"})


def is_read_only(parts: Iterable[str]) -> bool:
    """Whether a path with these components belongs to git or to our own configuration."""
    return any(_key(part) in READ_ONLY_NAMES for part in parts)


def is_secret(parts: Iterable[str]) -> bool:
    """Whether a path with these components is one that holds keys or passwords by convention."""
    keys = [_key(part) for part in parts]
    if any(key in _SECRET_FOLDERS for key in keys):
        return True
    return bool(keys) and _is_secret_name(keys[-1])


def _is_secret_name(name: str) -> bool:
    if name.startswith(".env.") and name.rsplit(".", 1)[-1] in _NOT_SECRET:
        return False
    return any(fnmatchcase(name, pattern) for pattern in _SECRET_NAMES)


def _key(part: str) -> str:
    folded = unicodedata.normalize("NFKC", part).casefold()
    return "".join(char for char in folded if unicodedata.category(char) != "Cf").rstrip(". ")
