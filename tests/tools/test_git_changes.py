"""Every kind of change, read as git sees it."""

from __future__ import annotations

import os
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


def test_a_commit_is_compared_with_its_parent_and_a_root_with_nothing(repository: Repository) -> None:
    repository.write("a.py", "x = 1\n")
    root = repository.commit()
    repository.write("b.py", "y = 1\n")
    repository.commit()
    changes = Changes(repository.root)
    assert set(repository.read(changes.commit_range("HEAD"))) == {"b.py"}
    assert set(repository.read(changes.commit_range(root))) == {"a.py"}


def merging(repository: Repository) -> None:
    """A merge that is not committed yet: one file from each side, and a conflict of both."""
    repository.write("a.py", "x = 1\ny = 1\nz = 1\n")
    repository.commit()
    repository.git("checkout", "-q", "-b", "side")
    repository.write("b.py", "y = 1\n")
    repository.write("a.py", "x = 2\ny = 1\nz = 2\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("c.py", "z = 1\n")
    repository.write("a.py", "x = 1\ny = 1\nz = 3\n")
    repository.commit()
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "-q", "--no-edit", "side")
    repository.write("a.py", "x = 2\ny = 1\nz = 4\n")
    repository.git("add", "-A")


def test_of_a_merge_only_what_differs_from_both_sides_is_its_change(repository: Repository) -> None:
    merging(repository)
    changes = Changes(repository.root)
    staged = repository.read(changes.index_range())
    assert {path: file.added_lines for path, file in staged.items()} == {"a.py": {3}}
    repository.commit("merge")
    merged = repository.read(changes.commit_range("HEAD"))
    assert {path: file.added_lines for path, file in merged.items()} == {"a.py": {3}}
    assert changes.index_range() == Range()


def test_a_push_brings_what_the_remote_has_not(repository: Repository) -> None:
    zeros = "0" * 40
    repository.write("a.py", "x = 1\n")
    first = repository.commit()
    repository.write("b.py", "x = 1\n")
    second = repository.commit()
    changes = Changes(repository.root)
    assert set(repository.read(changes.push_range(second, first))) == {"b.py"}
    assert set(repository.read(changes.push_range(second, zeros))) == {"a.py", "b.py"}, "a new repository"
    repository.git("update-ref", "refs/remotes/origin/main", first)
    assert set(repository.read(changes.push_range(second, zeros))) == {"b.py"}, "a new branch"
    assert repository.read(changes.push_range(first, zeros)) == {}
    unknown = "1" * 40
    assert set(repository.read(changes.push_range(second, unknown))) == {"b.py"}, "the remote was never fetched"


def test_a_file_that_attributes_call_binary_is_read_all_the_same(repository: Repository) -> None:
    repository.write(".gitattributes", "*.py -diff\n")
    repository.write("a.py", "x = 1\n")
    repository.commit()
    repository.write("a.py", "x = 2\n")
    repository.git("add", "-A")
    assert repository.read()["a.py"].added_lines == {1}


def test_a_commit_of_some_files_has_an_index_of_its_own(repository: Repository) -> None:
    repository.write("a.py", "x = 1\n")
    repository.commit()
    repository.write("a.py", "x = 2\n")
    own = repository.root / ".git/own-index"
    own.write_bytes((repository.root / ".git/index").read_bytes())
    environment = {"PATH": os.environ["PATH"], "GIT_INDEX_FILE": str(own)}
    subprocess.run(["git", "add", "-A"], cwd=repository.root, env=environment, check=True)
    assert repository.read() == {}
    given = Changes(repository.root, {"GIT_INDEX_FILE": str(own)})
    assert [file.new for file in given.read(given.index_range())] == ["x = 2\n"]


def test_many_files_are_read_with_a_handful_of_calls(repository: Repository) -> None:
    for number in range(300):
        repository.write(f"f{number}.py", f"x = {number}\n")
    repository.git("add", "-A")
    files = repository.read()
    assert len(files) == 300
    assert files["f7.py"].new == "x = 7\n"


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


def test_a_word_is_found_in_the_state_that_the_change_leaves(repository: Repository) -> None:
    repository.write("a.py", "area(1)\n")
    repository.write("b c.py", "areas(1)\n")
    first = repository.commit()
    repository.write("b c.py", "area(2)\n")
    changes = Changes(repository.root)
    assert changes.mentions("area", Range()) == ["a.py"]
    assert changes.mentions("area", Range(new="worktree")) == ["a.py", "b c.py"]
    assert changes.mentions("area", Range(new=first)) == ["a.py"]
    assert changes.mentions("nowhere", Range()) == []
    assert changes.text("b c.py", Range()) == "areas(1)\n"
    assert changes.text("b c.py", Range(new="worktree")) == "area(2)\n"
    assert changes.text("missing.py", Range(new=first)) is None
