"""What systems do differently: to lock a file, and to have the disk confirm a new name."""

import errno
import os
import sys
from io import FileIO
from pathlib import Path

__all__ = ["lock", "sync_folder", "unlock"]

# A file system that cannot sync a folder, and a folder that we are not allowed to read.
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}

if sys.platform == "win32":
    import msvcrt

    # A byte far behind the end: others may still read the file.
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
        """Do nothing: the system has no way to do it, and no need."""
        return True

else:
    import fcntl

    def lock(file: FileIO) -> None:
        """Lock a file for this process, or raise `BlockingIOError`."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(file: FileIO) -> None:
        """Release a file that was locked, also for processes that were forked meanwhile."""
        fcntl.flock(file, fcntl.LOCK_UN)

    def sync_folder(folder: Path) -> bool:
        """Have the names in a folder on disk; return whether that is possible."""
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
