"""Random changes of a valid input: of its bytes, its lines and words, its structure."""
import copy
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import yaml

MOST_BYTES = 1 << 20        # an input is not made longer than this
NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD = re.compile(rb"[A-Za-z_][A-Za-z_0-9]*")

INTEGERS = (0, 1, -1, 2, 3, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -2**31, 2**32, 2**53, 2**63 - 1, 2**63, -2**63,
            2**64, 10**9, 10**12, 10**30, 10**308)
NUMBERS = (*map(str, INTEGERS), "0.5", "-0.0", "1e-400", "1e38", "1e39", "1e300", "1e308", "1e309", "-1e309", "nan",
           "inf", "-inf", "NaN", "Infinity", ".", "", "-", "+5", "1_000", "0x10", "1e", "1e5", "007", "²", "٣", "½",
           "1,2", "1 2", "1.5.2", "9" * 400, "9" * 4300, "9" * 4301, "0." + "0" * 5000 + "1", "1e99999999999", "true",
           "null")
PIECES = (b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n", b"\x0b", b"\x0c", b"\x1b[31m",
          b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xf0\x9f\x90\x88", b"\x80", b" ", b"\t", b"=", b",",
          b":", b";", b"#", b"[", b"]", b"{", b"}", b"<", b">", b"&", b"*", b"!", b"%", b"@", b"'", b'"', b"\\", b"/",
          b"..", b"../", b"-", b"|", b"`", b"$", b"~", b"?", b"\x1a", b"\x7f", b"%s", b"{0}", b"//", b"\\x",
          b"__class__")
VALUES: tuple[Any, ...] = (None, True, False, [], {}, "", [[]], [None], {"": None}, "a", "..", "/", "\0", "\ud800",
                           "a\nb", "x" * 300, "x" * 5000, 1.5, -1.5, 1e300, float("nan"), float("inf"), *INTEGERS, "1",
                           "1e309", [1, 2], [1, 2, 3, 4], {"id": 1}, {"a": {"a": {}}})


def spot(rng: random.Random, data: bytes) -> int:
    return rng.randrange(len(data) + 1)


# --- bytes -----------------------------------------------------------------------------------------------------

def change_byte(rng: random.Random, data: bytes) -> bytes:
    at = spot(rng, data)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]


def flip_bit(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]


def insert_piece(rng: random.Random, data: bytes) -> bytes:
    at = spot(rng, data)
    return data[:at] + rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 5, 300)) + data[at:]


def delete_range(rng: random.Random, data: bytes) -> bytes:
    at = spot(rng, data)
    return data[:at] + data[at + rng.choice((1, 1, 2, 4, 8, 50, 1000)):]


def copy_range(rng: random.Random, data: bytes) -> bytes:
    at, to, size = spot(rng, data), spot(rng, data), rng.choice((1, 4, 16, 100, 2000))
    return data[:to] + data[at:at + size] * rng.choice((1, 1, 2, 20)) + data[to:]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[:spot(rng, data)]


def extend(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice((bytes(1), bytes(4), b"\xff" * 4, data[:50], rng.randbytes(100), bytes(5000)))


def change_field(rng: random.Random, data: bytes) -> bytes:
    """Overwrite 1, 2, 4 or 8 bytes with an extreme integer, or 4 with an extreme float."""
    at = spot(rng, data)
    if rng.random() < .2:
        field = struct.pack("<f", rng.choice((float("nan"), float("inf"), -1e38, 1e-40, 0, 1e10)))
    else:
        code = rng.choice("bhiq")
        size = struct.calcsize("<" + code)
        value = rng.choice(INTEGERS) % (1 << 8 * size)
        field = value.to_bytes(size, rng.choice(("little", "big")))
    return data[:at] + field + data[at + len(field):]


BYTES = (change_byte, change_byte, flip_bit, insert_piece, delete_range, copy_range, truncate, extend, change_field)


# --- texts -----------------------------------------------------------------------------------------------------

def change_number(rng: random.Random, data: bytes) -> bytes:
    return _replace(rng, data, NUMBER, lambda: rng.choice(NUMBERS).encode())


def change_word(rng: random.Random, data: bytes) -> bytes:
    words = WORD.findall(data) or [b"x"]
    return _replace(rng, data, WORD, lambda: rng.choice((rng.choice(words), rng.choice(words), b"", b"x" * 300,
                                                         b"\xd0\x96", rng.choice(NUMBERS).encode())))


def _replace(rng: random.Random, data: bytes, pattern: re.Pattern[bytes], new: Callable[[], bytes]) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data
    match = rng.choice(found)
    return data[:match.start()] + new() + data[match.end():]


def change_lines(rng: random.Random, data: bytes) -> bytes:
    """Delete, duplicate, move or repeat lines."""
    lines = data.split(b"\n")
    a, b = sorted((rng.randrange(len(lines)), rng.randrange(len(lines))))
    what = rng.randrange(6)
    if what == 0:
        del lines[a:a + rng.choice((1, 1, 2, 5))]
    elif what == 1:
        lines[b:b] = lines[a:a + rng.choice((1, 2, 5))]
    elif what == 2:
        lines[a], lines[b] = lines[b], lines[a]
    elif what == 3:
        rng.shuffle(lines)
    elif what == 4:
        lines[a:a] = lines[a:b + 1] * rng.choice((2, 10, 200))
    else:
        lines[a] = b" ".join((lines[a], lines[b]))
    return b"\n".join(lines)


def lengthen(rng: random.Random, data: bytes) -> bytes:
    """Repeat a piece of one line."""
    line = rng.choice(data.split(b"\n") or [b""])
    piece = rng.choice((line, *line.split()[:4], b",", b"1,", b" "))
    return data.replace(line, line + piece * rng.choice((2, 10, 1000)), 1)


def nest(rng: random.Random, data: bytes) -> bytes:
    """Put deep brackets, elements or anchors somewhere."""
    deep = rng.choice((2, 50, 1200, 5000))
    left, right = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"- ", b""), (b"{a: ", b"}"),
                              (b"(", b")"), (b"&a [*a, ", b"]"), (b"<![CDATA[", b"]]>")))
    at = spot(rng, data)
    return data[:at] + left * deep + rng.choice((b"1", b"", b"x")) + right * deep + data[at:]


