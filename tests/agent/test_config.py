"""Settings from five places, and what is said about wrong ones."""

from __future__ import annotations

import argparse
import os
from itertools import pairwise
from pathlib import Path

import pytest

from agent.config import Config, Source, environment_source, file_source, flag_source, read_config
from agent.errors import ConfigError
from agent.messages import ToolCall
from agent.permissions import Mode, Verdict, decide
from agent.remembered import Remembered
from agent.setup import Setup, read_setup
from agent.trust import what_trust_turns_on
from tools.base import Effect

PLACES = ["user", "project", "local", "environment", "flag"]


class Home:
    """A user's folders and a repository, with settings in any of the five places."""

    def __init__(self, root: Path) -> None:
        self.repository = root / "repository"
        (self.repository / ".git").mkdir(parents=True)
        (self.repository / ".git/HEAD").write_text("ref: refs/heads/main\n")
        (self.repository / ".git/objects").mkdir()
        (self.repository / ".git/refs").mkdir()
        self.environment = {"HOME": str(root)}
        self.flags = argparse.Namespace()
        self._files = {
            "user": root / ".config/gemma-agent/config.toml",
            "project": self.repository / ".agent/config.toml",
            "local": self.repository / ".agent/config.local.toml",
        }

    def settle(self, place: str, key: str, value: int) -> None:
        if place == "flag":
            setattr(self.flags, key, value)
        elif place == "environment":
            self.environment[f"GEMMA_AGENT_{key.upper()}"] = str(value)
        else:
            self._files[place].parent.mkdir(parents=True, exist_ok=True)
            with self._files[place].open("a") as file:
                file.write(f"{key} = {value}\n")

    def write(self, place: str, text: str) -> None:
        self._files[place].parent.mkdir(parents=True, exist_ok=True)
        self._files[place].write_text(text)

    def read(self, **flags: object) -> Setup:
        for key, value in flags.items():
            setattr(self.flags, key, value)
        return read_setup(self.flags, self.environment, self.repository)


@pytest.mark.parametrize(("weaker", "stronger"), list(pairwise(PLACES)))
def test_each_place_is_stronger_than_the_one_before(tmp_path: Path, weaker: str, stronger: str) -> None:
    home = Home(tmp_path)
    home.settle(weaker, "max_turns", 1)
    home.settle(stronger, "max_turns", 2)
    home.settle(weaker, "seed", 11)
    setup = home.read(trust=True)
    assert setup.config.max_turns == 2
    assert setup.config.seed == 11


def test_without_any_settings_the_defaults_hold(tmp_path: Path) -> None:
    assert Home(tmp_path).read().config == Config()


def test_a_repository_that_is_not_trusted_settles_nothing_and_that_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settle("project", "max_turns", 1)
    setup = home.read()
    assert setup.config.max_turns is None
    assert ".agent/config.toml not read" in setup.notices[0]


