"""Every fault in every call and every way to wait: `MATRIX.md` states what comes of each."""
