"""The Hugging Face hub: which file of a repository to take, and bringing it into the shared cache, resumed, verified.

It chooses no model and asks nobody; a file enters the cache only after its sha256 was found right.

huggingface_hub's own ``hf_hub_download`` (seen in 2.4) drops a partial file when the program ends, and checks no hash.
So the bytes are collected here, and the library is then asked to link the finished blob.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO, cast

from agent.errors import DownloadError
from agent.models import hub_library
from agent.models.catalog import HubSource
from agent.models.disk import disk_full, only_one, require_space, size_text
from agent.models.file_names import pick_name
from agent.models.hub_library import HubUnreachable, NotOnHub, RemoteFile
from agent.models.places import Places
from agent.models.progress import Meter, ProgressCallback
from agent.models.verify import sha256_of, write_stamp

FRUITLESS_ATTEMPTS = 2  # connections in a row that bring nothing; the library tries each several times itself


class Hub:
    """A client of one hub endpoint and one cache folder."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def reachable(self, repo: str) -> bool:
        """Whether the hub answers at all, whatever it says of ``repo``; takes 5 seconds at most."""
        try:
            hub_library.list_files(self._places, repo)
        except HubUnreachable:
            return False
        except DownloadError:
            return True
        return True

    def pick(self, source: HubSource) -> tuple[RemoteFile, RemoteFile | None]:
        """The target and, where there is one, the drafter that a source offers now.

        Raises HubUnreachable, NotOnHub, or Gated.
        """
        listing = hub_library.list_files(self._places, source.repo)
        target = _pick(listing, source.target, leave_out=source.drafter)
        if target is None:
            raise NotOnHub(f"The hub's repository {source.repo} holds no file like {source.target[0]}.")
        return target, _pick(listing, source.drafter)

    def download(self, remote: RemoteFile, progress: ProgressCallback) -> Path:
        """Bring one file into the cache, going on where an earlier download stopped, and return its path.

        Raises DownloadError (wrong hash, truncated, disk full), HubUnreachable when the connection does not last.
        """
        folder = self._places.hub_cache / ("models--" + remote.repo.replace("/", "--")) / "blobs"
        blob = folder / remote.sha256
        try:
            if not blob.exists():
                folder.mkdir(parents=True, exist_ok=True)
                partial = folder / f"{remote.sha256}.{hub_library.AGENT_NAME}-partial"
                with partial.open("ab") as file, only_one(file, remote.name):
                    self._collect(remote, file, progress)
                    _verify(remote, partial, progress)
                    partial.replace(blob)
            path = hub_library.link_blob(self._places, remote)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(folder, remote.name) from None
            reason = error.strerror or error
            raise DownloadError(f"{remote.name} cannot be written to {folder} ({reason}).") from None
        write_stamp(path, remote.sha256)
        return path

    def _collect(self, remote: RemoteFile, file: BinaryIO, progress: ProgressCallback) -> None:
        """Append to ``file`` until it is complete; a connection may break any number of times while bytes arrive."""
        meter = Meter(remote.name, remote.size, progress)
        if file.tell() > remote.size:
            file.truncate(0)
        require_space(Path(file.name).parent, remote.size - file.tell(), remote.name)
        fruitless = 0
        while (start := file.tell()) < remote.size:
            failure = self._attempt(remote, file, meter)
            if failure is None:
                break
            fruitless = 0 if file.tell() > start else fruitless + 1
            if fruitless >= FRUITLESS_ATTEMPTS:
                raise HubUnreachable(
                    f"The connection to the hub broke while fetching {remote.name} ({size_text(file.tell())} of "
                    f"{size_text(remote.size)} are kept: {failure}); run the same command again to go on."
                )
        meter.update(file.tell())

    def _attempt(self, remote: RemoteFile, file: BinaryIO, meter: Meter) -> str | None:
        """One connection; None when it brought the rest, else why it ended."""
        try:
            hub_library.append_content(self._places, remote, cast("BinaryIO", _Counted(file, meter)))
        except HubUnreachable as error:
            return str(error)
        except OSError as error:
            if error.errno is not None:  # the disk's own; the library's complaint about a short answer has no number
                raise
            return "the answer ended early"
        finally:
            file.flush()
        return None


def _pick(
    listing: tuple[RemoteFile, ...], patterns: tuple[str, ...], leave_out: tuple[str, ...] = ()
) -> RemoteFile | None:
    files = {item.name: item for item in sorted(listing, key=lambda item: (item.name.count("/"), item.name))}
    name = pick_name(files, patterns, leave_out)
    return files[name] if name else None


class _Counted:
    """The file that the library writes to, telling the meter; only what the library's ``http_get`` uses."""

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._meter.update(self._file.tell())
        return written

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


def _verify(remote: RemoteFile, partial: Path, progress: ProgressCallback) -> None:
    size = partial.stat().st_size
    if size == remote.size and sha256_of(partial, progress) == remote.sha256:
        return
    partial.unlink()
    what = f"has {size:,} bytes instead of {remote.size:,}" if size != remote.size else "has the wrong sha256"
    raise DownloadError(f"{remote.name} as fetched from the hub {what}; it was removed, fetch it again.")
