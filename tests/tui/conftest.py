"""A door to windows on a temporary repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.windows import Door


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    root = tmp_path / "work"
    root.mkdir()
    (root / "orders.py").write_text("def total(prices):\n    return sum(prices) + 1\n", encoding="utf-8")
    (root / "README.md").write_text("# Orders\n", encoding="utf-8")
    return Door(root, tmp_path / "state", monkeypatch)
