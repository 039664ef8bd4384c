from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.hands import Hands


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    root = tmp_path / "workspace"
    root.mkdir()
    return Hands(root)
