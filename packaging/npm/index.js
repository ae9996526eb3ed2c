// Rehearse requestors of the Golem Network offline: a simulated network in real time, a program in virtual time.
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

/** The network refuses what was asked of it. */
class Refused extends Error {
  name = "Refused";
}

/** The path of `rehearse` or `mock-yagna`: in the folder of the variable GOLEM_PROGRAMS, or of this package. */
function program(name) {
  const here = path.join(__dirname, "programs", `${process.platform}-${process.arch}`);
  for (const folder of [process.env.GOLEM_PROGRAMS, here]) {
    if (folder && fs.existsSync(path.join(folder, name))) return path.join(folder, name);
  }
  throw new Error(`${name} is not there for ${process.platform}-${process.arch}: name a folder that has it in GOLEM_PROGRAMS`);
}

const temporary = () => fs.mkdtempSync(path.join(os.tmpdir(), "golem-rehearsal-"));
const running = new Set();
process.once("exit", () => {
  for (const child of running) child.kill();
});

/** A simulated Golem Network behind a yagna daemon, in real time. */
class Network {
  constructor(url, appKey, child, folder) {
    Object.assign(this, { url: url.replace(/\/$/, ""), appKey });
    Object.defineProperties(this, { _child: { value: child }, _folder: { value: folder } });
  }

  /** Starts one of `providers` machines, or as a network `file` says. */
  static async start({ providers = 4, file, seed = 1, appKey = "secret", options = [] } = {}) {
    const words = ["--listen", "127.0.0.1:0", "--app-key", appKey, "--seed", String(seed)];
    words.push(...(file ? ["--scenario", file] : ["--providers", String(providers)]), ...options);
    const folder = temporary();
    const log = fs.openSync(path.join(folder, "log"), "w");
    const child = spawn(program("mock-yagna"), words, { stdio: ["ignore", "pipe", log] });
    fs.closeSync(log);
    running.add(child);
    child.once("exit", () => running.delete(child));
    const url = await new Promise((resolve, reject) => {
      let said = "";
      child.stdout.on("data", (data) => {
        said += data;
        const found = /YAGNA_API_URL=(\S+)\n[^]*YAGNA_APPKEY=.*\n/.exec(said);
        if (found) resolve(found[1]);
      });
      child.once("error", reject);
      child.once("exit", (code) => {
        const why = fs.readFileSync(path.join(folder, "log"), "utf8").trim();
        reject(new Refused(why || `mock-yagna ended with ${code}`));
      });
    });
    // Neither keeps this process alive.
    child.unref();
    child.stdout.unref();
    return new Network(url, appKey, child, folder);
  }

  /** The variables for clients, with a PATH on which `gftp` is. */
  get environment() {
    const bin = path.join(this._folder, "bin");
    if (!fs.existsSync(bin)) {
      fs.mkdirSync(bin);
      const rehearse = program("rehearse").replaceAll("'", "'\\''");
      fs.writeFileSync(path.join(bin, "gftp"), `#!/bin/sh\nexec '${rehearse}' gftp "$@"\n`, { mode: 0o755 });
    }
    return {
      YAGNA_API_URL: this.url,
      YAGNA_APPKEY: this.appKey,
      YAGNA_SUBNET: "public",
      YAGNA_PAYMENT_NETWORK: "hoodi",
      YAGNA_PAYMENT_DRIVER: "erc20",
      PATH: `${bin}${path.delimiter}${process.env.PATH ?? ""}`,
    };
  }

