"""S3: conditions on writes, which moto checks too early; its objects without HTTP; local copies for DuckDB."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import uuid
from collections import OrderedDict
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from moto.s3.models import FakeKey, S3Backend, s3_backends

from tests.athena_endpoint.failures import failed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_CACHE_BYTES = 2 * 1024**3
"""Local copies beyond this are deleted, those that were not used for longest first."""


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of an ``s3://`` location."""
    scheme, _, rest = uri.partition("://")
    if scheme not in {"s3", "s3a", "s3n"}:
        raise failed("NOT_SUPPORTED", f"not a location in S3: {uri}")
    bucket, _, key = rest.partition("/")
    return bucket, key


class OneWriterS3:
    """A WSGI application around moto's S3, where a write and the check of its condition are one step."""

    def __init__(self, moto: WSGIApplication) -> None:
        self._moto = moto
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a call."""
        if environ["REQUEST_METHOD"] not in {"PUT", "POST", "DELETE"}:
            return self._moto(environ, start)
        with self._lock:
            return list(self._moto(environ, start))


class Storage:
    """The buckets of an account, and those that others let it see: moto checks no permission."""

    def __init__(self, account: str) -> None:
        self._account = account

    @property
    def _backend(self) -> S3Backend:
        return s3_backends[self._account]["aws"]

    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists, in any account."""
        return bucket in s3_backends.bucket_accounts

    def _key(self, uri: str) -> FakeKey | None:
        bucket, key = split(uri)
        if not self.has_bucket(bucket):
            return None
        return self._backend.get_object(bucket, key)

    def exists(self, uri: str) -> bool:
        """Return whether an object exists."""
        return self._key(uri) is not None

    def etag(self, uri: str) -> str:
        """Return the ETag of an object, which changes with its content."""
        found = self._key(uri)
        if found is None:
            raise FileNotFoundError(uri)
        return str(found.etag)

    def size(self, uri: str) -> int:
        """Return the bytes of an object."""
        found = self._key(uri)
        if found is None:
            raise FileNotFoundError(uri)
        return int(found.size)

    def modified(self, uri: str) -> float:
        """Return when an object was written, in seconds since 1970."""
        found = self._key(uri)
        if found is None:
            raise FileNotFoundError(uri)
        return found.last_modified.replace(tzinfo=UTC).timestamp()

    def read(self, uri: str) -> bytes:
        """Return an object."""
        found = self._key(uri)
        if found is None:
            raise FileNotFoundError(uri)
        return bytes(found.value)

    def write(self, uri: str, data: bytes) -> None:
        """Write an object.

        Raises:
            StatementError: If there is no such bucket.
        """
        bucket, key = split(uri)
        if not self.has_bucket(bucket):
            raise failed("PERMISSION_DENIED", f"The specified bucket does not exist: {bucket}")
        self._backend.put_object(bucket, key, data)

    def delete(self, uri: str) -> None:
        """Delete an object, if it is there."""
        bucket, key = split(uri)
        if self.has_bucket(bucket):
            self._backend.delete_object(bucket, key)

    def below(self, uri: str) -> list[tuple[str, int]]:
        """Return location and size of every object below a prefix, in their order."""
        bucket, prefix = split(uri)
        if not self.has_bucket(bucket):
            return []
        backend = self._backend
        keys, *_ = backend.list_objects(backend.get_bucket(bucket), prefix, None, None, None)
        return [(f"s3://{bucket}/{key.name}", int(key.size)) for key in keys]


class Copies:
    """Local copies of objects, shared by all accounts of a server; an object is known by its ETag."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="athena-endpoint-"))
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._readers: dict[Path, int] = {}
        self._lock = threading.Lock()

    def _place(self, storage: Storage, uri: str) -> Path:
        name = hashlib.sha256(f"{uri}\n{storage.etag(uri)}".encode()).hexdigest()[:32]
        return self.folder / name

    def upload(self, storage: Storage, path: Path, uri: str) -> None:
        """Move a file into S3, and keep it as the local copy."""
        data = path.read_bytes()
        storage.write(uri, data)
        place = self._place(storage, uri)
        path.rename(place)
        self._used(place, len(data))

    def take(self, storage: Storage, uri: str) -> Path:
        """Return a local copy of an object, which stays until :meth:`release`."""
        place = self._place(storage, uri)
        with self._lock:
            self._readers[place] = self._readers.get(place, 0) + 1
        if not place.exists():
            partial = self.folder / f"{place.name}.{uuid.uuid4().hex}"
            partial.write_bytes(storage.read(uri))
            partial.rename(place)
        self._used(place, place.stat().st_size)
        return place

    def release(self, path: Path) -> None:
        """Let go of a local copy."""
        with self._lock:
            self._readers[path] -= 1
            if not self._readers[path]:
                del self._readers[path]

    def scratch(self) -> Path:
        """Return a new folder for what a statement writes."""
        return Path(tempfile.mkdtemp(dir=self.folder, prefix="scratch-"))

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _used(self, path: Path, size: int) -> None:
        with self._lock:
            self._sizes[path] = size
            self._sizes.move_to_end(path)
            total = sum(self._sizes.values())
            for old in list(self._sizes):
                if total <= _CACHE_BYTES:
                    break
                if old != path and old not in self._readers:
                    total -= self._sizes.pop(old)
                    old.unlink(missing_ok=True)
