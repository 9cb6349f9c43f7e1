"""The bytes of a file, unpacked; one place that says in a line what can be wrong with them."""

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

AGAIN = "Fetch it again; its owner is {owner}"
"""What to do about a file that is not whole."""
CHUNK = 2**22
LARGEST = 20 * 10**9
"""Bytes that a file may unpack to, unless its contract says `maxBytes`, …"""
SMALL = 10**9
GROWTH = 1000
"""… or, beyond a gigabyte, so many times its packed size: real tables do not shrink that far."""

_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # what begins and what ends a bzip2
FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".json": "json",
}
"""The format that a name's ending says."""
PACKINGS = (".gz", ".zst", ".bz2", ".xz", ".zip")
"""Endings that may follow, except that of Parquet, which packs itself."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Unreadable(Exception):  # noqa: N818 (said of a file)
    """A source that cannot be read; the text says which, and why.

    Attributes:
        then: What to do; `{owner}` stands for the signal's owner and `{contract}` for its file.
    """

    def __init__(self, what: str, then: str = AGAIN) -> None:
        super().__init__(what)
        self.then = then


@contextlib.contextmanager
def steady(path: Path, name: str) -> Iterator[None]:
    """Reads a file within; it has to be one, and to stay as it is.

    Raises:
        Unreadable: It is not there, no file, may not be read, or has changed meanwhile.
    """
    with readable_errors(name):
        before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        raise Unreadable(f"{name} cannot be read (it is not a regular file)")
    yield
    with readable_errors(name):
        after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Unreadable(f"{name} has changed while it was read")


@contextlib.contextmanager
def readable_errors(name: str) -> Iterator[None]:
    """Turns the errors of an operating system into one line on what is called by this name."""
    try:
        yield
    except OSError as error:
        raise Unreadable(f"{name} cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # as for a NUL in a path
        raise Unreadable(f"{name} cannot be read ({error})") from None


def read(path: Path, name: str, form: str, largest: int | None = None) -> bytes:
    """What is in a file, or in the one table of an archive.

    Args:
        path: The file.
        name: What messages call it.
        form: The format of the tables in a zip file.
        largest: How many bytes it may unpack to.

    Raises:
        Unreadable: It cannot be read, is cut off, or larger than it may be.
    """
    with steady(path, name), readable_errors(name):
        data = path.read_bytes()
    packing = _packing(data)
    if packing is None and path.suffix.lower() == ".zip":
        packing = "zip"
    if packing is None:
        return data
    bound = largest or min(LARGEST, max(SMALL, GROWTH * len(data)))
    try:
        return _UNPACK[packing](data, bound, form)
    except Unreadable as error:
        raise Unreadable(f"{name} {error}", error.then) from None
    except MemoryError:
        raise Unreadable(f"{name} does not fit into memory") from None
    except Exception as error:  # each library has errors of its own for bytes that are damaged
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise Unreadable(f"{name} is cut off or not a {packing} file ({reason})") from None


def is_marked(data: bytes) -> bool:
    """Whether a byte order mark says the encoding."""
    return any(data.startswith(mark) for mark, _ in _MARKS)


def utf8(data: bytes, encoding: str) -> bytes:
    """A text in UTF-8 without a byte order mark.

    Raises:
        ValueError: It is in another encoding; says so.
    """
    for mark, marked in _MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], marked
            break
    codec = codecs.lookup(encoding).name
    try:
        if codec == "utf-8":
            return data
        return data.decode(codec).encode()
    except UnicodeError:
        raise ValueError(f"is cut off or not {encoding.upper()}") from None


def _packing(data: bytes) -> str | None:
    for magic, packing in (
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),  # a text may begin so
        (b"\xfd7zXZ\0", "xz"),
        (b"PK\3\4", "zip"),
        (b"PK\5\6", "zip"),
    ):
        if data.startswith(magic) and (magic != b"BZh" or data[4:10] in _BLOCKS):
            return packing
    return None


def _streamed(stream: IO[bytes] | io.BufferedIOBase, bound: int) -> bytes:
    chunks = []
    size = 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        _check_size(size, bound)
        chunks.append(chunk)
    return b"".join(chunks)


def _check_size(size: int, bound: int) -> None:
    if size > bound:
        raise Unreadable(
            f"unpacks to more than {bound:,} bytes",
            "If that is right, write a larger maxBytes under its server's customProperties in "
            "{contract}; its owner is {owner}",
        )


def _gzip(data: bytes, bound: int, form: str) -> bytes:  # noqa: ARG001
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return _streamed(stream, bound)


def _zstd(data: bytes, bound: int, form: str) -> bytes:  # noqa: ARG001
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        return _streamed(stream, bound)


class _Members(io.RawIOBase):
    """One stream after another, as parallel packers write them.

    Python's own files end without a word at a second stream that is damaged.
    """

    def __init__(self, data: bytes, new: Callable[[], Any]) -> None:
        self._left, self._new, self._now = data, new, new()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        out = b""
        while not out:
            if self._now.eof:
                self._left = self._now.unused_data.lstrip(b"\0")  # xz pads with zeros
                if not self._left:
                    return 0
                self._now = self._new()
            elif self._now.needs_input and not self._left:
                raise EOFError("it ends within a stream")
            given = self._left if self._now.needs_input else b""
            self._left = b"" if given else self._left
            out = self._now.decompress(given, len(buffer))
        buffer[: len(out)] = out
        return len(out)


def _bzip2(data: bytes, bound: int, form: str) -> bytes:  # noqa: ARG001
    return _streamed(io.BufferedReader(_Members(data, bz2.BZ2Decompressor), CHUNK), bound)


def _xz(data: bytes, bound: int, form: str) -> bytes:  # noqa: ARG001
    return _streamed(io.BufferedReader(_Members(data, lzma.LZMADecompressor), CHUNK), bound)


def _zip(data: bytes, bound: int, form: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # macOS puts a shadow of each file beside it
        files = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        tables = [member for member in files if is_of(member.filename, form)]
        if len(tables) != 1:
            raise Unreadable(f"must hold one {form.upper()} and holds {len(tables)}")
        if tables[0].flag_bits & 1:
            raise Unreadable("is encrypted with a password", "Ask {owner} for one without")
        _check_size(tables[0].file_size, bound)  # not more is read than the archive says
        return archive.read(tables[0])


_UNPACK = {"gzip": _gzip, "zstd": _zstd, "bzip2": _bzip2, "xz": _xz, "zip": _zip}


def format_of(name: str) -> str | None:
    """The format that a file's name says."""
    path = PurePosixPath(name.lower())
    if path.suffix in PACKINGS:
        return FORMATS.get(path.with_suffix("").suffix, "csv")
    return FORMATS.get(path.suffix)


def is_of(name: str, form: str) -> bool:
    """Whether a file is of a format, by its name."""
    actual = format_of(name)
    return actual == form or {actual, form} == {"json", "jsonl"}