  /** A request to the control API (`/mock-api/v1`). */
  async control(method, where, body) {
    const answer = await fetch(`${this.url}/mock-api/v1${where}`, {
      method,
      headers: { Authorization: `Bearer ${this.appKey}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    let told;
    try {
      told = text ? JSON.parse(text) : undefined;
    } catch {
      told = { message: text };
    }
    if (!answer.ok) throw new Refused(`${method} ${where}: ${told?.message ?? answer.status}`);
    return told;
  }

  /** Interferes: `act("die", { provider: "bob" })`. */
  act(name, how = {}) {
    return this.control("POST", "/acts", { [name]: how });
  }

  /** Adds a fault and tells its name: `addFault("confirmAgreement", "lose_answer", { count: 1 })`. */
  async addFault(on, effect, how = {}) {
    return (await this.control("POST", "/faults", { on, do: effect, ...how })).name;
  }

  liftFaults() {
    return this.control("DELETE", "/faults");
  }

  providers() {
    return this.control("GET", "/providers");
  }

  matches() {
    return this.control("GET", "/matching");
  }

  /** What happened, in order: all of it, or the events of one name. */
  async events(name) {
    const found = [];
    for (let since = 0; ; ) {
      const page = await this.control("GET", `/journal?since=${since}`);
      if (page.length === 0) return found;
      found.push(...page.filter((event) => name === undefined || event.event === name));
      since = page.at(-1).seq + 1;
    }
  }

  /** Money and machines in numbers, what is wrong in the books (`violations`), what is left open (`open`). */
  summary() {
    return this.control("GET", "/ledger");
  }

  /** Throws if a law was broken, or, unless that is fine, something is left open. */
  async check({ openIsFine = true } = {}) {
    const { violations, open } = await this.summary();
    const wrong = [...violations, ...(openIsFine ? [] : open)];
    if (wrong.length) throw new Error(wrong.map((each) => JSON.stringify(each)).join("\n"));
  }

  reset() {
    return this.control("POST", "/reset");
  }

  /** The network's time, as text. */
  async now() {
    return (await this.control("GET", "/time")).now;
  }

  /** Moves time on that is held (`start({ options: ["--time", "held"] })`): `advance("2h")`. Tells the new time. */
  async advance(by) {
    return (await this.control("POST", "/time", { advance: by })).now;
  }

  /** Keeps the state of now under a name; not while a command runs. */
  save(name) {
    return this.control("PUT", `/snapshots/${encodeURIComponent(name)}`);
  }

  /** Goes back to a state that was kept; requests under way end without an answer. */
  load(name) {
    return this.control("POST", `/snapshots/${encodeURIComponent(name)}`);
  }

  /** What the daemon has told of what happened, for people. */
  log() {
    return fs.readFileSync(path.join(this._folder, "log"), "utf8");
  }

  async stop() {
    if (this._child.exitCode === null && this._child.signalCode === null) {
      this._child.ref();
      const ended = new Promise((resolve) => this._child.once("exit", resolve));
      this._child.kill();
      await ended;
    }
    fs.rmSync(this._folder, { recursive: true, force: true });
  }
}

/** Runs a program with `rehearse exec`, in virtual time: `rehearse(["node", "requestor.js"], { providers: 8 })`. */
async function rehearse(command, { scenario, providers, seed, out = temporary(), time, busy, html = false, env, cwd } = {}) {
  const words = ["exec", "--json", "--out", out];
  if (scenario) words.push(scenario);
  for (const [option, value] of Object.entries({ providers, seed, time, busy })) {
    if (value !== undefined) words.push(`--${option}`, String(value));
  }
  if (html) words.push("--html");
  const child = spawn(program("rehearse"), [...words, "--", ...command], { stdio: ["ignore", "pipe", "pipe"], env: env ?? process.env, cwd });
  running.add(child);
  const said = { stdout: [], stderr: [] };
  for (const [name, pieces] of Object.entries(said)) child[name].on("data", (piece) => pieces.push(piece));
  const exitCode = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  running.delete(child);
  const text = (name) => Buffer.concat(said[name]).toString();
  let report;
  try {
    report = JSON.parse(text("stdout"));
  } catch {
    report = {};
  }
  if (!report.expectations) throw new Refused(text("stderr").trim() || text("stdout"));
  return new Rehearsal(report, text("stderr"), path.resolve(cwd ?? "", out), exitCode);
}

/** What came of a program. */
class Rehearsal {
  constructor(report, output, folder, exitCode) {
    Object.assign(this, { ok: exitCode === 0, report, output, folder, exitCode });
  }

  /** What happened on the network, in order: all of it, or the events of one name. */
  events(name) {
    const lines = fs.readFileSync(path.join(this.folder, "journal.jsonl"), "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line)).filter((line) => line.from === "network" && (name === undefined || line.event === name));
  }

  /** What does not hold, in lines. */
  wrong() {
    const failed = this.report.expectations.filter((each) => !each.ok).map((each) => `${each.expectation}: ${each.found}`);
    return [...failed, ...this.report.violations, ...this.report.open];
  }
}

/** The helpers for a test framework with these hooks and this `expect`. */
function helpers({ beforeEach, afterEach, expect }) {
  expect.extend({
    toHold(rehearsal) {
      const wrong = rehearsal.wrong();
      return {
        pass: rehearsal.ok,
        message: () => (rehearsal.ok ? "the rehearsal holds" : `${wrong.join("\n")}\nthe whole journal: ${rehearsal.folder}/journal.jsonl\n${rehearsal.output}`),
      };
    },
  });
  return {
    /** A network for each test of this file or `describe`, to which the variables of SDKs lead; its books are looked at when the test ends. */
    useNetwork(options) {
      const used = {};
      let before;
      beforeEach(async () => {
        used.network = await Network.start(options);
        before = { ...process.env };
        Object.assign(process.env, used.network.environment);
      });
      afterEach(async () => {
        const { network } = used;
        if (!network) return;
        for (const name of Object.keys(network.environment)) {
          if (before[name] === undefined) delete process.env[name];
          else process.env[name] = before[name];
        }
        delete used.network;
        try {
          await network.check();
        } finally {
          await network.stop();
        }
      });
      return used;
    },
    rehearse,
    Network,
    Refused,
  };
}

module.exports = { Network, Refused, Rehearsal, helpers, program, rehearse };
