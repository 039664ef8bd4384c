"""The read and write tools: bounded views, new files only, and clear answers to what cannot be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.hands import Hands, names_in
from tools.base import ToolError

BLNS = Path(__file__).parents[2] / "../shared/data/blns.json"


def test_lines_are_numbered_and_counted_from_the_offset(hands: Hands) -> None:
    hands.put("a.txt", "".join(f"line {number}\n" for number in range(1, 21)))
    assert hands.text("read", path="a.txt", offset=3, limit=2) == (
        "   3\tline 3\n   4\tline 4\n(lines 3-4 of 20; read on with offset 5)"
    )
    assert hands.text("read", path="a.txt", offset=20) == "  20\tline 20\n(lines 20-20 of 20)"
    assert "only 20 lines" in hands.refused("read", path="a.txt", offset=21)


def test_a_long_file_and_long_lines_are_cut_with_a_note(hands: Hands) -> None:
    hands.put("long.txt", "".join(f"line {number}\n" for number in range(1, 100_000)))
    text = hands.text("read", path="long.txt", limit=100_000)
    assert len(text) < 25_000
    assert "of 99999; read on with offset" in text
    hands.put("wide.txt", "x" * 10_000 + "\n")
    text = hands.text("read", path="wide.txt")
    assert "9500 more characters" in text
    assert len(text) < 600


def test_an_empty_file_is_said_to_be_empty(hands: Hands) -> None:
    hands.put("a.txt", "", read=False)
    assert hands.text("read", path="a.txt") == "a.txt is empty."


def test_a_binary_file_is_refused(hands: Hands) -> None:
    hands.put("a.bin", b"\x7fELF\0\0\1", read=False)
    assert "binary" in hands.refused("read", path="a.bin")


def test_a_file_too_large_is_refused(hands: Hands) -> None:
    with (hands.root / "huge.log").open("wb") as file:
        file.truncate(10_000_001)
    assert "larger than 10 MB" in hands.refused("read", path="huge.log")


def test_a_missing_file_is_answered_with_names_like_it(hands: Hands) -> None:
    hands.put("src/parser/lexer.py", "x = 1\n", read=False)
    assert "did you mean src/parser/lexer.py" in hands.refused("read", path="lexer.py")
    assert "did you mean src/parser/lexer.py" in hands.refused("read", path="src/parser/lexr.py")
    assert "read . to list" in hands.refused("read", path="qqq")


def test_a_folder_is_listed(hands: Hands) -> None:
    hands.put("src/b.py", "", read=False)
    hands.put("src/a.py", "", read=False)
    hands.put(".gitignore", "*.log\n", read=False)
    hands.put("x.log", "", read=False)
    assert hands.text("read", path="src") == "Files in src:\na.py\nb.py"
    assert hands.text("read", path=".") == "Files in .:\n.gitignore\nsrc/a.py\nsrc/b.py"


def test_text_in_other_encodings_is_shown(hands: Hands) -> None:
    hands.put("utf16.txt", "\ufeffgr\u00fc\u00df\r\n".encode("utf-16-le"))
    hands.put("latin.txt", "gr\u00fc\u00df\n".encode("latin-1"))
    assert hands.text("read", path="utf16.txt") == "   1\tgr\u00fc\u00df"
    assert hands.text("read", path="latin.txt") == "   1\tgr\u00fc\u00df"


def test_write_creates_a_file_with_its_folders_and_announces_it(hands: Hands) -> None:
    output = hands.call("write", path="new/deep/a.py", content="x = 1\n")
    assert (hands.root / "new/deep/a.py").read_text() == "x = 1\n"
    assert output.changes[0].before is None
    assert hands.recorder.changes == [(hands.root / "new/deep/a.py", None, b"x = 1\n")]
    hands.call("edit", path="new/deep/a.py", old="1", new="2")  # what it wrote it has seen


def test_write_refuses_an_existing_file_and_names_edit(hands: Hands) -> None:
    path = hands.put("a.py", "x = 1\n")
    assert "edit" in hands.refused("write", path="a.py", content="y = 1\n")
    assert path.read_text() == "x = 1\n"


def test_write_tells_of_syntax_errors_and_keeps_the_file(hands: Hands) -> None:
    assert "line 1" in hands.text("write", path="a.py", content="def f(:\n")
    assert (hands.root / "a.py").read_text() == "def f(:\n"


def test_write_refuses_folders_and_impossible_text(hands: Hands) -> None:
    hands.put("a.txt", "one\n")
    assert "folder" in hands.refused("write", path="src/", content="x")
    assert "no character" in hands.refused("write", path="b.txt", content="\ud800")
    assert hands.refused("write", path="a.txt/b.txt", content="x")
    assert not (hands.root / "b.txt").exists()


def test_a_preview_of_write_shows_the_new_file_and_makes_none(hands: Hands) -> None:
    assert "+x = 1" in hands.preview("write", path="a.py", content="x = 1\n")
    assert not (hands.root / "a.py").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt", "/etc/passwd", "a/../../outside.txt", "~/x", "/proc/self/root/etc/passwd",
        "/proc/self/cwd/x", "", "  ", "a\0b", "\ud800", "x" * 300, "/".join(["d" * 100] * 50), "/dev/null", "..",
    ],
)  # fmt: skip
def test_paths_that_lead_out_or_cannot_be_are_refused(hands: Hands, path: str) -> None:
    for name in ("read", "write", "edit"):
        assert hands.refused(name, path=path, content="x", old="a", new="b")
    assert list(hands.root.iterdir()) == []


def test_absolute_paths_inside_the_workspace_are_accepted(hands: Hands) -> None:
    hands.put("src/a.txt", "one\n", read=False)
    assert "one" in hands.text("read", path=str(hands.root / "src/a.txt"))
    assert "one" in hands.text("read", path="src/../src/./a.txt")
    assert "src/a.txt" in hands.refused("read", path="/src/a.txt")


def test_symbolic_links_out_of_the_workspace_are_refused(hands: Hands, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("secret\n")
    (hands.root / "file").symlink_to(tmp_path / "outside.txt")
    (hands.root / "folder").symlink_to(tmp_path)
    (hands.root / "loop").symlink_to("loop")
    (hands.root / "dangling").symlink_to(tmp_path / "new.txt")
    for path in ("file", "folder/outside.txt", "folder", "loop"):
        assert "secret" not in hands.refused("read", path=path)
    for path in ("dangling", "folder/new.txt"):
        hands.refused("write", path=path, content="x")
    assert names_in(tmp_path) == ["outside.txt", "workspace"]


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(hands: Hands, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("one\n")
    hands.put("src/a.txt", "one\n")
    workspace = hands.context.workspace
    relative = workspace.locate("src/a.txt", write=True)
    (hands.root / "src").rename(hands.root / "moved")
    (hands.root / "src").symlink_to(outside)
    with pytest.raises((ToolError, FileNotFoundError)):
        workspace.read(relative)
    with pytest.raises(ToolError):
        workspace.write(relative, b"two\n", b"one\n")
    assert (outside / "a.txt").read_text() == "one\n"


def test_fifos_sockets_and_devices_are_refused_without_waiting(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(hands.root / "fifo")
    monkeypatch.chdir(hands.root)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in ("fifo", "socket"):
            assert "not a regular file" in hands.refused("read", path=path)
            assert "not a regular file" in hands.refused("write", path=path, content="x")


@pytest.mark.parametrize(
    "path",
    [".git/config", ".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", ".agent/config.toml", ".g\u200cit/x"],
)
def test_git_and_our_own_configuration_are_read_only(hands: Hands, path: str) -> None:
    assert "read-only" in hands.refused("write", path=path, content="x")
    hands.put(path, "one\n")
    assert "read-only" in hands.refused("edit", path=path, old="one", new="two")


@pytest.mark.parametrize(
    "path", [".env", ".ENV", "sub/.env.local", "key.pem", "id_rsa", ".ssh/config", ".npmrc", "\uff0eenv", ".env."]
)
def test_files_with_secrets_are_blocked(hands: Hands, path: str) -> None:
    hands.put(path, "TOKEN=sesame\n", read=False)
    assert "sesame" not in hands.refused("read", path=path)
    assert "blocked" in hands.refused("edit", path=path, old="sesame", new="x")
    (hands.root / "alias").symlink_to(path)
    assert "sesame" not in hands.refused("read", path="alias")
    assert "sesame" not in hands.text("grep", pattern="TOKEN")


def test_an_example_of_an_environment_file_is_no_secret(hands: Hands) -> None:
    hands.put(".env.example", "TOKEN=\n", read=False)
    assert "TOKEN" in hands.text("read", path=".env.example")


@pytest.mark.slow
def test_naughty_strings_survive_as_content_and_never_leave_as_names(hands: Hands, tmp_path: Path) -> None:
    if not BLNS.exists():
        pytest.skip("the list of naughty strings is not on this machine")
    strings: list[str] = json.loads(BLNS.read_text(encoding="utf-8"))

    async def write_all() -> None:
        for number, string in enumerate(strings):
            await hands.run("write", {"path": f"content/{number}.txt", "content": string})
            assert (hands.root / f"content/{number}.txt").read_bytes() == string.encode()
            with contextlib.suppress(ToolError):
                await hands.run("write", {"path": f"names/{number}/{string}", "content": "x"})

    hands.do(write_all())
    assert names_in(tmp_path) == ["workspace"]


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.fakes.hands import Hands
from tools.base import ToolError
hands = Hands(Path(sys.argv[1]))
hands.call("read", path="a.txt")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print(hands.refused("edit", path="a.txt", old="one", new="x" * 5000))
print(hands.refused("write", path="b.txt", content="x" * 5000))
"""


def test_a_write_that_the_disk_refuses_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.count("could not be written") == 2, done.stdout + done.stderr
    assert (tmp_path / "a.txt").read_text() == "one\n"
    assert names_in(tmp_path) == ["a.txt"]
