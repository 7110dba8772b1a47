"""Where a campaign keeps its databases: it makes some hundred thousand commits, and its subject is not the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_MEMORY = Path("/dev/shm")  # Linux


@contextmanager
def in_memory() -> Iterator[Path]:
    """An empty folder, in memory where there is such a thing; gone afterwards."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)
