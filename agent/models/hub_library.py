"""huggingface_hub behind four typed functions whose failures are our own errors; imported only when the hub is needed.

It keeps no state and knows no model; ``agent.models.hub`` decides what to fetch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import huggingface_hub
from huggingface_hub import HfApi, errors, file_download
from huggingface_hub import utils as library_utils

from agent.errors import DownloadError
from agent.models.places import Places

ANSWER_SECONDS = 5.0  # how long the hub may take to say what a repository holds
AGENT_NAME = "gemma-agent"

T = TypeVar("T")

# The library's functions carry untyped parameters that we do not use.
_library = cast("Any", huggingface_hub)
_downloads = cast("Any", file_download)
_utils = cast("Any", library_utils)

# The root of the HTTP client's errors (httpx, later httpx2), from which the hub's own error class descends.
_TransportError = cast(
    "type[Exception]", next(base for base in errors.HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
)


class HubUnreachable(DownloadError):
    """The hub did not answer, or the connection broke; another source may do."""


class NotOnHub(DownloadError):
    """The repository, or a file of the wanted kind in it, is not there."""


class Gated(DownloadError):
    """The hub wants terms accepted or a token first."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub; ``sha256`` is what the hub reports for its content, ``size`` is in bytes."""

    repo: str
    name: str
    size: int
    sha256: str


def list_files(places: Places, repo: str) -> tuple[RemoteFile, ...]:
    """The large files of a repository; answers or gives up within ``ANSWER_SECONDS``.

    Raises HubUnreachable, NotOnHub, or Gated.
    """
    api = HfApi(endpoint=places.endpoint, token=places.token, library_name=AGENT_NAME)
    with translated(places, repo):
        info = _within(ANSWER_SECONDS, lambda: api.model_info(repo, files_metadata=True, timeout=ANSWER_SECONDS))
    return tuple(
        RemoteFile(repo, item.rfilename, item.lfs.size, item.lfs.sha256)
        for item in info.siblings or ()
        if item.lfs is not None
    )


def append_content(places: Places, remote: RemoteFile, file: BinaryIO) -> None:
    """Write what is missing of ``remote`` behind what ``file`` holds; raises OSError when the answer ends early."""
    _utils.logging.set_verbosity_error()
    _utils.disable_progress_bars("huggingface_hub.http_get")
    headers = _utils.build_hf_headers(token=places.token, library_name=AGENT_NAME)
    headers["Accept-Encoding"] = "identity"  # ranges count bytes of the file, not of a compressed answer
    with translated(places, remote.repo):
        _downloads.http_get(
            _library.hf_hub_url(remote.repo, remote.name, endpoint=places.endpoint),
            file,
            resume_size=file.tell(),
            headers=headers,
            expected_size=remote.size,
        )


def link_blob(places: Places, remote: RemoteFile) -> Path:
    """Let the library give a blob that is already in the cache its name there; fetches it when it is not."""
    with translated(places, remote.repo):
        path = _library.hf_hub_download(
            remote.repo,
            remote.name,
            cache_dir=places.hub_cache,
            endpoint=places.endpoint,
            token=places.token,
            library_name=AGENT_NAME,
        )
    return Path(cast("str", path))


@contextmanager
def translated(places: Places, repo: str) -> Generator[None]:
    """Whatever the library raises becomes one of our sentences; errors of the disk pass."""
    where = f"{places.endpoint}/{repo}"
    try:
        yield
    except errors.GatedRepoError:
        raise _gated(repo, where) from None
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
        if isinstance(error, errors.LocalEntryNotFoundError):  # what a failed connection looks like on download
            raise _unreachable(places) from None
        raise NotOnHub(f"The hub has no {repo}, or not the file that was asked for; look at {where}.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise _gated(repo, where) from None
        if status in (404, 410):
            raise NotOnHub(f"The hub has no {repo}; look at {where}.") from None
        raise HubUnreachable(f"The model hub answered with an error ({status}); try again later.") from None
    except (_TransportError, errors.OfflineModeIsEnabled, TimeoutError):
        raise _unreachable(places) from None
    except UnicodeEncodeError:
        raise DownloadError("HF_TOKEN holds characters that no token has; set it again, or unset it.") from None


def _gated(repo: str, where: str) -> Gated:
    return Gated(f"The hub does not give {repo} to everybody: accept its terms at {where} and set HF_TOKEN.")


def _unreachable(places: Places) -> HubUnreachable:
    return HubUnreachable(f"The model hub {places.endpoint} cannot be reached; check the network, or HF_ENDPOINT.")


def _within(seconds: float, function: Callable[[], T]) -> T:
    """The function's result; TimeoutError when it takes longer: a dead resolver ignores every other limit."""
    results: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True, name="hub-listing")
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise TimeoutError
    return results[0]
