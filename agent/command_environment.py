"""The environment of commands that the model or the user lets run: what tools need, and no keys.

It starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

# Settings that git would take from a repository and run; ours go first.
_GIT_SAFETY = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.pager",
    "GIT_CONFIG_VALUE_1": "cat",
    "GIT_TERMINAL_PROMPT": "0",
}
# What commands get of our environment: enough for compilers, interpreters and package managers, and no keys.
_PASSED_ON = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH",
        "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_DATA_DIRS", "XDG_CONFIG_DIRS",
        "CONDA_PREFIX", "GOPATH", "GOROOT", "CARGO_HOME", "RUSTUP_HOME", "JAVA_HOME", "NVM_DIR", "NODE_PATH",
        "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "LD_LIBRARY_PATH", "CI",
    }
)  # fmt: skip

# Only where a command may use the network; proxies and package indexes can have passwords in their addresses.
_FOR_THE_NETWORK = frozenset(
    {
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS",
        "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "NPM_CONFIG_REGISTRY", "GOPROXY",
        "GOSUMDB", "GONOSUMDB", "CARGO_HTTP_CAINFO",
    }
)  # fmt: skip


def network_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What commands get besides, when they may use the network."""
    return {key: value for key, value in environment.items() if key.upper() in _FOR_THE_NETWORK}


def command_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What started commands get of our environment; no tokens and keys."""
    kept = {key: value for key, value in environment.items() if key in _PASSED_ON or key.startswith("LC_")}
    return {**kept, **_GIT_SAFETY, "TERM": "dumb", "NO_COLOR": "1", "PAGER": "cat", "GIT_PAGER": "cat"}
