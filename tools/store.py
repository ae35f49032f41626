"""The content-addressed store: one file per artifact, named by its sha256.

Files appear whole or not at all (written aside, then renamed) and are checked whenever they are
read. They are not fsynced one by one: after a power loss the last ones may be missing, which
reading, `verify` and `resume` notice by their digest.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from hopline.tools.artifact import EXTENSIONS, Artifact
from hopline.tools.errors import NotFound, ResourceExceeded, StoreCorrupt
from hopline.tools.home import MEBIBYTE, limits, setting


class Store:
    """Artifacts on disk under `folder`, made on first use.

    Args:
        folder: where the files lie, two levels deep by the first two digits of the id.
        quota_mib: most mebibytes it may hold; the limit `disk_quota_mib` by default.
    """

    def __init__(self, folder: Path, *, quota_mib: float | None = None) -> None:
        self.folder = folder
        self._quota_bytes = (quota_mib if quota_mib is not None else limits().disk_quota_mib) * MEBIBYTE
        self._size_bytes: int | None = None
        self._made: set[str] = set()

    def path(self, artifact_id: str, media_type: str) -> Path:
        """Where the bytes lie, or would lie."""
        return self.folder / artifact_id[:2] / f"{artifact_id}{EXTENSIONS.get(media_type, '.bin')}"

    def has(self, artifact_id: str, media_type: str) -> bool:
        """There is a file for it; its digest is checked when it is read."""
        return self.path(artifact_id, media_type).is_file()

    def put(self, artifact: Artifact) -> Path:
        """Store an artifact; storing it again changes nothing.

        Raises:
            ResourceExceeded: the disk is full or the quota is reached.
        """
        path = self.path(artifact.id, artifact.media_type)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)  # young again, so that nobody collects it before its use is written down
            return path
        if self.size_bytes + len(artifact.data) > self._quota_bytes:
            raise ResourceExceeded(
                f"the artifact store would pass its quota of {self._quota_bytes / MEBIBYTE:.0f} MiB.",
                hint=f"Remove runs with: hopline prune, or raise {setting('disk_quota_mib')}.",
            )
        aside = path.with_name(f".{artifact.id[:16]}-{secrets.token_hex(4)}")
        try:
            if artifact.id[:2] not in self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made.add(artifact.id[:2])
            with open(aside, "wb", buffering=0) as file:
                _write_all(file.fileno(), artifact.data)
            os.replace(aside, path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
            raise ResourceExceeded(f"could not store an artifact of {len(artifact.data)} bytes: {why}.") from error
        self._size_bytes = self.size_bytes + len(artifact.data)
        return path

    def get(self, artifact_id: str, modality: str, media_type: str) -> Artifact:
        """The artifact of that id.

        Raises:
            NotFound: no file.
            StoreCorrupt: the file's bytes are not those of its name.
        """
        path = self.path(artifact_id, media_type)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"artifact {artifact_id[:12]} is not in the store.") from None
        artifact = Artifact(data=data, modality=modality, media_type=media_type)
        if artifact.id != artifact_id:
            raise StoreCorrupt(f"{path.name} does not hold the bytes it is named after.")
        return artifact

    def check(self, artifact_id: str, media_type: str) -> str:
        """Hash the file again; empty when right, otherwise what is wrong."""
        path = self.path(artifact_id, media_type)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return f"artifact {artifact_id[:12]} is not in the store"
        return "" if digest == artifact_id else f"{path.name} does not hold the bytes it is named after"

    @property
    def size_bytes(self) -> int:
        """Bytes of all artifacts; counted on disk once, then kept up to date."""
        if self._size_bytes is None:
            self._size_bytes = sum(path.stat().st_size for path in self._files())
        return self._size_bytes

    def keep_only(self, used: set[tuple[str, str]], *, older_than_s: float) -> int:
        """Remove all files but those of the given (id, media type) and those changed since a time.

        Args:
            used: what must stay.
            older_than_s: seconds since the epoch; younger files stay.

        Returns:
            Bytes that became free.
        """
        keep = {self.path(*pair) for pair in used}
        freed = 0
        for path in self._files():
            status = path.stat()
            if path not in keep and status.st_mtime <= older_than_s:
                path.unlink(missing_ok=True)
                freed += status.st_size
        self._size_bytes = None
        return freed

    def sweep(self) -> int:
        """Remove what writes cut short have left behind.

        Returns:
            Number of files removed.
        """
        left = list(self.folder.glob("*/.*"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("*/*") if not path.name.startswith("."))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
