"""Which files are tests, by the conventions of the common languages; it opens none."""

from __future__ import annotations

from pathlib import PurePosixPath

# As permission rules take them: globs on the path relative to the workspace, or names of folders.
TEST_PATTERNS = (
    "tests", "test", "__tests__", "spec", "conftest.py", "test.*", "tests.*", "test_*.*", "*_test.*", "*.test.*",
    "*.spec.*", "*_spec.rb", "*Test.java", "*Tests.java",
)  # fmt: skip


def is_test_path(path: str) -> bool:
    """Whether a workspace path is a test, or lies in a folder of tests."""
    parts = PurePosixPath(path).parts
    return any(PurePosixPath(part).match(pattern) for part in parts for pattern in TEST_PATTERNS)
