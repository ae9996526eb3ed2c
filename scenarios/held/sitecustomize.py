"""Lets a Python program live in the virtual time of `rehearse exec`, unmodified.

Python imports this before the program. The clock stands while anything of the program works; when every thread only
waits, the process says so to the time keeper (`mock_yagna::keeper` has the protocol): until when, and how many bytes
crossed each of its connections to the daemon. `time`, `datetime`, `sleep`, selectors (asyncio), blocking sockets,
conditions, queues, events, executors and `Thread.join` wait in that time. Locks, other libraries' loops and C code count as
work: nothing moves meanwhile. Standard library only; Python 3.8 and later, on systems with `poll`.
"""
import os
import sys


def _install(address):
    import _thread
    import atexit
    import datetime
    import gc
    import importlib.abc
    import queue
    import random
    import select
    import selectors
    import socket
    import subprocess
    import threading
    import time

    sys_argv = getattr(sys, "orig_argv", [])
    daemon_port = int(os.environ["GOLEM_KEPT_PORT"])
    lock = _thread.allocate_lock()
    poll, POLLIN, POLLOUT = select.poll, select.POLLIN, select.POLLOUT
    RawSocket = socket.socket.__mro__[1]
    raw = {name: getattr(RawSocket, name) for name in ("send", "sendall", "sendmsg", "recv", "recv_into", "recvmsg", "connect", "connect_ex")}
    real_sleep, real_write, real_read, real_waitpid, real_close = time.sleep, os.write, os.read, os.waitpid, os.close

    def file_at(fd):
        try:
            return os.fstat(fd).st_ino
        except OSError:
            return None

    class Keeper:
        """What this process knows and has said. Everything in it is under `lock`."""

        def __init__(self):
            self.running = 1  # threads that work
            self.waiting = set()
            self.idle = False
            self.expecting = False  # bytes are on their way: whoever waits for them wakes
            self.leader = None  # who waits for files, and hears the keeper meanwhile: nobody has to wake another thread then
            self.listening = False  # without a leader: the thread for it hears the keeper
            self.now = 0  # nanoseconds since 1970
            self.start = None
            self.kept = {}  # by file descriptor: [port, sent, received]
            self.closed = []
            self.children = {}  # by process: its pidfd, or None
            self.requests = 0  # to gftp, which answers each line with one
            self.gftp = {}  # by process: where orders are written to it, and that file
            self.part = b""
            self.reads = 0
            self.reply = b""
            self.control = None

        def connect(self):
            self.control = RawSocket(socket.AF_INET, socket.SOCK_STREAM)
            raw["connect"](self.control, address)
            self.control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            os.set_inheritable(self.control.fileno(), False)
            name = " ".join(part.rsplit("/", 1)[-1] for part in sys_argv[:3]) or "python"
            self.say(f"hello {os.getpid()} {name}")
            self.hear(until="now")
            self.bell = os.pipe()
            _thread.start_new_thread(self.listen, (self.control, self.bell[0]))

        def say(self, line):
            try:
                raw["sendall"](self.control, line.encode() + b"\n")
            except OSError:
                os._exit(70)  # Whoever rehearses is gone: nothing here would ever go on.

        def hear(self, until=None):
            """Reads what there is to read from the keeper; with `until` as long as it takes."""
            ready = poll()
            ready.register(self.control.fileno(), POLLIN)
            while True:
                if not ready.poll(None if until else 0):
                    return
                try:
                    piece = raw["recv"](self.control, 4096)
                except OSError:
                    piece = b""
                if not piece:
                    os._exit(70)
                self.reply += piece
                while b"\n" in self.reply:
                    line, self.reply = self.reply.split(b"\n", 1)
                    word, _, rest = line.decode().partition(" ")
                    if word == "error":
                        sys.stderr.write(f"rehearse: the time keeper says: {rest}\n")
                        os._exit(70)
                    self.now = max(self.now, int(rest))
                    if self.start is None:
                        self.start = self.now
                    self.idle = False
                    if word == "wake":
                        self.say("got")
                        self.expecting = True
                        for waiter in [w for w in self.waiting if w.deadline is not None and w.deadline <= self.now]:
                            self.expecting = False
                            self.resume(waiter)
                            waiter.wake()
                    if word == until:
                        return

        def listen(self, control, bell):
            """A thread of its own: hears the keeper where nobody else does, and children that end."""
            while True:
                ready = poll()
                ready.register(bell, POLLIN)
                with lock:
                    if self.control is not control:
                        return
                    self.listening = self.leader is None
                    if self.listening:
                        ready.register(control.fileno(), POLLIN)
                    fds = {fd: child for child, fd in self.children.items() if fd is not None}
                    blind = any(fd is None for fd in self.children.values())
                for fd in fds:
                    ready.register(fd, POLLIN)
                found = [fd for fd, _ in ready.poll(5 if self.expecting else 20 if blind else None)]
                if bell in found:
                    real_read(bell, 64)
                with lock:
                    if not found:
                        self.expecting = False  # It was the end of a connection that nobody looks at.
                    self.hear()
                    for child in [child for child in self.children if self.ended(child)]:
                        self.busy()
                        fd = self.children.pop(child)
                        if fd is not None:
                            real_close(fd)
                        self.say(f"gone {child}")
                    self.rest()

        def ended(self, child):
            fd = self.children[child]
            if fd is not None:
                ready = poll()
                ready.register(fd, POLLIN)
                return bool(ready.poll(0))
            try:
                return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            except ChildProcessError:
                return True

        def started(self, child):
            fd = None
            if hasattr(os, "pidfd_open"):
                try:
                    fd = os.pidfd_open(child)
                except OSError:
                    pass
            self.children[child] = fd
            self.say(f"child {child}")
            self.ring()

        def ring(self):
            """Has the thread that listens look at everything again."""
            real_write(self.bell[1], b"c")

        def ends(self, child):
            if self.gftp.pop(child, None):
                self.started(child)

        def busy(self):
            """The keeper knows that this process works, when this returns."""
            if self.idle:
                self.say("busy")
                self.hear(until="now")

        def rest(self):
            """Says that everything waits, if so."""
            if self.running > 0:
                return
            for child, (fd, file) in list(self.gftp.items()):
                if file_at(fd) != file:  # It was closed: the process is to end, as any other one.
                    self.ends(child)
            if self.requests > 0 or self.idle or self.expecting or any(w.ready() for w in self.waiting):
                return
            deadlines = [w.deadline for w in self.waiting if w.deadline is not None]
            words = ["idle", str(min(deadlines)) if deadlines else "-"]
            # What nobody reads now may wait for ever.
            reads = set().union(*(w.reads for w in self.waiting))
            words += [f"{port}:{sent}:{received if fd in reads else '-'}" for fd, (port, sent, received) in self.kept.items()]
            words += [f"closed:{port}" for port in self.closed]
            self.closed.clear()
            self.idle = True
            self.say(" ".join(words))

        def pause(self, waiter):
            self.waiting.add(waiter)
            self.running -= 1
            if self.leader is None and waiter.hears:
                self.leader = waiter
            if self.running == 0 and not self.idle:
                self.hear()  # Something may have come while it worked.
            self.rest()
            nobody = self.idle and self.leader is None and not self.listening
            if nobody or self.expecting and self.leader is not waiter:
                self.ring()

        def resume(self, waiter):
            self.expecting = False
            if self.leader is waiter:
                self.leader = None
            if waiter in self.waiting:
                self.waiting.discard(waiter)
                self.running += 1

    keeper = Keeper()

    def deadline_of(timeout):
        return None if timeout is None else keeper.now + max(0, int(timeout * 1e9 + 0.999))

    class Waiter:
        """A thread that waits for another one, or for its time. It stands in for a lock in `Condition`."""

        hears = False
        reads = frozenset()

        def __init__(self):
            self.deadline, self.awake, self.notified = None, False, False
            self.raw = _thread.allocate_lock()
            self.raw.acquire()

        def ready(self):
            return self.awake

        def wake(self):
            self.awake = True
            self.raw.release()

        def release(self):
            with lock:
                if self.awake:
                    raise RuntimeError("release unlocked lock")
                keeper.busy()
                self.notified = True
                keeper.resume(self)
                self.wake()

        def block(self, timeout):
            with lock:
                keeper.reads = 0
                if not self.awake:
                    if timeout is not None and timeout <= 0:
                        self.awake = True
                        return False
                    self.deadline = deadline_of(timeout)
                    keeper.pause(self)
            try:
                self.raw.acquire()
            finally:
                with lock:  # It matters when a signal's handler raised something.
                    self.awake = True
                    if self in keeper.waiting:
                        keeper.busy()
                        keeper.resume(self)
            return self.notified

    class Files:
        """A thread that waits for files, or for its time. `peek` tells which are ready, if somebody knows better than `poll`."""

        hears = True
        spare = []  # pipes that nobody uses now

        def __init__(self, files, timeout, peek=None, reads=None):
            try:
                self.pipe = self.spare.pop()
            except IndexError:
                self.pipe = os.pipe()
            self.blocking, self.looking, self.peek = poll(), poll(), peek or self.look
            self.reads = reads if reads is not None else {fd if isinstance(fd, int) else fd.fileno() for fd, events in files if events & POLLIN}
            for fd, events in files:
                self.blocking.register(fd, events)
                self.looking.register(fd, events)
            self.blocking.register(self.pipe[0], POLLIN)
            self.deadline = deadline_of(timeout)
            self.woken, self.found = False, None

        def ready(self):
            return bool(self.looking.poll(0))

        def look(self):
            return self.looking.poll(0)

        def wake(self):
            self.woken = True
            real_write(self.pipe[1], b"w")

        def block(self):
            """Which of the files are ready."""
            try:
                with lock:
                    keeper.reads = 0
                    keeper.pause(self)
                    control = keeper.control.fileno() if keeper.leader is self else None
                if control is not None:
                    self.blocking.register(control, POLLIN)
                try:
                    while True:
                        found = self.blocking.poll(5 if control is not None and keeper.expecting else None)
                        if found and (len(found) > 1 or found[0][0] != control):
                            break
                        with lock:
                            if not found:
                                keeper.expecting = False  # It was the end of a connection that nobody looks at.
                            keeper.hear()
                            keeper.rest()
                finally:
                    with lock:
                        if self in keeper.waiting:
                            self.found = self.peek()
                            if self.found and all(is_daemons(ready) for ready in self.found):
                                keeper.idle = False  # The keeper knows what it wrote: until that is read nothing moves.
                            else:
                                keeper.busy()
                            keeper.resume(self)
                return self.peek() if self.found is None else self.found
            finally:
                if self.woken:
                    real_read(self.pipe[0], 1)
                self.spare.append(self.pipe)

    def is_daemons(ready):
        """Whether it is something to read on a connection to the daemon: of `poll`, or of a selector."""
        fd, events = ready
        return (fd if isinstance(fd, int) else fd.fd) in keeper.kept and events == 1  # POLLIN, EVENT_READ

    # Clocks. Whoever reads one again and again without waiting would never see it move.
    def now():
        keeper.reads += 1
        if keeper.reads > 20_000:
            reads = keeper.reads
            Waiter().block(0.005)
            keeper.reads = reads - 200
        return keeper.now

    real_gmtime, real_localtime, real_strftime, real_ctime, real_asctime = time.gmtime, time.localtime, time.strftime, time.ctime, time.asctime

    def sleep(seconds):
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if seconds == 0:
            real_sleep(0)
        else:
            Waiter().block(seconds)

    time.time = lambda: now() / 1e9
    time.time_ns = lambda: now()
    time.monotonic = time.perf_counter = lambda: (now() - keeper.start) / 1e9
    time.monotonic_ns = time.perf_counter_ns = lambda: now() - keeper.start
    time.sleep = sleep
    time.gmtime = lambda seconds=None: real_gmtime(time.time() if seconds is None else seconds)
    time.localtime = lambda seconds=None: real_localtime(time.time() if seconds is None else seconds)
    time.strftime = lambda form, moment=None: real_strftime(form, time.localtime() if moment is None else moment)
    time.ctime = lambda seconds=None: real_ctime(time.time() if seconds is None else seconds)
    time.asctime = lambda moment=None: real_asctime(time.localtime() if moment is None else moment)

    def change(cls, name, function):
        """Changes a class of C in place: whoever has imported it has the change, too."""
        import ctypes

        gc.get_referents(cls.__dict__)[0][name] = classmethod(function)
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))

    utc = datetime.timezone.utc
    epoch = datetime.datetime(1970, 1, 1, tzinfo=utc)

    def calendar(cls, tz=None):
        seconds, rest = divmod(now(), 10**9)
        return cls.fromtimestamp(seconds, tz).replace(microsecond=rest // 1000)

    change(datetime.datetime, "now", calendar)
    change(datetime.datetime, "utcnow", lambda cls: calendar(cls, utc).replace(tzinfo=None))
    change(datetime.date, "today", lambda cls: cls.fromtimestamp(time.time()))

    # Selectors: asyncio's loops, subprocesses, socket servers.
    def held_select(cls):
        real = cls.select

        def select_(self, timeout=None):
            ready = real(self, 0)
            if ready or (timeout is not None and timeout <= 0):
                return ready
            if hasattr(self, "fileno"):
                files = [(self.fileno(), POLLIN)]
            else:
                both = {selectors.EVENT_READ: POLLIN, selectors.EVENT_WRITE: POLLOUT, 3: POLLIN | POLLOUT}
                files = [(key.fd, both[key.events]) for key in self.get_map().values()]
            reads = {key.fd for key in self.get_map().values() if key.events & selectors.EVENT_READ}
            return Files(files, timeout, lambda: real(self, 0), reads).block()

        cls.select = select_

    for name in ("EpollSelector", "PollSelector", "SelectSelector", "DevpollSelector", "KqueueSelector"):
        if hasattr(selectors, name):
            held_select(getattr(selectors, name))
    real_select = select.select

    def select_select(readers, writers, others, timeout=None):
        ready = real_select(readers, writers, others, 0)
        if any(ready) or (timeout is not None and timeout <= 0):
            return ready
        Files([(f, POLLIN) for f in readers] + [(f, POLLOUT) for f in writers], timeout).block()
        return real_select(readers, writers, others, 0)

    select.select = select_select

    # Sockets: bytes are counted, and blocking calls wait in virtual time.
    def counted(self, sent=0, received=0):
        entry = keeper.kept.get(self.fileno())
        if entry:
            with lock:
                entry[1] += sent
                entry[2] += received

    def wait_for(self, events):
        timeout = self.gettimeout()
        if timeout == 0:
            return
        ready = poll()
        ready.register(self.fileno(), events)
        if not ready.poll(0) and not Files([(self.fileno(), events)], timeout).block():
            raise socket.timeout("timed out")

    def send(self, data, *rest):
        sent = raw["send"](self, data, *rest)
        counted(self, sent=sent)
        return sent

    def sendall(self, data, *rest):
        done = raw["sendall"](self, data, *rest)
        counted(self, sent=memoryview(data).nbytes)
        return done

    def sendmsg(self, *rest):
        sent = raw["sendmsg"](self, *rest)
        counted(self, sent=sent)
        return sent

    def recv(self, *rest):
        wait_for(self, POLLIN)
        data = raw["recv"](self, *rest)
        peek = len(rest) > 1 and rest[1] & socket.MSG_PEEK
        counted(self, received=0 if peek else len(data))
        return data

    def recv_into(self, *rest, **named):
        wait_for(self, POLLIN)
        received = raw["recv_into"](self, *rest, **named)
        counted(self, received=received)
        return received

    def recvmsg(self, *rest):
        wait_for(self, POLLIN)
        found = raw["recvmsg"](self, *rest)
        counted(self, received=len(found[0]))
        return found

    def keep(self, to):
        local = ("127.0.0.1", "localhost", "::1")
        if isinstance(to, tuple) and to[1] == daemon_port and to[0] in local:
            with lock:
                keeper.kept[self.fileno()] = [self.getsockname()[1], 0, 0]

    def connect(self, to):
        try:
            done = raw["connect"](self, to)
        except (BlockingIOError, InterruptedError):
            keep(self, to)
            raise
        keep(self, to)
        return done

    def connect_ex(self, to):
        code = raw["connect_ex"](self, to)
        if code in (0, 115, 36, 11):  # or under way
            keep(self, to)
        return code

    real_real_close, real_detach, real_accept = socket.socket._real_close, socket.socket.detach, socket.socket.accept

    def forget(self):
        with lock:
            entry = keeper.kept.pop(self.fileno(), None)
            if entry:
                keeper.closed.append(entry[0])

    def _real_close(self, *rest):
        forget(self)
        real_real_close(self, *rest)

    def accept(self):
        wait_for(self, POLLIN)
        return real_accept(self)

    for function in (send, sendall, sendmsg, recv, recv_into, recvmsg, connect, connect_ex, _real_close, accept):
        setattr(socket.socket, function.__name__, function)

    # Threads: each works until it waits.
    def condition_wait(self, timeout=None):
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        waiter = Waiter()
        self._waiters.append(waiter)
        saved = self._release_save()
        got = False
        try:
            got = waiter.block(timeout)
            return got
        finally:
            self._acquire_restore(saved)
            if not got:
                try:
                    self._waiters.remove(waiter)
                except ValueError:
                    pass

    threading.Condition.wait = condition_wait
    queue.SimpleQueue = queue._PySimpleQueue
    threading._time = threading.__dict__.get("_time") and time.monotonic
    queue.time = subprocess._time = time.monotonic
    Thread = threading.Thread
    real_start, real_join, real_inner, real_shutdown = Thread.start, Thread.join, Thread._bootstrap_inner, threading._shutdown
    ends = {}

    def start(self):
        with lock:
            keeper.running += 1
            ends[self] = []
        try:
            real_start(self)
        except BaseException:
            with lock:
                keeper.running -= 1
                ends.pop(self, None)
            raise

    def inner(self):
        try:
            real_inner(self)
        finally:
            with lock:
                for waiter in ends.pop(self, []):
                    if not waiter.awake:
                        waiter.notified = True
                        keeper.resume(waiter)
                        waiter.wake()
                keeper.running -= 1
                keeper.rest()

    def join(self, timeout=None):
        if self is not threading.current_thread():
            waiter = Waiter()
            with lock:
                joined = ends.get(self)
                if joined is not None:
                    joined.append(waiter)
            if joined is not None and not waiter.block(timeout):
                return
        real_join(self)

    def shutdown():
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
        real_shutdown()

    Thread.start, Thread.join, Thread._bootstrap_inner, threading._shutdown = start, join, inner, shutdown

    # Other processes: Python ones keep the same time, while any other one lives it stands. `gftp` answers lines.
    real_init = subprocess.Popen.__init__

    def popen(self, args, *rest, **named):
        os.environ["GOLEM_NOW"] = str(keeper.now)
        real_init(self, args, *rest, **named)
        words = args if isinstance(args, (str, bytes)) else " ".join(os.fsdecode(word) for word in args)
        with lock:
            # Unbuffered pipes are those of asyncio, whose bytes pass `os.write` and `os.read`.
            if "gftp" in os.fsdecode(words).replace("/", " ").split() and named.get("bufsize") == 0:
                fd = self.stdin.fileno() if self.stdin else -1
                keeper.gftp[self.pid] = fd, file_at(fd)
            elif getattr(self, "pid", None):
                keeper.started(self.pid)

    real_signal = subprocess.Popen.send_signal

    def send_signal(self, signal):
        with lock:
            keeper.ends(self.pid)
        real_signal(self, signal)  # which calls `os.kill`

    subprocess.Popen.__init__, subprocess.Popen.send_signal = popen, send_signal

    def write(fd, data):
        written = real_write(fd, data)
        piece = bytes(data[:written])
        if keeper.gftp and b'"jsonrpc"' in piece:
            with lock:
                keeper.requests += piece.count(b"\n")
                if b'"shutdown"' in piece:
                    for child in list(keeper.gftp):
                        keeper.ends(child)
        return written

    def read(fd, size):
        data = real_read(fd, size)
        if keeper.requests and (keeper.part or data.startswith(b"{")) and (b'"jsonrpc"' in keeper.part + data):
            with lock:
                keeper.requests = max(0, keeper.requests - data.count(b"\n"))
                keeper.part = b"" if data.endswith(b"\n") else data
        return data

    def waitpid(child, options):
        if options & os.WNOHANG or child <= 0 or not hasattr(os, "pidfd_open"):
            return real_waitpid(child, options)
        try:
            fd = os.pidfd_open(child)
        except OSError:
            return real_waitpid(child, options)
        try:
            Files([(fd, POLLIN)], None).block()
        finally:
            real_close(fd)
        return real_waitpid(child, options)

    real_kill, real_killpg = os.kill, os.killpg

    def kill(process, signal):
        real_kill(process, signal)
        with lock:
            keeper.say(f"signalled {process}")

    def killpg(group, signal):
        real_killpg(group, signal)
        with lock:
            keeper.say(f"signalled {group}")

    os.kill, os.killpg = kill, killpg
    os.write, os.read, os.waitpid = write, read, waitpid
    real_fork = os.fork

    def fork():
        child = real_fork()
        if child:
            with lock:
                keeper.started(child)
        return child

    def after_fork():
        nonlocal lock
        keeper.control.close()
        lock = _thread.allocate_lock()
        start_of_all = keeper.start
        keeper.__init__()
        Files.spare = []
        keeper.start = start_of_all
        keeper.connect()

    os.fork = fork
    os.register_at_fork(after_in_child=after_fork)

    class NoOtherLoop(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name in ("uvloop", "gevent", "eventlet"):
                raise ImportError(f"{name} cannot be held in virtual time: leave it out, or use `rehearse exec --time real`", name=name)

    sys.meta_path.insert(0, NoOtherLoop())

    if seed := os.environ.get("GOLEM_SEED"):
        drawn = random.Random(" ".join([seed] + sys_argv))
        random.seed(drawn.random())
        os.urandom = lambda size: drawn.getrandbits(8 * size).to_bytes(size, "little") if size else b""
        random._urandom = os.urandom
        if "uuid" in sys.modules:
            sys.modules["uuid"].os.urandom = os.urandom

    keeper.connect()


def _next():
    """The sitecustomize that this one stands in front of."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _resolve_images_here():
    """yapapi's `vm.repo` asks the daemon for images by their hash: the simulated one is a registry as well."""
    import importlib.abc
    import importlib.util

    class Loader(importlib.abc.Loader):
        def __init__(self, real):
            self.real = real

        def create_module(self, spec):
            return self.real.create_module(spec)

        def exec_module(self, module):
            self.real.exec_module(module)
            try:
                module.repo.__kwdefaults__["repository_url"] = os.environ["YAGNA_API_URL"].rstrip("/")
            except (AttributeError, KeyError, TypeError):
                pass  # of a version that asks nobody

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != "yapapi.payload.vm":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            if spec and spec.loader:
                spec.loader = Loader(spec.loader)
            return spec

    sys.meta_path.insert(0, Finder())


if "YAGNA_API_URL" in os.environ:
    _resolve_images_here()
if (_keeper := os.environ.get("GOLEM_KEEPER")) and not hasattr(sys, "kept_by_rehearse") and os.path.basename((getattr(sys, "orig_argv", [""]) + [""] * 2)[1]) != "gftp":
    sys.kept_by_rehearse = True
    _host, _, _port = _keeper.rpartition(":")
    _install((_host, int(_port)))
_next()
