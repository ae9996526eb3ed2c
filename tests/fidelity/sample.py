#!/usr/bin/env python3
"""Writes `recordings/` beside this file from the recordings of the real daemon in $GOLEM_SHARED/contract.

They were made by two nodes on one computer, without anybody's data. Even so every id (nodes, agreements,
activities, payments, signatures) is replaced, the same by the same everywhere, and so is the home folder.
What the recorder repeated (`response_json`) is left out, and a long run of one letter is written shorter.
Lines keep their numbers. `sample.py --check` only tells whether the files are what it would write.
"""

import hashlib
import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent / "recordings"
HOME = re.compile(r"[/]home/\w+/")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-fA-F]{32,}")
BYTES = re.compile(r"\[\d{1,3}(?:, ?\d{1,3}){31,}\]")
RUN = re.compile(r"(.)\1{9999,}")


def other_id(match):
    """The id that stands for one; hashes of images, which are no one's, and ids made up by hand stay."""
    old = match.group()
    digits = old.replace("-", "")
    if len(digits) == 56:
        return old
    if len(set(digits.lower())) <= 10 and (digits.isdigit() or len(set(digits)) <= 2):
        return old
    drawn = hashlib.shake_256(b"golem rehearsal " + digits.lower().encode()).hexdigest(len(digits))
    drawn = iter(drawn)
    # The kind of a UUID is kept.
    return "".join(c if c == "-" or (i == 14 and "-" in old) else next(drawn) for i, c in enumerate(old))


def other_text(text):
    text = HOME.sub("~/", ID.sub(other_id, text))

    def other_bytes(match):
        values = bytes(int(value) for value in match.group()[1:-1].split(","))
        signed = ID.sub(other_id, values.decode("latin-1")).encode("latin-1")
        if signed == values and not all(32 <= value < 127 for value in values):
            # A signature: other bytes of the same length.
            signed = hashlib.shake_256(b"golem rehearsal " + values).digest(len(values))
        return "[" + ",".join(str(value) for value in signed) + "]"

    return BYTES.sub(other_bytes, text)


def other(value):
    if isinstance(value, str):
        return other_text(value)
    if isinstance(value, list):
        return [other(item) for item in value]
    if isinstance(value, dict):
        return {key: other(item) for key, item in value.items()}
    return value


def shorter(text):
    """A text, or its parts where one letter comes ten thousand times and more."""
    run = RUN.search(text)
    if run is None:
        return text
    return {"before": text[: run.start()], "letter": run[1], "times": len(run[0]), "after": text[run.end() :]}


def main():
    shared = os.environ.get("GOLEM_SHARED")
    if not shared:
        sys.exit("GOLEM_SHARED names no folder")
    made = {}
    for file in sorted((pathlib.Path(shared) / "contract" / "recordings").glob("*.jsonl")):
        lines = []
        for line in file.read_text().splitlines():
            record = json.loads(line)
            record.pop("response_json", None)
            record = {key: value if key in ("ts", "elapsed_ms") else other(value) for key, value in record.items()}
            if isinstance(record.get("request_body"), str):
                record["request_body"] = shorter(record["request_body"])
            lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
        made[file.name] = "".join(lines)
    if "--check" in sys.argv[1:]:
        there = {file.name: file.read_text() for file in HERE.glob("*.jsonl")}
        wrong = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
        sys.exit(f"not what {pathlib.Path(__file__).name} writes: {', '.join(wrong)}" if wrong else 0)
    HERE.mkdir(exist_ok=True)
    for name, text in made.items():
        (HERE / name).write_text(text)
    print(f"{len(made)} recordings, {sum(len(text) for text in made.values()) // 1024} KiB")


main()
