"""What can go wrong in a way that a person can mend; each message is one clear sentence with the next step.

The model's own mistakes (bad arguments, a missing file, a failing command) are ToolResults, never these.

AgentError                 exit code 2 unless said otherwise
├── UsageError             the command line, or what it names, cannot be used
├── ConfigError            a configuration file is wrong; names file and key
├── ModelError             no usable model
│   ├── UnknownModel       no such name in the catalogue
│   ├── DownloadError      network, gating, hash, truncation
│   └── TooBigForMemory    weights and KV cache do not fit
├── TestCommandError       the test command cannot run or collects nothing
└── StoreError             the session store is damaged, locked or full
"""

from __future__ import annotations


class AgentError(Exception):
    """Anything that the program can report to a person in one sentence."""


class UsageError(AgentError):
    """The command line, or what it names, cannot be used."""


class ConfigError(AgentError):
    """A configuration file is wrong; the message names the file and the key."""


class ModelError(AgentError):
    """There is no usable model."""


class UnknownModel(ModelError):
    """The name is not in the catalogue and is no file."""


class DownloadError(ModelError):
    """A model could not be fetched or did not verify."""


class TooBigForMemory(ModelError):
    """Weights and KV cache do not fit into this machine's memory."""


class TestCommandError(AgentError):
    """The test command cannot run, or collects no tests."""

    __test__ = False  # not a test case, whatever its name says to pytest


class StoreError(AgentError):
    """The session store is damaged, locked or full."""
