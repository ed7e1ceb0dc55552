"""The seal of a line: its number, and then the CRC-32 of the line without the checksum."""

from zlib import crc32

_FIELD = b',"crc":"'
_WIDTH = len(_FIELD) + len('00000000"}')


def sealed(line: str, number: int) -> bytes:
    """Return a line of JSON, an object, with its number and checksum as the last fields."""
    data = f'{line[:-1]},"line":{number}}}'.encode()
    return data[:-1] + b',"crc":"%08x"}\n' % crc32(data)


def opened(line: bytes) -> bytes:
    """Return a line without its checksum; raise ValueError if the checksum is wrong.

    Lines of earlier versions, and those rewritten by another program, have none.
    """
    line = line.rstrip()
    if line[-_WIDTH : len(_FIELD) - _WIDTH] != _FIELD:
        return line
    plain = line[:-_WIDTH] + b"}"
    if line[len(_FIELD) - _WIDTH :] != b'%08x"}' % crc32(plain):
        raise ValueError("its checksum is wrong")
    return plain
