"""What must not be called in a workflow, by dotted name: the rule it breaks, and a remedy where one is better."""

from typing import NamedTuple

from perdure.lint.finding import ADDRESS, BLOCKING, CHANCE, CLOCK, ENVIRONMENT, THREADS, Rule
from perdure.programs.code.answers import DRAWS


class Entry(NamedTuple):
    """Why a name is refused."""

    rule: Rule
    remedy: str = ""
    """Empty: the rule's own."""


_NOW = Entry(CLOCK, "use workflow.now()")
_TODAY = Entry(CLOCK, "use workflow.now().date()")
_SECRET = Entry(CHANCE, "make secrets in an activity; for other random numbers use workflow.random()")
_SIGNAL = Entry(BLOCKING, "wait for a signal: await workflow.channel(...).receive()")


def _all(rule: Rule, module: str, names: str, remedy: str = "") -> dict[str, Entry]:
    return {f"{module}.{name}": Entry(rule, remedy) for name in names.split()}


NAMES: dict[str, Entry] = {
    "datetime.datetime.now": _NOW,
    "datetime.datetime.utcnow": _NOW,
    "datetime.datetime.today": _NOW,
    "datetime.date.today": _TODAY,
    **_all(CLOCK, "time", "clock_gettime clock_gettime_ns"),
    **_all(CLOCK, "email.utils", "localtime formatdate make_msgid"),
    **_all(CLOCK, "pendulum", "now today tomorrow yesterday"),
    **_all(CLOCK, "arrow", "now utcnow"),
    "django.utils.timezone.now": _NOW,
    "pandas.Timestamp.now": _NOW,
    "time.sleep": Entry(BLOCKING, "await asyncio.sleep(...), which is durable"),
    "uuid.uuid1": Entry(CHANCE, "use workflow.uuid4()"),
    **_all(CHANCE, "uuid", "uuid6 uuid7 getnode", "use workflow.uuid4()"),
    "os.urandom": _SECRET,
    "os.getrandom": _SECRET,
    "ssl.RAND_bytes": _SECRET,
    "random.SystemRandom": _SECRET,
    **_all(CHANCE, "tempfile", "mktemp"),
    "builtins.hash": Entry(ADDRESS),
    "builtins.id": Entry(ADDRESS),
    **_all(ENVIRONMENT, "os", "environ environb getenv getenvb getcwd getcwdb getpid getppid getlogin getuid getgid"),
    **_all(ENVIRONMENT, "os", "cpu_count process_cpu_count uname getloadavg times get_terminal_size"),
    **_all(ENVIRONMENT, "sys", "argv executable path platform version version_info flags"),
    **_all(ENVIRONMENT, "platform", "node system release version machine platform processor python_version uname"),
    **_all(ENVIRONMENT, "pathlib.Path", "cwd home"),
    **_all(ENVIRONMENT, "getpass", "getuser"),
    **_all(ENVIRONMENT, "importlib.metadata", "version distribution"),
    **_all(ENVIRONMENT, "locale", "getlocale setlocale localeconv"),
    **_all(THREADS, "asyncio", "to_thread create_subprocess_exec create_subprocess_shell run Runner new_event_loop"),
    **_all(THREADS, "asyncio", "set_event_loop run_coroutine_threadsafe"),
    **_all(THREADS, "threading", "Thread Timer Lock RLock Condition Event Semaphore BoundedSemaphore Barrier local"),
    **_all(THREADS, "os", "fork forkpty system popen execv execve spawnv spawnve posix_spawn kill killpg"),
    **_all(THREADS, "_thread", "start_new_thread allocate_lock"),
    **_all(THREADS, "signal", "signal raise_signal alarm pause sigwait setitimer"),
    **_all(BLOCKING, "asyncio", "open_connection start_server open_unix_connection start_unix_server"),
    **_all(BLOCKING, "builtins", "open"),
    "builtins.input": _SIGNAL,
    "getpass.getpass": _SIGNAL,
    **_all(BLOCKING, "io", "open open_code FileIO"),
    **_all(BLOCKING, "codecs", "open"),
    **_all(BLOCKING, "sys", "stdin"),
    **_all(BLOCKING, "os", "open read write listdir scandir walk stat lstat access mkdir makedirs remove unlink rmdir"),
    **_all(BLOCKING, "os", "rename replace link symlink readlink chmod chown truncate utime chdir putenv unsetenv"),
    **_all(BLOCKING, "os.path", "exists lexists isfile isdir islink ismount getsize getmtime getatime getctime"),
    **_all(BLOCKING, "os.path", "realpath abspath samefile"),
    **_all(BLOCKING, "glob", "glob iglob"),
    **_all(BLOCKING, "sqlite3", "connect"),
    **_all(BLOCKING, "gzip", "open"),
    **_all(BLOCKING, "bz2", "open"),
    **_all(BLOCKING, "lzma", "open"),
    **_all(BLOCKING, "zipfile", "ZipFile"),
    **_all(BLOCKING, "tarfile", "open"),
    **_all(BLOCKING, "mmap", "mmap"),
    **_all(BLOCKING, "webbrowser", "open"),
    **_all(BLOCKING, "shelve", "open"),
    **_all(BLOCKING, "fileinput", "input FileInput"),
    **_all(BLOCKING, "linecache", "getline"),
}
"""Refused wherever they are read or called."""

