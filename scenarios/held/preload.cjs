// Lets a Node program live in the virtual time of `rehearse exec`, unmodified.
//
// Node runs this before the program. Timers and clocks are those of the time keeper (`mock_yagna::keeper` has the protocol).
// When the event loop has nothing left but sockets, pipes and timers, the process says that it waits: until when, and how
// many bytes crossed each of its connections to the daemon. Files, name look-ups, workers and processes that keep no time
// count as work: nothing moves meanwhile. Node 18 and later; nothing of npm.
"use strict";
(() => {
  const keeper = process.env.GOLEM_KEEPER;
  const daemonPort = Number(process.env.GOLEM_KEPT_PORT);
  if (!keeper || globalThis.keptByRehearse) return;
  Object.defineProperty(globalThis, "keptByRehearse", { value: true });

  const net = require("node:net");
  const timers = require("node:timers");
  const timersPromises = require("node:timers/promises");
  const childProcess = require("node:child_process");
  const crypto = require("node:crypto");
  const path = require("node:path");
  const { promisify } = require("node:util");
  const { createHook } = require("node:async_hooks");
  const { performance } = require("node:perf_hooks");
  const real = { Date, setImmediate, setTimeout, clearTimeout };
  const MILLION = 1_000_000n;

  let now = BigInt(process.env.GOLEM_NOW ?? "0"); // nanoseconds since 1970
  const start = now;
  const milliseconds = () => Number(now / MILLION);
  const sinceStart = () => Number(now - start) / 1e6;

  // Timers, in order of their time and of being set.
  let count = 0;
  const pending = new Map();
  let held = 0; // those that keep the process alive
  const LONGEST = 2 ** 31 - 1;

  class Timeout {
    constructor(callback, delay, args, repeats) {
      if (typeof callback !== "function") {
        throw new TypeError('The "callback" argument must be of type function.');
      }
      delay = Number(delay);
      this._delay = delay >= 1 && delay <= LONGEST ? Math.trunc(delay) : 1;
      this._call = () => callback.apply(this, args);
      this._repeats = repeats;
      this._ref = true;
      this._id = ++count;
      this._set();
    }
    _set() {
      this._due = now + BigInt(this._delay) * MILLION;
      this._order = ++count;
      if (!pending.has(this._id)) {
        pending.set(this._id, this);
        if (this._ref) hold(1);
      }
    }
    _clear() {
      if (pending.delete(this._id) && this._ref) hold(-1);
    }
    ref() {
      if (!this._ref && pending.has(this._id)) hold(1);
      this._ref = true;
      return this;
    }
    unref() {
      if (this._ref && pending.has(this._id)) hold(-1);
      this._ref = false;
      return this;
    }
    hasRef() {
      return this._ref;
    }
    refresh() {
      this._set();
      return this;
    }
    close() {
      this._clear();
      return this;
    }
    [Symbol.toPrimitive]() {
      return this._id;
    }
    [Symbol.dispose ?? Symbol("dispose")]() {
      this._clear();
    }
  }

  const clear = (timer) => {
    const found = timer instanceof Timeout ? timer : pending.get(Number(timer));
    if (found instanceof Timeout) found._clear();
    else if (timer && typeof timer === "object") real.clearTimeout(timer);
  };
  /** Whether Node itself asks: the timers with which `fetch` looks after its connections tick every second, in real time. */
  const isNodes = () => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 3;
    const { stack } = new Error();
    Error.stackTraceLimit = limit;
    return stack.includes("(node:internal/deps/");
  };
  const fake = {
    setTimeout: (callback, delay, ...args) => (isNodes() ? real.setTimeout(callback, delay, ...args) : new Timeout(callback, delay, args, false)),
    setInterval: (callback, delay, ...args) => new Timeout(callback, delay, args, true),
    clearTimeout: clear,
    clearInterval: clear,
  };
  const wait = (delay, value, options = {}) =>
    new Promise((resolve, reject) => {
      const { signal, ref = true } = options;
      const abort = () => {
        timer._clear();
        reject(Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { code: "ABORT_ERR", name: "AbortError" }));
      };
      const timer = new Timeout(
        () => {
          signal?.removeEventListener("abort", abort);
          resolve(value);
        },
        delay,
        [],
        false,
      );
      if (!ref) timer.unref();
      if (signal?.aborted) abort();
      else signal?.addEventListener("abort", abort, { once: true });
    });
  Object.defineProperty(fake.setTimeout, promisify.custom, { value: wait });
  for (const [name, value] of Object.entries(fake)) {
    globalThis[name] = value;
    timers[name] = value;
  }
  timersPromises.setTimeout = wait;
  timersPromises.setInterval = async function* (delay, value, options) {
    for (;;) yield await wait(delay, value, options);
  };
  if (timersPromises.scheduler) timersPromises.scheduler.wait = (delay, options) => wait(delay, undefined, options);
  AbortSignal.timeout = (delay) => {
    const controller = new AbortController();
    const reason = () => controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
    new Timeout(reason, delay, [], false).unref();
    return controller.signal;
  };

  // Clocks.
  const FakeDate = new Proxy(real.Date, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length ? args : [milliseconds()], newTarget === FakeDate ? target : newTarget),
    apply: () => new real.Date(milliseconds()).toString(),
    get: (target, key) => (key === "now" ? milliseconds : Reflect.get(target, key)),
  });
  real.Date.prototype.constructor = FakeDate;
  globalThis.Date = FakeDate;
  Object.defineProperty(performance, "now", { value: sinceStart, configurable: true, writable: true });
  const hrtime = (before) => {
    const since = now - start;
    const [seconds, rest] = [Number(since / 1_000_000_000n), Number(since % 1_000_000_000n)];
    if (!before) return [seconds, rest];
    const [s, n] = [seconds - before[0], rest - before[1]];
    return n < 0 ? [s - 1, n + 1e9] : [s, n];
  };
  hrtime.bigint = () => now - start;
  process.hrtime = hrtime;

  // What is drawn.
  if (process.env.GOLEM_SEED) {
    const seed = [process.env.GOLEM_SEED, ...process.argv.slice(1)].join(" ");
    let state = crypto.createHash("sha256").update(seed).digest();
    let used = 0;
    const byte = () => {
      if (used === state.length) {
        state = crypto.createHash("sha256").update(state).digest();
        used = 0;
      }
      return state[used++];
    };
    const fill = (into) => {
      const bytes = ArrayBuffer.isView(into) ? new Uint8Array(into.buffer, into.byteOffset, into.byteLength) : new Uint8Array(into);
      for (let at = 0; at < bytes.length; at++) bytes[at] = byte();
      return into;
    };
    Math.random = () => {
      const four = fill(new Uint32Array(2));
      return (four[0] * 2 ** 21 + (four[1] >>> 11)) / 2 ** 53;
    };
    crypto.randomBytes = (size, callback) => {
      const bytes = fill(Buffer.alloc(size));
      if (!callback) return bytes;
      process.nextTick(callback, null, bytes);
    };
    crypto.randomFillSync = (into, offset = 0, size) => {
      const view = ArrayBuffer.isView(into) ? into : new Uint8Array(into);
      const width = view.BYTES_PER_ELEMENT ?? 1;
      fill(new Uint8Array(view.buffer, view.byteOffset + offset * width, size === undefined ? view.byteLength - offset * width : size * width));
      return into;
    };
    crypto.randomUUID = () => {
      const bytes = fill(Buffer.alloc(16));
      bytes[6] = (bytes[6] & 15) | 64;
      bytes[8] = (bytes[8] & 63) | 128;
      return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    };
    const web = Object.getPrototypeOf(crypto.webcrypto);
    Object.defineProperty(web, "getRandomValues", { value: fill, configurable: true, writable: true });
    Object.defineProperty(web, "randomUUID", { value: crypto.randomUUID, configurable: true, writable: true });
  }

  // The connections to the daemon.
  const kept = new Map();
  let closed = [];
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    this.once("connect", () => {
      const local = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
      if (this !== control && this.remotePort === daemonPort && local.includes(this.remoteAddress)) {
        const port = this.localPort;
        kept.set(this, port);
        this.once("close", () => {
          kept.delete(this);
          closed.push(port);
        });
      }
    });
    return connect.apply(this, args);
  };

  // Other processes. `gftp` answers each line with one; any other one says hello itself, or time stands while it lives.
  let orders = 0;
  const { ChildProcess } = childProcess;
  const spawn = ChildProcess.prototype.spawn;
  ChildProcess.prototype.spawn = function (options) {
    if (Array.isArray(options?.envPairs)) {
      options.envPairs = options.envPairs.filter((pair) => !pair.startsWith("GOLEM_NOW="));
      options.envPairs.push(`GOLEM_NOW=${now}`);
    }
    const result = spawn.call(this, options);
    const pid = this.pid;
    if (!pid) return result;
    let counted = false;
    const ends = () => {
      if (!counted && this.exitCode === null && this.signalCode === null) {
        counted = true;
        say(`child ${pid}`);
      }
    };
    this.prependListener("exit", () => {
      if (!counted) return;
      idle = false;
      say("busy"); // What it said before was that it waits for this.
      say(`gone ${pid}`);
    });
    const { kill } = this;
    this.kill = function (...args) {
      ends();
      const done = kill.apply(this, args);
      say(`signalled ${pid}`);
      return done;
    };
    if (path.basename(options.file) !== "gftp" || !this.stdin || !this.stdout) {
      ends();
      return result;
    }
    const lines = (data) => String(data).split("\n").length - 1;
    let open = 0;
    const { stdin, stdout } = this;
    const { write } = stdin;
    stdin.write = function (data, ...rest) {
      open += lines(data);
      orders += lines(data);
      if (String(data).includes('"shutdown"')) ends();
      return write.call(this, data, ...rest);
    };
    const { push } = stdout;
    stdout.push = function (data, ...rest) {
      const answered = Math.min(open, data === null ? open : lines(data));
      open -= answered;
      orders -= answered;
      return push.call(this, data, ...rest);
    };
    for (const name of ["end", "destroy"]) {
      const method = stdin[name];
      stdin[name] = function (...args) {
        ends();
        return method.apply(this, args);
      };
    }
    return result;
  };

  const signal = process.kill;
  process.kill = (pid, ...rest) => {
    const done = signal.call(process, pid, ...rest);
    say(`signalled ${pid}`);
    return done;
  };

  // The keeper.
  let control, answer = "", greeted = false, idle = false, checking = false, rounds = 0;
  const say = (line) => control.write(`${line}\n`);
  const gone = () => process.exit(70); // Whoever rehearses is gone: nothing here would ever go on.
  function hold(by) {
    held += by;
    if (control && greeted) held > 0 ? control.ref() : control.unref();
  }
  const [host, port] = keeper.match(/^(.*):(\d+)$/).slice(1);
  control = net.connect(Number(port), host);
  control.setNoDelay(true);
  control.once("connect", () => say(`hello ${process.pid} ${["node", ...process.argv.slice(1, 2).map((word) => path.basename(word))].join(" ")}`));
  control.on("error", gone).on("close", gone);
  control.on("data", (data) => {
    answer += data;
    const lines = answer.split("\n");
    answer = lines.pop();
    for (const line of lines) {
      const at = line.indexOf(" ");
      const [word, rest] = [line.slice(0, at), line.slice(at + 1)];
      if (word === "error") {
        process.stderr.write(`rehearse: the time keeper says: ${rest}\n`);
        process.exit(70);
      }
      const told = BigInt(rest);
      if (told > now) now = told;
      idle = false;
      if (word === "wake") say("got");
      else {
        greeted = true;
        hold(0);
      }
    }
    due();
  });
  process.once("exit", () => control.removeListener("close", gone));

  /** Calls the timers whose time has come, each in a turn of its own. */
  function due() {
    let first;
    for (const timer of pending.values()) {
      if (timer._due <= now && (!first || timer._due < first._due || (timer._due === first._due && timer._order < first._order))) first = timer;
    }
    if (!first) return look();
    if (first._repeats) first._set();
    else first._clear();
    running++;
    real.setImmediate(() => {
      running--;
      try {
        first._call();
      } finally {
        due();
      }
    });
  }
  let running = 0;

  // Work in other threads that the event loop does not list.
  for (const name of ["compile", "instantiate", "compileStreaming", "instantiateStreaming"]) {
    const method = WebAssembly[name];
    if (!method) continue;
    WebAssembly[name] = (...args) => {
      running++;
      const done = () => {
        running--;
        look();
      };
      const result = method.apply(WebAssembly, args);
      result.then(done, done);
      return result;
    };
  }

  // Whatever is called from the loop may have changed something.
  createHook({
    before() {
      look();
    },
  }).enable();
  function look() {
    if (checking) return;
    checking = true;
    rounds = 0;
    real.setImmediate(check);
  }

  const WAITING = new Set(["TCPSocketWrap", "TCPServerWrap", "PipeWrap", "PipeServerWrap", "TTYWrap", "ProcessWrap", "SignalWrap", "Timeout", "UDPWrap", "FSEventWrap", "StatWatcher"]);
  let last = "";
  /** Whether a process goes on because of a handle: an output does not, nor does a socket that nobody reads. */
  const keepsAlive = (handle) => {
    if (handle === control || handle.fd === 1 || handle.fd === 2) return false;
    if ("_handle" in handle && !handle._handle) return false;
    const inner = handle._handle ?? handle;
    if (inner.hasRef?.() === false) return false;
    return !(handle instanceof net.Socket) || handle.connecting || inner.reading === true;
  };
  /** Says that this process waits, if it does. */
  function check() {
    const active = process.getActiveResourcesInfo();
    const works = !greeted || running > 0 || orders > 0 || active.some((kind) => !WAITING.has(kind));
    // With nothing to wait for it ends now.
    if (!works && held === 0 && !process._getActiveHandles().some(keepsAlive)) {
      checking = false;
      return;
    }
    let words = "";
    if (!works) {
      let until;
      for (const timer of pending.values()) if (until === undefined || timer._due < until) until = timer._due;
      words = `idle ${until ?? "-"}`;
      for (const [socket, port] of kept) {
        const reads = socket._handle?.reading !== false || socket.destroyed;
        words += ` ${port}:${socket.bytesWritten}:${reads ? socket.bytesRead : "-"}`;
      }
      // Twice the same: nothing was left for the next turn.
      if (words === last) {
        checking = false;
        last = "";
        if (!idle || words !== said || closed.length) {
          said = words;
          idle = true;
          say(words + closed.map((port) => ` closed:${port}`).join(""));
          closed = [];
        }
        return;
      }
    }
    last = words;
    // What takes longer is not asked for all the time.
    if (++rounds < 200) real.setImmediate(check);
    else real.setTimeout(check, 2).unref();
  }
  let said = "";

  require("node:module").syncBuiltinESMExports();
  look();
})();
