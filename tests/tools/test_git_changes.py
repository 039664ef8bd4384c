"""Every kind of change, read as git sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.git import GitError
from tools.git_changes import ChangedFile, Changes, Range


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, path: str, content: str | bytes) -> None:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str = "x") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def read(self, wanted: Range | None = None, *paths: str) -> dict[str, ChangedFile]:
        return {file.path: file for file in Changes(self.root).read(wanted or Range(), paths)}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_before_the_first_commit_everything_staged_is_added(repository: Repository) -> None:
    repository.write("a.py", "x = 1\ny = 2\n")
    repository.git("add", "-A")
    file = repository.read()["a.py"]
    assert (file.status, file.old, file.new) == ("added", None, "x = 1\ny = 2\n")
    assert file.added_lines == {1, 2}


def test_the_index_counts_and_not_the_work_tree(repository: Repository) -> None:
    repository.write("a.py", "x = 1\n")
    repository.commit()
    repository.write("a.py", "x = 2\n")
    repository.git("add", "-A")
    repository.write("a.py", "x = 3\n")
    assert repository.read()["a.py"].new == "x = 2\n"
    assert repository.read(Range(new="worktree"))["a.py"].new == "x = 3\n"


def test_hunks_count_lines_of_both_sides(repository: Repository) -> None:
    repository.write("a.py", "".join(f"{n}\n" for n in range(1, 11)))
    repository.commit()
    repository.write("a.py", "1\n2\nnew\n3\n4\nfive\n6\n7\n8\n10\n")
    repository.git("add", "-A")
    hunks = repository.read()["a.py"].hunks
    assert [(h.old_start, h.old_count, h.new_start, h.new_count) for h in hunks] == [
        (3, 0, 3, 1),
        (5, 1, 6, 1),
        (9, 1, 10, 0),
    ]


@pytest.mark.parametrize("name", ["with space.py", "tab\there.py", "ünï.py", "-dash.py", '"quoted".py', "a\nb.py"])
def test_any_name_is_read(repository: Repository, name: str) -> None:
    repository.write(name, "x = 1\n")
    repository.commit()
    repository.write(name, "x = 2\n")
    repository.git("add", "-A")
    assert repository.read()[name].added_lines == {1}


def test_renames_deletions_modes_links_binaries_and_large_files_say_what_they_are(repository: Repository) -> None:
    for name in ("moved.py", "gone.py", "mode.py", "link.py"):
        repository.write(name, f"# {name}\nx = 1\ny = 2\nz = 3\n")
    repository.commit()
    (repository.root / "moved.py").rename(repository.root / "there.py")
    (repository.root / "gone.py").unlink()
    (repository.root / "mode.py").chmod(0o755)
    (repository.root / "link.py").unlink()
    (repository.root / "link.py").symlink_to("/etc/passwd")
    repository.write("image.bin", b"\x00\x01\x02")
    repository.write("large.py", "x = 1\n" * 300_000)
    repository.git("add", "-A")
    files = repository.read()
    assert files["there.py"].skipped == "it was only renamed from moved.py"
    assert (files["gone.py"].status, files["gone.py"].new, files["gone.py"].skipped) == ("deleted", None, None)
    assert files["mode.py"].skipped == "only its mode changed"
    assert files["link.py"].skipped == "it is a symbolic link"
    assert files["image.bin"].skipped == "it is binary"
    assert files["large.py"].skipped == "it is too large (1800000 bytes)"


def test_a_commit_is_compared_with_its_first_parent_and_a_root_with_nothing(repository: Repository) -> None:
    repository.write("a.py", "x = 1\n")
    root = repository.commit()
    repository.git("checkout", "-q", "-b", "side")
    repository.write("b.py", "y = 1\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("c.py", "z = 1\n")
    repository.commit()
    repository.git("merge", "-q", "--no-edit", "side")
    changes = Changes(repository.root)
    assert set(repository.read(changes.commit_range("HEAD"))) == {"b.py"}
    assert set(repository.read(changes.commit_range(root))) == {"a.py"}


def test_a_base_is_the_point_where_the_head_left_it(repository: Repository) -> None:
    repository.write("a.py", "x = 1\n")
    repository.commit()
    repository.git("checkout", "-q", "-b", "work")
    repository.write("b.py", "y = 1\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("c.py", "z = 1\n")
    repository.commit()
    repository.git("checkout", "-q", "--detach", "work")
    assert set(repository.read(Changes(repository.root).base_range("main"))) == {"b.py"}


def test_paths_are_taken_as_they_are_written(repository: Repository) -> None:
    repository.write("[a].py", "x = 1\n")
    repository.write("a.py", "x = 1\n")
    repository.git("add", "-A")
    assert set(repository.read(None, "[a].py")) == {"[a].py"}


@pytest.mark.parametrize("revision", ["nonsense", "--output=x", "-p"])
def test_what_is_no_commit_is_refused(repository: Repository, revision: str) -> None:
    repository.commit()
    with pytest.raises(GitError):
        Changes(repository.root).commit_range(revision)
    assert not (repository.root / "x").exists()


def test_unresolved_conflicts_are_not_looked_at(repository: Repository) -> None:
    repository.write("a.py", "x = 1\n")
    repository.commit()
    repository.git("checkout", "-q", "-b", "side")
    repository.write("a.py", "x = 2\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("a.py", "x = 3\n")
    repository.commit()
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "-q", "side")
    assert repository.read()["a.py"].skipped == "it has unresolved conflicts"
