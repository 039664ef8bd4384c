"""The hub client against a hub on localhost: what is picked, what is resumed, a sentence for all that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import DownloadError
from agent.models.catalog import HubSource
from agent.models.hub import Hub
from agent.models.hub_library import HubUnreachable, NotOnHub
from agent.models.places import Places
from agent.models.progress import Progress, no_progress
from agent.models.verify import read_stamp
from tests.fakes.hub_server import FakeHub, serve
from tests.fakes.tiny_gguf import gguf_bytes

REPO = "unsloth/gemma-4-E2B-it-qat-GGUF"
TARGET = "gemma-4-E2B-it-qat-UD-Q4_K_XL.gguf"
SOURCE = HubSource(repo=REPO, target=("*UD-Q4_K_XL.gguf", "*Q4_0.gguf"), drafter=("mtp-*.gguf",))
CONTENT = gguf_bytes(rows=4000)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    files = {
        "README.md": b"read me",
        "BF16/gemma-4-E2B-it-BF16-00001-of-00002.gguf": b"part",
        "gemma-4-E2B-it-qat-Q4_0.gguf": b"second choice",
        TARGET: CONTENT,
        "mmproj-F16.gguf": b"projector",
        "mtp-gemma-4-E2B-it.gguf": gguf_bytes(rows=8),
    }
    with serve(FakeHub({REPO: files})) as running:
        yield running


def client(hub: FakeHub, cache: Path) -> Hub:
    return Hub(Places(models=cache / "own", hub_cache=cache / "hub", endpoint=hub.endpoint))


def partials(cache: Path) -> list[Path]:
    return list(cache.rglob("*-partial"))


def test_the_target_and_its_drafter_are_picked_by_pattern(hub: FakeHub, tmp_path: Path) -> None:
    target, drafter = client(hub, tmp_path).pick(SOURCE)
    assert target.name == TARGET
    assert drafter is not None
    assert drafter.name == "mtp-gemma-4-E2B-it.gguf"


def test_a_renamed_file_is_found_by_the_next_pattern(hub: FakeHub, tmp_path: Path) -> None:
    del hub.repositories[REPO][TARGET]
    target, _ = client(hub, tmp_path).pick(SOURCE)
    assert target.name == "gemma-4-E2B-it-qat-Q4_0.gguf"


def test_a_repository_without_the_kind_of_file_is_named(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories[REPO] = {"README.md": b""}
    with pytest.raises(NotOnHub, match=rf"{REPO} holds no file like \*UD-Q4_K_XL"):
        client(hub, tmp_path).pick(SOURCE)


def test_a_download_lands_in_the_shared_cache_verified(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    path = here.download(target, seen.append)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "hub" / "models--unsloth--gemma-4-E2B-it-qat-GGUF" / "snapshots")
    assert path.resolve().name == target.sha256
    stamp = read_stamp(path)
    assert stamp is not None
    assert stamp.sha256 == target.sha256
    assert any(each.done == each.total == len(CONTENT) for each in seen)
    assert not partials(tmp_path)


def test_a_second_download_fetches_no_content(hub: FakeHub, tmp_path: Path) -> None:
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    here.download(target, no_progress)
    here.download(target, no_progress)
    assert len(hub.gets(TARGET)) == 1


def test_a_broken_connection_is_resumed_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    large = gguf_bytes(rows=800_000)  # the library hands on blocks of 10 MiB; what is in the block that broke is lost
    hub.repositories[REPO][TARGET] = large
    hub.break_after = [22 << 20]
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    assert here.download(target, no_progress).read_bytes() == large
    assert hub.gets(TARGET)[1].endswith(f"bytes={20 << 20}-")


def test_what_an_earlier_run_fetched_is_kept_and_continued(hub: FakeHub, tmp_path: Path) -> None:
    target, _ = client(hub, tmp_path).pick(SOURCE)
    blobs = tmp_path / "hub" / "models--unsloth--gemma-4-E2B-it-qat-GGUF" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{target.sha256}.gemma-agent-partial").write_bytes(CONTENT[:70_000])
    assert client(hub, tmp_path).download(target, no_progress).read_bytes() == CONTENT
    assert [line.split()[-1] for line in hub.gets(TARGET)] == ["bytes=70000-"]


def test_a_hub_that_ignores_ranges_costs_time_but_not_the_file(hub: FakeHub, tmp_path: Path) -> None:
    hub.ranges = False
    hub.break_after = [50_000]
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    assert here.download(target, no_progress).read_bytes() == CONTENT


def test_corrupted_content_is_removed_and_never_enters_the_cache(hub: FakeHub, tmp_path: Path) -> None:
    hub.corrupt = True
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    with pytest.raises(DownloadError, match="has the wrong sha256; it was removed"):
        here.download(target, no_progress)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]
    hub.corrupt = False
    assert here.download(target, no_progress).read_bytes() == CONTENT


@pytest.mark.slow
def test_an_answer_that_always_ends_early_is_given_up_and_its_bytes_kept(hub: FakeHub, tmp_path: Path) -> None:
    hub.short = 1000
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    with pytest.raises(DownloadError, match="run the same command again to go on"):
        here.download(target, no_progress)
    assert [path.stat().st_size for path in partials(tmp_path)] == [len(CONTENT) - 1000]


def test_a_gated_repository_says_what_to_accept(hub: FakeHub, tmp_path: Path) -> None:
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    hub.gated = True
    with pytest.raises(DownloadError, match=rf"accept its terms at http://.*/{REPO} and set HF_TOKEN"):
        here.download(target, no_progress)


def test_a_refused_listing_is_about_access_not_about_the_network(hub: FakeHub, tmp_path: Path) -> None:
    hub.status = 403
    with pytest.raises(DownloadError, match="set HF_TOKEN") as raised:
        client(hub, tmp_path).pick(SOURCE)
    assert not isinstance(raised.value, HubUnreachable)


def test_a_repository_that_is_gone_is_not_on_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories.clear()
    with pytest.raises(NotOnHub, match=f"The hub has no {REPO}"):
        client(hub, tmp_path).pick(SOURCE)


def test_a_file_that_vanished_after_the_listing_is_not_on_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    hub.repositories[REPO] = {}
    with pytest.raises(NotOnHub):
        here.download(target, no_progress)


def test_a_hub_in_trouble_counts_as_unreachable(hub: FakeHub, tmp_path: Path) -> None:
    hub.status = 503
    with pytest.raises(HubUnreachable, match=r"\(503\)"):
        client(hub, tmp_path).pick(SOURCE)


def test_a_closed_port_is_unreachable_in_a_sentence(tmp_path: Path) -> None:
    with serve(FakeHub()) as gone:
        pass
    with pytest.raises(HubUnreachable, match=r"cannot be reached; check the network, or HF_ENDPOINT"):
        client(gone, tmp_path).pick(SOURCE)


def test_a_token_that_cannot_be_sent_is_a_sentence_without_the_token(hub: FakeHub, tmp_path: Path) -> None:
    places = Places(tmp_path / "own", tmp_path / "hub", hub.endpoint, token="hf_ä\n")
    with pytest.raises(DownloadError, match="HF_TOKEN") as raised:
        Hub(places).pick(SOURCE)
    assert "hf_" not in str(raised.value)


@pytest.mark.slow
def test_a_hub_that_never_answers_is_unreachable(hub: FakeHub, tmp_path: Path) -> None:
    hub.silent.set()
    assert not client(hub, tmp_path).reachable(REPO)


def test_a_hub_that_answers_is_reachable_even_when_it_refuses(hub: FakeHub, tmp_path: Path) -> None:
    hub.status = 403
    assert client(hub, tmp_path).reachable(REPO)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named_with_what_is_kept(hub: FakeHub, tmp_path: Path) -> None:
    here = client(hub, tmp_path)
    target, _ = here.pick(SOURCE)
    blobs = tmp_path / "hub" / "models--unsloth--gemma-4-E2B-it-qat-GGUF" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{target.sha256}.gemma-agent-partial").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"became full while fetching .*, what is there is kept"):
        here.download(target, no_progress)
