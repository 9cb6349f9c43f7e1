"""JSON files: records in a list become records in lines, character by character as they were."""

import json

_SPACE = " \t\r\n"


def as_lines(data: bytes) -> bytes:
    """JSON lines of the same records; JSON lines are what they were.

    Raises:
        ValueError: It begins as a list of records and is cut off, or no JSON, or one object.
    """
    if not data[:1000].lstrip().startswith(b"["):
        _check_no_object(data)
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    lines: list[str] = []
    place = _after(text, text.index("[") + 1)
    while not text.startswith("]", place):
        if lines:
            if not text.startswith(",", place):
                raise ValueError(f"is cut off or invalid JSON after record {len(lines)}")
            place = _after(text, place + 1)
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise ValueError(f"is cut off or invalid JSON after record {len(lines)}") from None
        # a line break within a text is written as \\n, so these are between its values
        lines.append(text[place:end].replace("\n", " ").replace("\r", " "))
        place = _after(text, end)
    if text[place + 1 :].strip():
        raise ValueError(f"is invalid JSON after record {len(lines)}")
    return "\n".join(lines).encode()


def _check_no_object(data: bytes) -> None:
    """Raises a ValueError for one object that goes over several lines."""
    first, _, rest = data.strip().partition(b"\n")
    if not rest or first.rstrip().endswith(b"}") or not first.startswith(b"{"):
        return
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return
    lists = [name for name, value in whole.items() if isinstance(value, list)]
    under = f", such as what it has at '{lists[0][:60]}'" if lists else ""
    raise ValueError(f"is one JSON object; write a list of rows, or a row in each line{under}")


def _after(text: str, place: int) -> int:
    """The position of the next character that is not a space."""
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)
