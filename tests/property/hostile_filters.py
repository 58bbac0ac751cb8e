"""Two thousand texts that somebody could send as a filter to break something: the same ones in each run."""

import string
from random import Random

COUNT = 2_000

VALID = (
    "WorkflowType = 'order' and ExecutionStatus in ('Running', 'Failed') order by StartTime desc",
    "A = 'a' or not (B starts_with 'a' and `order` is not null)",
    "StartTime > '2026-01-01T00:00:00Z' and ExecutionDuration < '1h30m'",
    "A between 1 and 5 or B not in (1, 2.5, -3e2) order by A, B desc",
    "WorkflowId not starts_with 'order-' and Parked = false",
    "Größe = 'late refund' or A != \"x\"",
    "HistoryLength >= 0",
)
INJECTIONS = (
    "' or 1=1 --",
    "' or '1'='1",
    "'; drop table runs; --",
    "'); delete from runs; --",
    "x' union select worker, 1 from leases --",
    "1; attach database '/tmp/evil.db' as evil",
    "' || load_extension('evil') || '",
    "\\' or 1=1 #",
    "`); drop table attributes; --",
    '" or ""="',
    "a'/**/or/**/1=1",
    "%' or name like '%",
    "${jndi:ldap://x}",
    "{0.__class__}",
    "{run_key}",
    "{?}",
    "{chosen}",
    "?",
    ":limit",
    "@before",
    "$1",
    "sqlite_master",
    "randomblob(1000000000)",
    "zeroblob(1e9)",
    "CASE WHEN 1 THEN 1 END",
    "x'41'",
    "0x41",
    "1e309",
    "-0",
    "NaN",
    "inf",
    "null",
    "\x00",
    "\ud800",
    "\udfff",
    "\U0010ffff",
    "\u202e",
    "\ufeff",
    "ﬀ",
    "İ",
    "e\u0301",
    "\uff07 or 1=1",
    "\u2028",
    "\x1b[31m",
)
_MARKS = (*"'\"`()=<>!,;-+*/%_\\#@$?:.{}[]|&~^ \t\n\r\0", "''", "--", "/*", "*/", "\ud800", "é", "\U0001f600")
_LANGUAGE = "and or not in between starts_with is null order by asc desc true StartTime A 'x' 5 ( ) = ,"
_WORDS = _LANGUAGE.split()


def hostile_filters(seed: int = 1) -> list[str]:
    """The texts: injections, mutations of valid ones, unicode, huge and deep ones."""
    random = Random(seed)
    makers = (_injected, _injected, _mutated, _mutated, _mutated, _of_words, _of_chars, _of_any_chars, _large)
    return [random.choice(makers)(random) for _ in range(COUNT)]


def _injected(random: Random) -> str:
    payload = random.choice(INJECTIONS)
    place = random.randrange(7)
    quoted = payload.replace("'", "''")
    return (
        payload,
        f"A = '{payload}'",
        f"A = '{quoted}'",
        f"{payload} = 1",
        f"`{payload.replace('`', '``')}` in ('{quoted}', 'b') order by `{payload.replace('`', '``')}` desc",
        f"WorkflowId starts_with '{quoted}' or A starts_with '{quoted}'",
        f"A = 1 order by {payload}",
    )[place]


def _mutated(random: Random) -> str:
    text = random.choice(VALID)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(text) + 1)
        end = min(len(text), at + random.randint(0, 6))
        text = random.choice(
            (
                text[:at] + random.choice(_MARKS) + text[at:],
                text[:at] + text[end:],
                text[:at] + text[at:end] * 2 + text[end:],
                text[:at] + random.choice(INJECTIONS) + text[end:],
                text.swapcase(),
            )
        )
    return text


def _of_words(random: Random) -> str:
    return " ".join(random.choices(_WORDS, k=random.randint(1, 15)))


def _of_chars(random: Random) -> str:
    return "".join(random.choices(string.printable, k=random.randint(1, 60)))


def _of_any_chars(random: Random) -> str:
    return "".join(chr(random.randrange(0x110000)) for _ in range(random.randint(1, 30)))


def _large(random: Random) -> str:
    count = random.choice((60, 500, 5_000))
    return random.choice(
        (
            "(" * count,
            "(" * count + "A = 1" + ")" * count,
            "not " * count + "A = 1",
            " or ".join(["A = 1"] * count),
            "A in (" + ", ".join(["'a'"] * count) + ")",
            "A in (" + ", ".join(["'two words'"] * count) + ")",
            "A = '" + "x" * count * 30 + "'",
            "`" + "x" * count * 30 + "` = 1",
            "A = " + "9" * count,
            "A = '" + "'" * count,
            "order by " + ", ".join(["A"] * count),
            "A = 'x" + "''" * count + "'",
        )
    )
