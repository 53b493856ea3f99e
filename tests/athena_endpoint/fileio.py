"""pyiceberg's way to files, over the endpoint's own objects: no HTTP, so no scripted fault meets it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.typedef import EMPTY_DICT, Properties

from tests.athena_endpoint.storage import Storage

if TYPE_CHECKING:
    from types import TracebackType


class _Written(BytesIO):
    def __init__(self, storage: Storage, location: str) -> None:
        super().__init__()
        self._storage = storage
        self._location = location

    def close(self) -> None:
        if not self.closed:
            self._storage.write(self._location, self.getvalue())
        super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            super().close()


class StoredInput(InputFile):
    """An object to be read."""

    def __init__(self, storage: Storage, location: str) -> None:
        super().__init__(location)
        self._storage = storage

    def __len__(self) -> int:
        return self._storage.size(self.location)

    def exists(self) -> bool:
        """Return whether the object exists."""
        return self._storage.exists(self.location)

    def open(self, seekable: bool = True) -> InputStream:
        """Return its content."""
        return BytesIO(self._storage.read(self.location))


class StoredOutput(OutputFile):
    """An object to be written."""

    def __init__(self, storage: Storage, location: str) -> None:
        super().__init__(location)
        self._storage = storage

    def __len__(self) -> int:
        return self._storage.size(self.location)

    def exists(self) -> bool:
        """Return whether the object exists."""
        return self._storage.exists(self.location)

    def to_input_file(self) -> InputFile:
        """Return the same object to be read."""
        return StoredInput(self._storage, self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Return a stream whose content becomes the object when it is closed."""
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        return _Written(self._storage, self.location)


class StoredFileIO(FileIO):
    """Files of the account in the property ``endpoint.account``."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._storage = Storage(properties["endpoint.account"])

    def new_input(self, location: str) -> InputFile:
        """Return an object to be read."""
        return StoredInput(self._storage, location)

    def new_output(self, location: str) -> OutputFile:
        """Return an object to be written."""
        return StoredOutput(self._storage, location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete an object."""
        self._storage.delete(location if isinstance(location, str) else location.location)
