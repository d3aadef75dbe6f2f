"""Suffixes of the picture files that are read; importing it costs nothing."""

EXTENSIONS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif"),
        *(".bmp", ".dib", ".tif", ".tiff", ".gif", ".jp2", ".j2k", ".jpx"),
    )
)