def test_a_repository_that_is_not_trusted_can_only_tighten(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write("user", 'allow = ["pytest"]\ndeny = ["rm"]\nask = ["git push"]\nmode = "accept-edits"\n')
    home.write("project", 'allow = ["curl"]\nnetwork = ["curl"]\ndeny = ["npm"]\nask = ["make"]\nmode = "yolo"\n')
    rules = home.read().rules
    assert (rules.allow, rules.network) == (("pytest",), ())
    assert (set(rules.deny), set(rules.ask)) == ({"rm", "npm"}, {"git push", "make"})
    assert home.read().config.mode == "accept-edits"
    home.write("project", 'mode = "plan"\n')
    assert home.read(mode="yolo").config.mode == "plan"


def test_what_a_trusted_repository_settles_lifts_nothing_that_the_user_forbids(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write("user", 'allow = ["pytest"]\ndeny = ["rm"]\n')
    home.write("project", 'allow = ["make"]\ndeny = []\n')
    rules = home.read(trust=True).rules
    assert (rules.allow, rules.deny) == (("pytest", "make"), ("rm",))


def test_trust_ends_when_the_settings_change(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write("project", 'allow = ["make"]\n')
    assert home.read(trust=True).rules.allow == ("make",)
    home.write("project", 'allow = ["curl"]\n')
    setup = home.read(trust=False)
    assert setup.rules.allow == ()
    assert "has changed since it was trusted" in setup.notices[0]


@pytest.mark.parametrize("text", ["this is no TOML", "deny = 7", 'deny = [7]\nask = ["make"]', "\x00"])
def test_settings_of_a_stranger_that_cannot_be_read_stop_nothing(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.write("project", text)
    setup = home.read()
    assert setup.rules.deny == ()
    assert "not trusted" in setup.notices[0]


def test_what_trusting_would_turn_on_is_listed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert what_trust_turns_on(home.repository) == ()
    home.write("project", 'mode = "yolo"\nallow = ["curl x | sh"]\n')
    home.write("local", "this is no TOML")
    mode, allow, broken = what_trust_turns_on(home.repository)
    assert mode == '.agent/config.toml: mode = "yolo"  (what runs without a question)'
    assert 'allow = ["curl x | sh"]' in allow
    assert "not valid TOML" in broken


def test_trust_is_remembered_outside_of_the_repository(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settle("project", "max_turns", 1)
    before = sorted(path for path in home.repository.rglob("*"))
    home.read(trust=True)
    assert sorted(path for path in home.repository.rglob("*")) == before
    setup = home.read(trust=False)
    assert setup.config.max_turns == 1
    assert setup.notices == ()


def test_bare_leaves_the_repositorys_settings_out_even_when_trusted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settle("project", "max_turns", 1)
    assert home.read(trust=True, bare=True).config.max_turns is None


def test_a_command_that_was_allowed_for_ever_is_allowed_in_this_repository_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    Remembered(home.read().state).allow(home.repository.resolve(), "pytest")
    assert home.read().rules.allow == ("pytest",)
    assert read_setup(argparse.Namespace(), home.environment, tmp_path).rules.allow == ()


def test_a_damaged_memory_of_repositories_is_a_sentence(tmp_path: Path) -> None:
    home = Home(tmp_path)
    state = home.read(trust=True).state
    (state / "repositories.json").write_text("{")
    with pytest.raises(ConfigError, match=r"repositories\.json is damaged"):
        home.read()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_turn = 3", "there is no setting max_turn; did you mean max_turns?"),
        ("max-turns = 'many'", "max_turns: input should be a valid integer"),
        ("max_turns = 0", "max_turns: input should be greater than or equal to 1, not 0"),
        ("mode = 'wild'", "mode: input should be 'default', 'accept-edits', 'plan' or 'yolo'"),
        ("max_turns = ", "is not valid TOML"),
        ("[model]\nname = 'x'", "model: input should be a valid string"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config([file_source(path)])
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_file_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        file_source(tmp_path / "config.toml")


def test_wrong_variables_and_flags_are_named_as_they_are_written() -> None:
    with pytest.raises(ConfigError, match="the environment: GEMMA_AGENT_MAX_TURNS"):
        read_config([environment_source({"GEMMA_AGENT_MAX_TURNS": "many"})])
    with pytest.raises(ConfigError, match="the command line: --max-turns"):
        read_config([flag_source({"max_turns": 0})])


def test_lists_in_variables_are_separated_by_commas_and_other_variables_are_ignored() -> None:
    found = environment_source(
        {"GEMMA_AGENT_ALLOW": "pytest, npm test", "GEMMA_AGENT_OFFLINE": "1", "GEMMA_AGENT_X": "1"}
    )
    config = read_config([found])
    assert config.allow == ("pytest", "npm test")
    assert config.offline is True


def test_a_wrong_setting_is_reported_even_where_a_stronger_place_has_a_right_one() -> None:
    with pytest.raises(ConfigError, match="somewhere"):
        read_config([Source("somewhere", {"max_turns": 0}), flag_source({"max_turns": 3})])


@pytest.mark.parametrize("kind", ["a FIFO", "an endless device", "a large file"])
def test_settings_that_would_never_end_are_not_read(tmp_path: Path, kind: str) -> None:
    home = Home(tmp_path)
    path = home.repository / ".agent/config.toml"
    path.parent.mkdir()
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "an endless device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"#" * 2_000_000)
    setup = read_setup(home.flags, home.environment, home.repository)
    assert setup.config == Config()
    assert "is not trusted" in setup.notices[0]
    assert "cannot be read" in what_trust_turns_on(home.repository)[0]


def test_files_that_git_would_run_are_asked_about_in_every_mode(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.repository / "hook[1].sh").write_text("")
    (home.repository / ".git/hooks").mkdir()
    (home.repository / ".git/hooks/pre-commit").symlink_to("../../hook[1].sh")
    rules = read_setup(home.flags, home.environment, home.repository).rules
    for name, path, verdict in (
        ("edit", "hook[1].sh", Verdict.ASK), ("write", "hook[1].sh", Verdict.ASK), ("edit", "hook1.sh", Verdict.ALLOW)
    ):  # fmt: skip
        assert decide(Mode.YOLO, Effect.WRITE, ToolCall("1", name, {"path": path}), rules).verdict is verdict
