"""The files of an import: a file, a folder, a zip; plain, `.gz` or `.xz`. Bombs are refused while they unfold."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from changemgmt.core.errors import Invalid

from .records import File

LARGEST = 1024 * 1024 * 1024
MOST_FILES = 5000
PACKED = (".gz", ".xz")


class Limited(io.RawIOBase):
    """A stream that ends in Invalid once more than `limit` bytes came out of it, or when what is packed is damaged."""

    def __init__(self, stream: IO[bytes] | io.BufferedIOBase, name: str, limit: int = LARGEST) -> None:
        self.stream, self.name_shown, self.left = stream, name, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self.stream.read(min(len(buffer), 1 << 20))
        # zipfile says NotImplementedError of a packing it does not know, and RuntimeError of a password.
        except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise Invalid.field("file", f"{self.name_shown} can't be unpacked: {error}.") from None
        self.left -= len(piece)
        if self.left < 0:
            raise Invalid.field("file", f"{self.name_shown} unfolds to more than {LARGEST // 1024**2} MB.")
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.stream.close()
        super().close()


def unpacked(name: str, open_raw: Callable[[], IO[bytes]], size: int = 0) -> File:
    """A file as its content: `.gz` and `.xz` are unpacked as they are read."""

    def opened() -> IO[bytes]:
        raw = open_raw()
        if name.endswith(".gz"):
            return io.BufferedReader(Limited(gzip.GzipFile(fileobj=raw), name))
        if name.endswith(".xz"):
            return io.BufferedReader(Limited(lzma.LZMAFile(raw), name))
        return io.BufferedReader(Limited(raw, name))

    plain = name
    for ending in PACKED:
        plain = plain.removesuffix(ending)
    return File(plain, opened, size)


def of_path(path: Path) -> list[File]:
    """The files of a path: itself, what a zip holds, or everything below a folder, in name order."""
    if not path.exists():
        raise Invalid.field("file", f"There is no file {path.name!r}.")
    if path.is_dir():
        inside = sorted(inner for inner in path.rglob("*") if inner.is_file())[:MOST_FILES]
        return [unpacked(str(inner.relative_to(path)), partial(open_binary, inner), inner.stat().st_size) for inner in inside]
    if path.suffix == ".zip":
        return of_zip(path.name, partial(open_binary, path))
    return [unpacked(path.name, partial(open_binary, path), path.stat().st_size)]


def open_binary(path: Path) -> IO[bytes]:
    return path.open("rb")


def of_upload(upload: Any) -> list[File]:
    """The files of an uploaded one: itself, or what it holds when it is a zip."""
    name = PurePosixPath(str(upload.name).replace("\\", "/")).name

    def opened() -> IO[bytes]:
        upload.open()
        upload.seek(0)
        return cast(IO[bytes], Kept(upload))

    return of_zip(name, opened) if name.endswith(".zip") else [unpacked(name, opened, upload.size)]


class Kept(io.RawIOBase):
    """An upload that stays open for the next reader when this one is done."""

    def __init__(self, upload: Any) -> None:
        self.upload = upload

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.upload.read(size) if size >= 0 else self.upload.read()

    def readinto(self, buffer: Any) -> int:
        piece = self.upload.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.upload.seek(offset, whence) or self.upload.tell()

    def tell(self) -> int:
        return self.upload.tell()


def of_zip(name: str, open_raw: Callable[[], IO[bytes]]) -> list[File]:
    """What a zip holds. Nothing is written to disk, so a path in it can't lead anywhere."""
    try:
        archive = zipfile.ZipFile(open_raw())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Invalid.field("file", f"{name} is no zip file: {error}.") from None
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MOST_FILES:
        raise Invalid.field("file", f"{name} holds {len(members)} files; at most {MOST_FILES} are read.")
    if sum(member.file_size for member in members) > LARGEST:
        raise Invalid.field("file", f"{name} unfolds to more than {LARGEST // 1024**2} MB.")
    if any(member.flag_bits & 1 for member in members):
        raise Invalid.field("file", f"{name} is encrypted.")
    return [unpacked(member.filename, partial(archive.open, member), member.file_size) for member in members]


def text_of(file: File, largest: int) -> str:
    """The whole file as text, or Invalid where it is larger than that many bytes or stops being text."""
    with file.open() as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise Invalid.field("file", f"{file.name} is larger than {largest // 1024**2} MB, which is the most that is read of this format; split it.")
    return decoded(content, file.name)


def decoded(content: bytes, name: str) -> str:
    """UTF-8, or the UTF-16 some shells write, which its first two bytes tell. Invalid with the line where it stops being that."""
    encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise Invalid.field("file", f"{name} is not {'UTF-16, as it begins' if encoding == 'utf-16' else 'UTF-8'}: line {line}.") from None


def ending_in(files: Iterable[File], *endings: str) -> list[File]:
    """Those files whose name ends so."""
    return [file for file in files if file.name.lower().endswith(endings)]
