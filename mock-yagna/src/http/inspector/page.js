"use strict";
// Everything that comes from the network is put in as text, never as markup.
const API = "/mock-api/v1";
const EVERY = 1000; // milliseconds between two looks
const ROWS = 40; // providers on the time line
const LINES = 500; // of the story
const $ = (id) => document.getElementById(id);
const make = (name, text, kind) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
};
const short = (id) => String(id).replace(/^[RP]-/, "").slice(0, 8);
const glm = (text) => String(text).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
const clock = (at) => (at ? new Date(at).toISOString().replace("T", " ").replace(/\.\d+Z$/, "Z") : "");

let key = sessionStorage.getItem("key") ?? "";
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  key = given;
  sessionStorage.setItem("key", key);
  history.replaceState(null, "", location.pathname); // not in the history of the browser
}

const trouble = (words) => {
  $("trouble").textContent = words;
  $("trouble").hidden = !words;
};

class Refused extends Error {}
async function ask(method, path, body) {
  const answer = await fetch(API + path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (answer.status === 401) throw new Refused("this app key is not known here");
  let value = text;
  try { value = JSON.parse(text); } catch { /* words */ }
  if (!answer.ok) throw new Error(value?.message ?? `${method} ${path}: ${answer.status} ${text}`);
  return value;
}

async function act(method, path, body) {
  try {
    await ask(method, path, body);
    trouble("");
  } catch (error) {
    trouble(error.message);
  }
  await look();
}
const button = (text, what, label) => {
  const node = make("button", text);
  node.type = "button";
  node.setAttribute("aria-label", label ?? text);
  node.addEventListener("click", what);
  return node;
};

// Rows are kept by their key, so that the focus stays where it is while the page goes on.
function rows(body, items, id, fill) {
  const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
  items.forEach((item, at) => {
    const name = String(id(item));
    const row = old.get(name) ?? make(body.tagName === "TBODY" ? "tr" : "li");
    old.delete(name);
    row.dataset.key = name;
    fill(row, item);
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
  for (const row of old.values()) row.remove();
}
function cells(row, contents) {
  while (row.children.length < contents.length) row.append(make("td"));
  contents.forEach((content, at) => {
    const cell = row.children[at];
    if (content === undefined) return; // as it was
    const { text = content, kind = "", title = "" } = content ?? {};
    if (cell.textContent !== String(text)) cell.textContent = text;
    cell.className = kind;
    cell.title = title;
  });
}

function showProviders(providers) {
  rows($("providers").tBodies[0], providers.slice(0, 200), (it) => it.name, (row, it) => {
    const first = row.children.length === 0;
    const state = !it.online ? "offline" : it.behaviour.silent ? "silent" : "online";
    const price = `${glm(it.prices.duration_sec)} + ${glm(it.prices.cpu_sec)} × cpu`;
    cells(row, [
      { text: it.name, title: it.id },
      { text: state, kind: state === "online" ? "good" : "bad" },
      String(it.agreements.length), price, undefined,
    ]);
    row.dataset.online = it.online;
    row.dataset.silent = it.behaviour.silent;
    if (first) {
      const of = { provider: it.name };
      const acts = make("div", undefined, "acts");
      const order = (what) => act("POST", "/acts", what);
      acts.append(
        button("end agreements", () => order({ terminate_agreement: of }), `${it.name}: end its agreements`),
        button("kill activity", () => order({ kill_activity: of }), `${it.name}: kill its activities`),
        button("on/off", () => order({ set_online: { ...of, online: row.dataset.online !== "true" } }), `${it.name}: go on- or offline`),
        button("silent", () => order({ go_silent: { ...of, silent: row.dataset.silent !== "true" } }), `${it.name}: stop or begin to answer`),
        button("die", () => order({ die: of }), `${it.name}: vanish for good`),
      );
      row.children[4].append(acts);
    }
  });
}

function showAgreements(agreements) {
  rows($("agreements").tBodies[0], agreements.slice(0, 100), (it) => it.id, (row, it) => {
    const activities = it.activities.map((a) => `${short(a.id)} ${a.state}${a.busy ? ", at work" : ""}`);
    const last = it.documents.filter((d) => d.kind === "debit_note").at(-1);
    const invoices = it.documents.filter((d) => d.kind === "invoice");
    const documents = invoices.map((d) => `invoice ${glm(d.amount)} GLM ${d.status.toLowerCase()}`);
    if (last && !invoices.length) documents.push(`debit notes ${glm(last.amount)} GLM ${last.status.toLowerCase()}`);
    cells(row, [
      { text: short(it.id), title: it.id }, it.provider,
      { text: it.state, kind: it.state === "Approved" ? "good" : "dim" },
      clock(it.approved_at ?? it.created_at), activities.join("; "), documents.join("; "),
    ]);
  });
}

function drawLine(agreements, time) {
  const svg = $("line"), wanted = $("filter").value.toLowerCase();
  const by = new Map();
  for (const it of agreements) {
    if (!it.provider.toLowerCase().includes(wanted)) continue;
    if (!by.has(it.provider)) by.set(it.provider, []);
    by.get(it.provider).push(it);
  }
  const names = [...by.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).slice(0, ROWS);
  const width = svg.clientWidth || 900, left = Math.min(140, width / 4), high = 20;
  const begin = Date.parse(time.began), end = Math.max(Date.parse(time.now), begin + 1000);
  const x = (at) => left + ((Date.parse(at) - begin) / (end - begin)) * (width - left - 4);
  const parts = [];
  const shape = (name, attributes, words) => {
    const node = document.createElementNS(svg.namespaceURI, name);
    for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
    if (words && name === "text") node.textContent = words;
    else if (words) {
      const title = document.createElementNS(svg.namespaceURI, "title");
      title.textContent = words;
      node.append(title);
    }
    parts.push(node);
  };
  const bar = (kind, from, to, y, height, words) =>
    shape("rect", { class: kind, x: x(from), y, width: Math.max(2, x(to) - x(from)), height, rx: 2 }, words);
  names.forEach((name, row) => {
    const y = row * high;
    shape("text", { x: 0, y: y + 14 }, name.length > 18 ? `${name.slice(0, 17)}…` : name);
    for (const it of by.get(name)) {
      const over = ["Approved", "Pending", "Proposal"].includes(it.state) ? time.now : it.ended_at ?? it.created_at;
      bar("agreement", it.approved_at ?? it.created_at, over, y + 3, 14, `agreement ${it.id}: ${it.state}`);
      for (const a of it.activities) {
        bar(a.busy ? "busy" : "activity", a.created_at, a.destroyed_at ?? time.now, y + 6, 6, `activity ${a.id}: ${a.state}`);
      }
      for (const d of it.documents) {
        const words = `${d.kind.replace("_", " ")} ${short(d.id)}: ${glm(d.amount)} GLM, ${d.status.toLowerCase()}`;
        shape("circle", { class: "invoice", cx: x(d.at), cy: y + 15, r: d.kind === "invoice" ? 3.5 : 2 }, words);
      }
    }
  });
  const bottom = names.length * high;
  shape("line", { class: "axis", x1: left, x2: width, y1: bottom + 2, y2: bottom + 2 });
  shape("text", { x: left, y: bottom + 16 }, clock(time.began).slice(11));
  shape("text", { x: width - 4, y: bottom + 16, "text-anchor": "end" }, clock(time.now).slice(11));
  if (!names.length) shape("text", { x: left, y: 14 }, wanted ? "no agreement with such a provider" : "no agreement yet");
  svg.setAttribute("viewBox", `0 0 ${width} ${Math.max(bottom, high) + 22}`);
  svg.replaceChildren(...parts);
}

let names = new Map(); // of providers by their address
// Ids by their first digits, addresses by the provider's name.
const brief = (text) => text.replace(/0x[0-9a-f]{40}/g, (node) => names.get(node) ?? node)
  .replace(/(?:[RP]-)?\b[0-9a-f]{32,}(?:-[0-9a-f]{32,})?/g, short);
const line = (text) => Object.assign(make("li", brief(text)), { title: text });
function showWaiting(waiting) {
  const requests = (it) => (it.requests === 1 ? "" : ` (${it.requests} requests)`);
  rows($("polls"), waiting.polls, (it) => it.on, (row, it) => { row.textContent = brief(it.on) + requests(it); row.title = it.on; });
  if (!waiting.polls.length) $("polls").replaceChildren(make("li", "no request waits", "dim"));
  $("timers").replaceChildren(...waiting.timers.map((it) => line(`${clock(it.at).slice(11)} ${it.what}`)));
  const more = waiting.timers_in_all - waiting.timers.length;
  if (more > 0) $("timers").append(make("li", `and ${more} more`, "dim"));
}

function showFaults(faults) {
  rows($("faults"), faults, (it) => it.name, (row, it) => {
    const effect = typeof it.rule.do === "string" ? it.rule.do : JSON.stringify(it.rule.do);
    const words = `${it.name}: ${effect} on ${[it.rule.on].flat().join(", ")}; ${it.hits} hit `;
    if (!row.firstChild) {
      row.append(document.createTextNode(""),
        button("lift", () => act("DELETE", `/faults/${encodeURIComponent(it.name)}`), `lift ${it.name}`));
    }
    row.firstChild.textContent = words;
  });
}

function showSnapshots(snapshots) {
  rows($("snapshots"), snapshots, (it) => it.name, (row, it) => {
    if (!row.firstChild) {
      const path = `/snapshots/${encodeURIComponent(it.name)}`;
      row.append(document.createTextNode(""),
        button("go back to it", async () => { await act("POST", path); told = 0; $("story").replaceChildren(); }, `go back to ${it.name}`), " ",
        button("forget", () => act("DELETE", path), `forget ${it.name}`));
    }
    row.firstChild.textContent = `${it.name}: ${clock(it.at)}, ${it.agreements} agreements so far `;
  });
}

let told = 0; // the number of the next line of the story
function showStory(lines) {
  const list = $("story"), atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  for (const it of lines) {
    list.append(make("li", it.line));
    told = it.seq + 1;
  }
  while (list.children.length > LINES) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showBooks(ledger) {
  const wrong = ledger.violations.length;
  $("books").textContent = `${ledger.agreements} agreements, ${ledger.invoices_paid} of ${ledger.invoices} invoices paid, ` +
    `${glm(ledger.paid)} of ${glm(ledger.invoiced)} GLM` + (wrong ? `; ${wrong} laws broken` : "");
  $("books").className = wrong ? "bad" : "";
}

let looking = false;
async function look() {
  if (looking) return;
  looking = true;
  try {
    const paths = ["/time", "/providers", "/agreements?max=500", "/waiting", "/faults", "/snapshots", "/ledger", `/story?since=${told}&max=1000`];
    const [time, providers, agreements, waiting, faults, snapshots, ledger, story] = await Promise.all(paths.map((path) => ask("GET", path)));
    $("login").hidden = true;
    $("main").hidden = false;
    $("step").hidden = !time.held;
    $("clock").textContent = clock(time.now) + (time.held ? " (held)" : "");
    names = new Map(providers.map((it) => [it.id, it.name]));
    showProviders(providers);
    showAgreements(agreements);
    drawLine(agreements, time);
    showWaiting(waiting);
    showFaults(faults);
    showSnapshots(snapshots);
    showBooks(ledger);
    showStory(story);
    if ($("trouble").dataset.lost) { trouble(""); delete $("trouble").dataset.lost; }
  } catch (error) {
    if (error instanceof Refused) {
      if (key) trouble(error.message);
      $("login").hidden = false;
      $("main").hidden = true;
    } else {
      $("trouble").dataset.lost = "yes";
      trouble(`the daemon does not answer: ${error.message}`);
    }
  } finally {
    looking = false;
  }
}

const sent = (form, what) => $(form).addEventListener("submit", (event) => {
  event.preventDefault();
  what(new FormData(event.target));
});
sent("login", (data) => { key = data.get("key"); sessionStorage.setItem("key", key); trouble(""); look(); });
sent("step", (data) => act("POST", "/time", { advance: data.get("by") }));
sent("snapshot", (data) => act("PUT", `/snapshots/${encodeURIComponent(data.get("name"))}`));
sent("fault", (data) => act("POST", "/faults", { on: data.get("on"), do: data.get("do"), ...(data.get("count") ? { count: Number(data.get("count")) } : {}) }));
$("restart").addEventListener("click", () => act("POST", "/acts", { restart_daemon: { down: "5s" } }));
$("filter").addEventListener("input", look);
setInterval(() => { if (!document.hidden && !$("main").hidden) look(); }, EVERY);
look();
