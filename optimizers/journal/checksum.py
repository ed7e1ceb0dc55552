"""What seals a line: its number, and then CRC-32 of the line as it is without that."""

from zlib import crc32

_FIELD = b',"crc":"'
_WIDTH = len(_FIELD) + len('00000000"}')


def sealed(line: str, number: int) -> bytes:
    """Return a line of JSON, an object, with its number and checksum as the last fields."""
    data = f'{line[:-1]},"line":{number}}}'.encode()
    return data[:-1] + b',"crc":"%08x"}\n' % crc32(data)


def opened(line: bytes) -> bytes:
    """Return a line without its checksum; raise ValueError if it is that of another line.

    Lines of earlier versions have none, nor have those that another program wrote out again.
    """
    line = line.rstrip()
    if line[-_WIDTH : len(_FIELD) - _WIDTH] != _FIELD:
        return line
    plain = line[:-_WIDTH] + b"}"
    if line[len(_FIELD) - _WIDTH :] != b'%08x"}' % crc32(plain):
        raise ValueError("its checksum is that of another line")
    return plain
