"""What differs between systems: locking a file, and syncing a new file name to disk."""

import errno
import os
import sys
from io import FileIO
from pathlib import Path

__all__ = ["lock", "sync_folder", "unlock"]

# The file system cannot sync a folder, or this process may not read the folder.
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}

if sys.platform == "win32":
    import msvcrt

    # A byte far beyond the end is locked, so that other processes can still read the file.
    _LOCKED_BYTE = 2**62

    def lock(file: FileIO) -> None:
        """Lock a file for this process, or raise `BlockingIOError`."""
        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error

    def unlock(file: FileIO) -> None:
        """Release a file that was locked."""
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

    def sync_folder(_: Path) -> bool:
        """Do nothing: Windows cannot sync a folder, and does not need to."""
        return True

else:
    import fcntl

    def lock(file: FileIO) -> None:
        """Lock a file for this process, or raise `BlockingIOError`."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(file: FileIO) -> None:
        """Release a file that was locked, also in processes that were forked meanwhile."""
        fcntl.flock(file, fcntl.LOCK_UN)

    def sync_folder(folder: Path) -> bool:
        """Sync the names in a folder to disk; return whether that is possible."""
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED | _NOT_ALLOWED:
                raise
            return False
        return True
