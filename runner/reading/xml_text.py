"""XML without entities of its own, in the encodings that text is written in."""
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from runner.errors import DataError, RunnerError
from runner.reading.numbers import shown
from runner.reading.text import BOMS, NAMES, Path_, decode, name_of, read_bytes

DEPTH = 100
DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([^"'<>]*)["']""")
ENCODINGS = {"utf-8", "utf8", "us-ascii", "ascii", "latin1", "latin-1", "gb2312", "gbk", "gb18030", "big5", "shift_jis",
             "shift-jis", "sjis", "euc-jp", "euc-kr", "koi8-r", "cp1252", "utf-16",
             *(f"iso-8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)),
             *(f"windows-{page}" for page in range(1250, 1259))}


def parse_xml(content: bytes, where: Path_, error: type[RunnerError] = DataError) -> Element:
    """The outermost element of an XML document.  `error` with the line where it is not XML."""
    name = name_of(where)
    text = _decoded(content, where, error)
    if "<!ENTITY" in text:
        line = text.count("\n", 0, text.index("<!ENTITY")) + 1
        raise error(f"{name}:{line}: this XML declares entities, which are not read")
    parser = ElementTree.XMLParser()
    try:
        parser.feed(text)
        root = parser.close()
    except ElementTree.ParseError as problem:
        raise error(f"{name}:{problem.position[0]}: this is not XML ({problem})") from None
    except (ValueError, MemoryError, RecursionError) as problem:
        raise error(f"{name}: this is not XML ({problem})") from None
    level, below = [root], 0
    while level:
        below += 1
        if below > DEPTH:
            raise error(f"{name}: this XML has more than {DEPTH} elements in each other")
        level = [child for element in level for child in element]
    return root


def read_xml(path: Path_, error: type[RunnerError] = DataError) -> Element:
    """The outermost element of an XML file."""
    return parse_xml(read_bytes(path, error), path, error)


def _decoded(content: bytes, where: Path_, error: type[RunnerError]) -> str:
    """The text of an XML document, by its byte order mark, or by the encoding it declares, else UTF-8."""
    declared = DECLARED.match(content)
    if not declared or any(content.startswith(mark) for mark, _ in BOMS):
        return decode(content, where, error)
    encoding = declared[1].decode("latin-1").lower()
    if encoding not in ENCODINGS:
        raise error(f"{name_of(where)}:1: the encoding {shown(encoding)} of this XML is not known")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise error(f"{name_of(where)}:{line}: this is not text in {NAMES.get(encoding, encoding)}, the encoding that "
                    f"the XML declares: byte {problem.start} is 0x{content[problem.start]:02x}") from None
