"""Where an unknown name may come from, and where its import belongs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.evidence import Sources, gather
from agent.failures import read_test_run
from agent.missing_imports import Import, added, missing_imports, origins
from agent.test_paths import is_test_path

CART = '''"""A cart."""

from dataclasses import dataclass


@dataclass
class Item:
    price: int


def items():
    return OrderedDict(a=Item(1))
'''
OUTPUT = """\
=================================== FAILURES ===================================
__________________________________ test_items __________________________________

    def test_items():
>       assert items()

test_cart.py:5:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

    def items():
>       return OrderedDict(a=Item(1))
E       NameError: name 'OrderedDict' is not defined

shop/cart.py:12: NameError
=========================== short test summary info ============================
FAILED test_cart.py::test_items - NameError: name 'OrderedDict' is not defined
1 failed in 0.01s
"""


def repository(root: Path, **files: str) -> Sources:
    for name, text in {"shop/cart.py": CART, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Sources(root, is_test_path)


def edited(wanted: Import, text: str) -> str:
    edit = added(wanted, "a.py", text)
    assert edit is not None
    assert text.count(edit.old) == 1
    return text.replace(edit.old, edit.new)


def test_a_name_of_the_standard_library_is_imported_where_it_was_unknown(tmp_path: Path) -> None:
    sources = repository(
        tmp_path, **{"test_cart.py": "from shop.cart import items\n\n\ndef test_items():\n    assert items()\n"}
    )
    found = missing_imports(gather(read_test_run("pytest", 1, OUTPUT, 0.1), sources), sources)
    wanted, edit = found[0]
    assert (str(wanted), edit.path) == ("from collections import OrderedDict", "shop/cart.py")
    namespace: dict[str, object] = {}
    exec(compile(CART.replace(edit.old, edit.new), "cart.py", "exec"), namespace)
    items = namespace["items"]
    assert callable(items)
    assert str(items()).startswith("OrderedDict")


def test_no_failure_of_that_kind_asks_for_no_import(tmp_path: Path) -> None:
    sources = repository(tmp_path)
    other = OUTPUT.replace("NameError: name 'OrderedDict' is not defined", "TypeError: 'int' object is not callable")
    assert missing_imports(gather(read_test_run("pytest", 1, other, 0.1), sources), sources) == []


def test_what_other_files_import_comes_before_what_they_define_and_the_standard_library(tmp_path: Path) -> None:
    sources = repository(
        tmp_path,
        **{
            "shop/a.py": "import numpy as np\nfrom shop.path import Path\n",
            "shop/b.py": "from shop.path import Path\n",
            "shop/path.py": "class Path:\n    pass\n",
        },
    )
    assert origins("np", "shop/cart.py", sources) == [Import("numpy", "", "np")]
    found = origins("Path", "shop/cart.py", sources)
    assert found[0] == Import("shop.path", "Path")
    assert Import("pathlib", "Path") in found
    assert origins("nowhere_to_be_found", "shop/cart.py", sources) == []


def test_a_relative_import_means_the_same_only_in_its_own_folder(tmp_path: Path) -> None:
    sources = repository(tmp_path, **{"shop/a.py": "from .tax import rate\n", "shop/tax.py": "def rate(): ...\n"})
    assert origins("rate", "shop/cart.py", sources)[0] == Import(".tax", "rate")
    assert origins("rate", "cli/main.py", sources) == [Import("shop.tax", "rate")]
    assert Import(".tax", "rate") not in origins("rate", "shop/tax.py", sources)


def test_a_module_is_imported_whole(tmp_path: Path) -> None:
    assert origins("json", "shop/cart.py", repository(tmp_path))[0] == Import("json")


@pytest.mark.parametrize(
    ("wanted", "text", "after"),
    [
        (
            Import("dataclasses", "field"),
            "from dataclasses import dataclass\n\nX = 1\n",
            "from dataclasses import dataclass, field\n\nX = 1\n",
        ),
        (Import("json"), "import os\n\nX = 1\n", "import json\nimport os\n\nX = 1\n"),
        (Import("json"), "from shop import a\n\nX = 1\n", "import json\n\nfrom shop import a\n\nX = 1\n"),
        (Import("shop.b", "b"), "import os\n\nX = 1\n", "import os\n\nfrom shop.b import b\n\nX = 1\n"),
        (
            Import("shop.b", "b"),
            "from shop import (\n    a,\n)\nX = 1\n",
            "from shop.b import b\nfrom shop import (\n    a,\n)\nX = 1\n",
        ),
        (Import("re"), '"""Words."""\n\nX = 1\n', '"""Words."""\n\nimport re\n\nX = 1\n'),
        (Import("re"), "X = 1\nY = X = 1\n", "import re\n\n\nX = 1\nY = X = 1\n"),
        (
            Import("re"),
            "from __future__ import annotations\n\nX = 1\n",
            "from __future__ import annotations\n\nimport re\n\nX = 1\n",
        ),
        (Import("numpy", "", "np"), "import os", "import os\n\nimport numpy as np"),
    ],
)
def test_an_import_stands_where_it_belongs(wanted: Import, text: str, after: str) -> None:
    assert edited(wanted, text) == after


def test_a_file_that_cannot_be_parsed_gets_none() -> None:
    assert added(Import("re"), "a.py", "def f(:\n") is None


def test_a_module_of_the_repository_is_not_run_in_place_of_python_s_own(tmp_path: Path) -> None:
    (tmp_path / "zoneinfo.py").write_text("raise SystemExit('run')\n")
    code = (
        "from pathlib import Path; from agent.evidence import Sources; from agent.missing_imports import origins\n"
        "import sys; found = origins('ZoneInfo', 'a.py', Sources(Path('.'), lambda path: False))\n"
        "print(found, 'zoneinfo' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).resolve().parents[2]}"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[] False", done.stderr
