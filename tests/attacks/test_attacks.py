"""No attack of the suite gets through: in bubblewrap, and in Landlock where there is no bubblewrap.

A few of every kind run with the fast tests, all of them with the slow ones; ``bench.attacks`` also runs them as an
ordinary user and prints a table.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.attacks.ground import Ground
from tests.attacks.suite import ATTACKS, Attack
from tests.fakes.confined import folder_at_home
from tools.sandbox.policy import Tier
from tools.sandbox.probe import Found, find_tier

TIERS = (Tier.BUBBLEWRAP, Tier.LANDLOCK)
_A_FEW = 2  # of each kind


def _few() -> list[Attack]:
    kinds = {attack.kind for attack in ATTACKS}
    return [attack for kind in sorted(kinds) for attack in [each for each in ATTACKS if each.kind == kind][:_A_FEW]]


@functools.cache
def _found(tier: Tier) -> Found:
    return find_tier(tier)


@contextmanager
def ground_in(tier: Tier | None) -> Generator[Ground]:
    """A ground outside /tmp, which commands do not see as it is."""
    found = None if tier is None else _found(tier)
    if found is not None and found.tier is not tier:
        pytest.skip(f"no {tier} here: {found.shortfall}")
    with folder_at_home() as folder, Ground(folder / "g", found) as made:
        yield made


def run(attacks: list[Attack], tier: Tier | None) -> dict[str, list[str]]:
    """What each attack that did harm achieved."""
    harmed: dict[str, list[str]] = {}
    with ground_in(tier) as ground:
        for attack in attacks:
            harm = ground.harm(attack.run(ground), with_git=attack.kind == "git")
            if harm:
                harmed[attack.name] = harm
    return harmed


@pytest.mark.parametrize("tier", TIERS)
def test_a_few_attacks_of_every_kind_do_no_harm(tier: Tier) -> None:
    assert run(_few(), tier) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tier", TIERS)
def test_no_attack_does_harm(tier: Tier) -> None:
    assert run(list(ATTACKS), tier) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_a_sandbox_the_attacks_do_harm() -> None:
    """Otherwise the suite would show nothing."""
    armed = [attack for attack in ATTACKS if attack.control and attack.act is None]
    harmed = run(armed, None)
    assert [attack.name for attack in armed if attack.name not in harmed] == []


def test_the_suite_is_of_a_size() -> None:
    assert len(ATTACKS) >= 60
    assert len({attack.kind for attack in ATTACKS}) >= 10
