"""Writes zip archives under the traditional encryption, as APPNOTE.TXT 6.1 describes it, for tests of reading them."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

_CRC = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ (0xEDB88320 if _value & 1 else 0)
    _CRC[_byte] = _value


class _Cipher:
    def __init__(self, password: bytes) -> None:
        self.keys = [0x12345678, 0x23456789, 0x34567890]
        for byte in password:
            self._update(byte)

    def _update(self, byte: int) -> None:
        a, b, c = self.keys
        a = (a >> 8) ^ _CRC[(a ^ byte) & 0xFF]
        b = ((b + (a & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        c = (c >> 8) ^ _CRC[(c ^ (b >> 24)) & 0xFF]
        self.keys = [a, b, c]

    def encrypt(self, plain: bytes) -> bytes:
        out = bytearray()
        for byte in plain:
            word = (self.keys[2] & 0xFFFF) | 2
            out.append(byte ^ (((word * (word ^ 1)) >> 8) & 0xFF))
            self._update(byte)
        return bytes(out)


def write_zip(
    path: Path, files: Mapping[str, bytes], password: str | None = None, *, method: int = 8, spoil_crc: bool = False
) -> Path:
    """An archive of these members, each deflated and, with a password, encrypted.

    ``method`` stands in the headers as the method of compression; ``spoil_crc`` stores another checksum than the content has.
    """
    body, directory = b"", b""
    for name, content in files.items():
        crc = zlib.crc32(content)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush()
        if password is not None:
            header = hashlib.sha256(name.encode()).digest()[:11] + bytes([crc >> 24])
            packed = _Cipher(password.encode()).encrypt(header + packed)
        stored_crc = crc ^ 0x00FF00 if spoil_crc else crc
        common = struct.pack(
            "<HHHHHIIIHH", 20, int(password is not None), method, 0, 0x21, stored_crc, len(packed), len(content), len(name), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\x03\x04" + common + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(directory), len(body), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path
