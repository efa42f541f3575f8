"""Configuration files with mistakes in them: a good one's text, edited."""

from typing import Any

from hypothesis import strategies as st

from tests.running import ROOT

GOOD = [
    (ROOT / "configs" / f"{name}.yaml").read_text()
    for name in ("hexagon", "features_7", "patching", "defaults", "models/leaky", "optimizers/adam", "data/population")
]
WHOLE = [
    *(
        b"",
        b"[]",
        b"3",
        b"null",
        b"- a\n- b\n",
        b"text",
        b"\x00\x01\x02",
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n",
        b"\t\n",
    ),
    *(b"---\na: 1\n---\nb: 2\n", b"a: &x [*x]\n", b"model: &m\n  <<: *m\n", b"model: *nope\n", b"%YAML 9.9\n---\n{}"),
    *(b"!!python/object/apply:os.getcwd []\n", b"trainer: !!binary x\n", b"? [a, b]\n: c\n", b"1: 2\n", b"null: 1\n"),
    *(
        b"[" * 3000,
        b"{a: " * 3000,
        b"\xef\xbb\xbfmodel: {}\n",
        "model:\n".encode("utf-16"),
        b"model: {}\n",
        b"model:\n",
    ),
    *(
        b"trainer: []\n",
        b"data: text\n",
        b"data.n_features: 5\n",
        b"config: other.yaml\n",
        b"trainer: {callbacks: {0: x}}\n",
    ),
    b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nmodel: *c\n",
    b"model: {init_args: {n_hidden: 2, n_hidden: 3}}\n",
]
PIECES = [
    "\t",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "&a ",
    "*a ",
    "!x ",
    "'",
    '"',
    "#",
    "\x07",
    "\ufeff",
    "%",
    "? ",
    "|\n",
    ",",
    "  ",
]


@st.composite
def edited(draw: Any) -> bytes:
    """A good configuration after one to four edits."""
    lines = draw(st.sampled_from(GOOD)).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        i = draw(st.integers(0, max(0, len(lines) - 1)))
        edit = draw(st.sampled_from(["delete", "repeat", "indent", "dedent", "tab", "piece", "swap", "cut"]))
        line = lines[i] if lines else ""
        at = draw(st.integers(0, len(line)))
        changed = {
            "delete": [],
            "repeat": [line, line],
            "indent": [" " * draw(st.integers(1, 4)) + line],
            "dedent": [line.lstrip()],
            "tab": ["\t" + line],
            "piece": [line[:at] + draw(st.sampled_from(PIECES)) + line[at:]],
            "swap": [*lines[i + 1 : i + 2], line],
            "cut": [line[:at]],
        }
        lines[i : i + (2 if edit == "swap" else 1)] = changed[edit]
    return "\n".join(lines).encode()


def files() -> st.SearchStrategy[bytes]:
    return st.sampled_from([edited(), edited(), st.sampled_from(WHOLE), st.binary(max_size=30)]).flatmap(
        lambda own: own
    )