PACKAGES: dict[str, Rule] = {
    **dict.fromkeys(("secrets", "numpy.random"), CHANCE),
    **dict.fromkeys(
        ("subprocess", "multiprocessing", "concurrent.futures", "joblib", "gevent", "trio", "anyio"), THREADS
    ),
    **dict.fromkeys(("requests", "httpx", "aiohttp", "urllib3", "urllib.request", "http.client", "socket"), BLOCKING),
    **dict.fromkeys(("smtplib", "imaplib", "poplib", "ftplib", "telnetlib", "xmlrpc.client", "ssl"), BLOCKING),
    **dict.fromkeys(("websockets", "grpc", "paramiko", "boto3", "aiofiles", "select"), BLOCKING),
    **dict.fromkeys(("psycopg", "psycopg2", "asyncpg", "pymysql", "redis", "pymongo", "aiosqlite"), BLOCKING),
    **dict.fromkeys(("shutil", "tempfile", "openai", "anthropic"), BLOCKING),
}
"""Whatever is called in these; their exceptions and types may be named."""

TYPES_THAT_ACT = frozenset(
    (
        *("Session", "Client", "AsyncClient", "ClientSession", "PoolManager", "Popen", "Process", "Pool", "Manager"),
        *("ThreadPoolExecutor", "ProcessPoolExecutor", "Parallel", "HTTPConnection", "HTTPSConnection", "SMTP"),
        *("SMTP_SSL", "IMAP4", "IMAP4_SSL", "POP3", "FTP", "SSHClient", "Redis", "MongoClient", "ServerProxy"),
        *("TemporaryFile", "NamedTemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile", "OpenAI", "AsyncOpenAI"),
        *("Anthropic", "AsyncAnthropic", "Queue", "Lock", "Event", "Value", "Array", "SystemRandom"),
    )
)
"""Classes of those packages whose instances reach out; others are plain data."""

HARMLESS = frozenset(
    (
        *("shutil.get_terminal_size", "secrets.compare_digest", "socket.inet_aton", "socket.inet_ntoa"),
        *("socket.htonl", "socket.htons", "socket.ntohl", "socket.ntohs", "subprocess.list2cmdline"),
        *("numpy.random.default_rng", "tempfile.gettempprefix"),
    )
)

ANSWERED: dict[str, Rule] = {
    **dict.fromkeys([f"random.{name}" for name in DRAWS], CHANCE),
    "uuid.uuid4": CHANCE,
    **{
        f"time.{name}{suffix}": CLOCK
        for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
        for suffix in ("", "_ns")
    },
    **dict.fromkeys([f"time.{name}" for name in ("localtime", "gmtime", "ctime")], CLOCK),
}
"""Answered from the run, if they are looked up in their module when they are called."""

UNSEEDED = frozenset(("random.Random", "numpy.random.default_rng", "random.seed"))
"""Refused without a seed."""

CLOCK_WITHOUT = {"time.strftime": 2, "time.asctime": 1}
"""Read the clock when they get fewer arguments."""

PATH_IO = frozenset(
    (
        *("read_text", "read_bytes", "write_text", "write_bytes", "open", "exists", "is_file", "is_dir", "is_symlink"),
        *("iterdir", "glob", "rglob", "walk", "stat", "lstat", "mkdir", "rmdir", "unlink", "touch", "rename"),
        *("replace", "chmod", "resolve", "absolute", "samefile", "symlink_to", "hardlink_to", "readlink", "owner"),
    )
)
"""Methods of a path that look at the disk."""

METHODS: dict[str, Entry] = {
    "run_in_executor": Entry(THREADS),
    "run_until_complete": Entry(THREADS, "await it"),
    "call_soon_threadsafe": Entry(THREADS),
    "add_signal_handler": Entry(THREADS, "signal the workflow: handle.signal(...)"),
    "create_connection": Entry(BLOCKING),
    "create_datagram_endpoint": Entry(BLOCKING),
}
"""Refused on whatever object: the loop's."""

ITERATING = frozenset(
    (
        *("list", "tuple", "iter", "enumerate", "reversed", "zip", "map", "filter", "next"),
        *("dict.fromkeys", "str.join"),
    )
)
"""Builtins whose result has the order of their argument."""

WRITING = frozenset(
    (
        *("append", "extend", "insert", "remove", "pop", "popitem", "clear", "update", "setdefault", "add", "discard"),
        *("sort", "reverse", "appendleft", "popleft", "extendleft", "subtract", "move_to_end", "intersection_update"),
        *("difference_update", "symmetric_difference_update"),
    )
)
"""Methods that change a container."""