TEXT = (change_number, change_number, change_number, change_word, change_word, change_lines, change_lines, lengthen,
        nest, *BYTES[:7])


# --- trees: JSON and YAML --------------------------------------------------------------------------------------

def change_tree(rng: random.Random, value: Any) -> Any:
    """A parsed document with one node replaced, removed, repeated, moved or wrapped."""
    places: list[tuple[Any, Any]] = []
    _places(value, places)
    if not places or rng.random() < .02:
        return copy.deepcopy(rng.choice(VALUES))
    node, key = rng.choice(places)
    what = rng.randrange(8)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, list):
        node[key:key] = [node[key]] * rng.choice((1, 2, 100))
    elif what == 2:
        node[key] = [node[key]]
    elif what == 3:
        other, at = rng.choice(places)
        node[key] = json.loads(json.dumps(other[at])) if _is_in(other, at) else None
    elif what == 4 and isinstance(node, dict):
        node[rng.choice(("", "id", "name", "0", str(key) + "x", "x" * 300))] = node.pop(key)
    elif what == 5:
        node[key] = str(node[key])[:10_000]
    else:
        node[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def _is_in(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else key < len(node)


def _places(value: Any, found: list[tuple[Any, Any]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found.append((value, key))
        _places(inner, found)


def json_tree(rng: random.Random, data: bytes) -> bytes:
    return _tree(rng, data, json.loads, lambda value: json.dumps(value))


def yaml_tree(rng: random.Random, data: bytes) -> bytes:
    return _tree(rng, data, yaml.safe_load, lambda value: yaml.safe_dump(value, sort_keys=False))


def _tree(rng: random.Random, data: bytes, load: Callable[[bytes], Any], dump: Callable[[Any], str]) -> bytes:
    try:
        value = load(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            value = change_tree(rng, value)
        return dump(value).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, RecursionError, OverflowError, yaml.YAMLError, LookupError):     # not readable
        return change_number(rng, data)


# --- binary files with checksums -------------------------------------------------------------------------------

def archive(rng: random.Random, data: bytes) -> bytes:
    """Change a member of a zip archive and write it anew, with the right checksums."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(name, old.read(name)) for name in old.namelist()]
    except (OSError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile, EOFError):
        return change_byte(rng, data)
    if not members:
        return data
    at = rng.randrange(len(members))
    name, content = members[at]
    what = rng.randrange(8)
    if what == 0:
        members.pop(at)
    elif what == 1:
        members[at] = (rng.choice(("x", "../x.npy", "/x.npy", "", "x" * 300, members[0][0])), content)
    elif what == 2:
        members[at] = (name, members[0][1])
    elif what < 5:      # the header of a .npy is text
        members[at] = (name, content[:10] + rng.choice(TEXT)(rng, content[10:128]) + content[128:])
    else:
        members[at] = (name, rng.choice(BYTES)(rng, content))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for name, content in dict(members).items():
            new.writestr(name.replace("\0", "") or "x", content)
    return buffer.getvalue()


def png_chunk(rng: random.Random, data: bytes) -> bytes:
    """Change a chunk of a PNG, with the right checksum."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size, = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4:at + 8], data[at + 8:at + 8 + size]))
        at += 12 + size
    if not data.startswith(b"\x89PNG") or not chunks:
        return change_byte(rng, data)
    k = rng.randrange(len(chunks))
    chunks[k] = (chunks[k][0], rng.choice((change_field, change_byte, truncate, extend))(rng, chunks[k][1]))
    if rng.random() < .2:
        chunks.insert(rng.randrange(len(chunks)), chunks[rng.randrange(len(chunks))])
    return data[:8] + b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
                               for name, body in chunks)


MUTATIONS: dict[str, Sequence[Callable[[random.Random, bytes], bytes]]] = {
    "text": TEXT,
    "json": (json_tree, json_tree, json_tree, json_tree, *TEXT),
    "yaml": (yaml_tree, yaml_tree, yaml_tree, yaml_tree, *TEXT),
    "binary": BYTES,
    "zip": (archive, archive, archive, *BYTES),
    "image": (png_chunk, png_chunk, *BYTES),
}


def mutate(rng: random.Random, seeds: Sequence[bytes], kind: str) -> bytes:
    """One of the seeds after one to eight changes; now and then spliced with another one."""
    data = rng.choice(seeds)
    if rng.random() < .05:
        other = rng.choice(seeds)
        data = data[:spot(rng, data)] + other[spot(rng, other):]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        data = rng.choice(MUTATIONS[kind])(rng, data)[:MOST_BYTES]
    return data
