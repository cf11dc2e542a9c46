"""What kind of file some bytes are, by themselves: the sender's word could make a browser run his page."""

DOWNLOAD = "application/octet-stream"
# Beginnings, and the type of what begins so; each may be shown in a page of ours and runs nothing.
STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
RIFF_KINDS = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
SOUND_BRANDS = (b"M4A ", b"M4B ")
PICTURES = ("image/jpeg", "image/png")  # what WhatsApp takes as pictures


def of(content: bytes) -> str:
    """The media type of the bytes; DOWNLOAD for all that is not shown in pages, a PDF too."""
    if content[:4] == b"RIFF":
        return RIFF_KINDS.get(content[8:12], DOWNLOAD)
    if content[4:8] == b"ftyp":
        return "audio/mp4" if content[8:12] in SOUND_BRANDS else "video/mp4"
    return next((mime for start, mime in STARTS if content.startswith(start)), DOWNLOAD)
