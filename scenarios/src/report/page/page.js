"use strict";
// Draws the time line and the charts of a run from the data in this page. Everything that came from outside
// becomes text nodes or letters on a canvas, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const KINDS = data.kinds;
  const [JOB, STATE, TASK] = [KINDS.indexOf("job"), KINDS.indexOf("instance"), KINDS.indexOf("task")];
  const PAYMENT = KINDS.indexOf("payment");
  const ENDINGS = ["open", "well", "badly"];
  const BADLY = 2;
  const spans = data.spans.map((s, index) => ({
    index, kind: s[0], party: s[1], from: s[2], to: s[2] + s[3], ending: s[4], title: s[5], part: s[6], why: s[7],
    amount: s[8], lines: s[9], mentioned: s[10], id: s[11],
  }));
  const marks = data.marks.map((m, index) => ({
    index, mark: true, from: m[0], to: m[0], party: m[1], sort: m[2], title: m[3], lines: [m[4]], mentioned: 1,
  }));
  const parties = data.parties.map(([role, name, node]) => ({ role, name, node }));
  const $ = (id) => document.getElementById(id);
  const el = (tag, text, cls) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (cls) node.className = cls;
    return node;
  };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // ----- words -----
  const time = (us) => {
    const s = us / 1e6;
    if (Math.abs(s) < 0.001) return Math.round(us) + " µs";
    if (Math.abs(s) < 1) return +(us / 1000).toFixed(us < 1e5 ? 1 : 0) + " ms";
    if (s < 60) return +s.toFixed(s < 10 ? 2 : 1) + " s";
    const t = +s.toFixed(s < 600 ? 1 : 0), [h, m, rest] = [Math.floor(t / 3600), Math.floor(t / 60) % 60, t % 60];
    const sec = rest === 0 ? "" : " " + +rest.toFixed(s < 600 ? 1 : 0) + "s";
    return (h ? h + "h " : "") + (h || m ? m + "m" : "") + sec;
  };
  const glm = (number) => (number === 0 ? "0" : number < 0.0001 ? number.toExponential(1) : +number.toPrecision(4) + "") + " GLM";
  const count = (n, one) => n + " " + one + (n === 1 ? "" : "s");

  // ----- rows -----
  const lanesOf = (items) => {
    const lanes = [];
    for (const item of items) {
      let lane = lanes.find((lane) => lane.end <= item.from);
      if (!lane) {
        if (lanes.length < 6) lanes.push((lane = { end: 0, items: [] }));
        else lane = lanes.reduce((a, b) => (a.end <= b.end ? a : b));
      }
      lane.items.push(item);
      lane.end = Math.max(lane.end, item.to);
    }
    return lanes.map((lane) => lane.items);
  };
  const THICK = { job: 8, instance: 12, task: 8, negotiation: 4, agreement: 10, activity: 8, batch: 6, invoice: 5, payment: 5 };
  const makeRow = (label, group, items, rowMarks) => {
    const row = { label, group, lanes: [], marks: rowMarks, items: items.length, trouble: false, rented: false };
    for (let kind = 0; kind < KINDS.length; kind++) {
      const own = items.filter((s) => s.kind === kind).sort((a, b) => a.from - b.from || b.to - a.to);
      if (kind === 4 && own.length) row.rented = true;
      for (const list of lanesOf(own)) row.lanes.push({ kind, items: list, thick: THICK[KINDS[kind]] });
    }
    row.trouble = items.some((s) => s.ending === BADLY && KINDS[s.kind] !== "negotiation") || rowMarks.some((m) => m.sort === "trouble" || m.sort === "law");
    const thick = row.lanes.reduce((sum, lane) => sum + lane.thick + 2, 0);
    row.high = Math.max(22, thick + 8);
    row.all = items.concat(rowMarks).sort((a, b) => a.from - b.from || a.to - b.to);
    return row;
  };
  const rows = [];
  const several = parties.filter((party) => party.role === "requestor").length > 1;
  {
    const of = parties.map(() => []), markOf = parties.map(() => []);
    for (const s of spans) (of[s.party] || of[0]).push(s);
    for (const m of marks) (markOf[m.party] || markOf[0]).push(m);
    parties.forEach((party, index) => {
      if (party.role === "run") {
        if (of[index].length || markOf[index].length) rows.push(makeRow("run", "run", of[index], markOf[index]));
      } else if (party.role === "requestor") {
        const whose = several ? party.name + "/" : "";
        const rest = of[index].filter((s) => s.kind !== STATE);
        const jobs = rest.filter((s) => s.kind === JOB), other = rest.filter((s) => s.kind !== JOB && s.kind !== TASK && s.kind !== PAYMENT);
        if (jobs.length || other.length || markOf[index].length) rows.push(makeRow(party.name, "run", jobs.concat(other), markOf[index]));
        const byInstance = new Map();
        for (const s of of[index]) if (s.kind === STATE) (byInstance.get(s.id) || byInstance.set(s.id, []).get(s.id)).push(s);
        for (const list of byInstance.values()) { const name = list[0].title.replace(/ \w+$/, ""); rows.push(makeRow(name.startsWith(whose) ? name : whose + name, "work", list, [])); }
        const tasks = rest.filter((s) => s.kind === TASK);
        if (tasks.length) rows.push(makeRow(whose + (tasks.length === 1 ? "task" : count(tasks.length, "task")), "work", tasks, []));
        const payments = rest.filter((s) => s.kind === PAYMENT);
        if (payments.length) rows.push(makeRow(whose + "payments", "work", payments, []));
      } else {
        rows.push(makeRow(party.name, "providers", of[index], markOf[index]));
      }
    });
  }

  // ----- the time line -----
  const frame = $("frame"), scroll = $("scroll"), canvas = $("canvas"), pad = $("pad"), tip = $("tip"), details = $("details");
  const draw2d = canvas.getContext("2d");
  const AXIS = 24;
  const whole = Math.max(data.length, 1);
  const view = { from: 0, to: whole };
  let shown = [], tops = [], total = 0, wide = 0, high = 0, side = 150, selected = null, at = { row: 0, item: -1 };
  const many = rows.length > 60;
  $("rows").value = many ? "providers" : "all";

  const choose = () => {
    const words = $("filter").value.trim().toLowerCase();
    const which = $("rows").value, only = $("only").value;
    shown = rows.filter((row) => {
      if (row.group !== "run" && which !== "all" && which !== row.group) return false;
      if (words && !row.label.toLowerCase().includes(words)) return false;
      if (only === "trouble" && !row.trouble) return false;
      return !(only === "rented" && row.group === "providers" && !row.rented);
    });
    tops = [];
    total = 0;
    for (const row of shown) { tops.push(total); total += row.high + (narrow() ? 14 : 0); }
    at = { row: Math.min(at.row, Math.max(0, shown.length - 1)), item: -1 };
    $("told").textContent = `${shown.length} of ${rows.length} rows`;
    document.body.dataset.rows = shown.length;
    size();
  };
  const narrow = () => frame.clientWidth < 620;
  const size = () => {
    side = narrow() ? 0 : Math.min(210, Math.max(110, frame.clientWidth * 0.15));
    wide = scroll.clientWidth || frame.clientWidth;
    const most = Math.max(220, Math.round(innerHeight * 0.7));
    high = Math.max(90, Math.min(total + AXIS + 4, most));
    const dense = devicePixelRatio || 1;
    canvas.width = Math.round(wide * dense);
    canvas.height = Math.round(high * dense);
    canvas.style.width = wide + "px";
    canvas.style.height = high + "px";
    scroll.style.height = high + "px";
    pad.style.height = Math.max(0, total + AXIS + 4 - high) + "px";
    draw2d.setTransform(dense, 0, 0, dense, 0, 0);
    draw();
  };
  const x = (us) => side + ((us - view.from) / (view.to - view.from)) * (wide - side);
  const back = (px) => view.from + ((px - side) / (wide - side)) * (view.to - view.from);
  const labelHigh = () => (narrow() ? 14 : 0);
  const rowAt = (y) => {
    let [low, up] = [0, tops.length - 1];
    while (low < up) {
      const middle = (low + up + 1) >> 1;
      if (tops[middle] <= y) low = middle; else up = middle - 1;
    }
    return low;
  };
  const step = (range, room) => {
    const wanted = range / Math.max(2, room / 90);
    const units = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3]).concat([1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 604800].map((s) => s * 1e6)).sort((a, b) => a - b);
    return units.find((unit) => unit >= wanted) || wanted;
  };
  const STATES = ["pending", "starting", "running", "stopping"];
  let inks = {};
  const readInks = () => {
    inks = {};
    for (const name of ["back", "panel", "ink", "soft", "line", "grid", "good", "bad", "open", "focus", ...KINDS, ...STATES]) inks[name] = css(name) || "#888";
  };
  const inkOf = (item) => {
    if (item.mark) return { law: inks.bad, trouble: inks.bad, fault: inks.open, step: inks.focus, note: inks.soft }[item.sort];
    if (item.kind === STATE) return inks[STATES.find((state) => item.title.endsWith(" " + state)) || "pending"];
    return inks[KINDS[item.kind]];
  };
  const first = (items, us) => {
    let [low, up] = [0, items.length];
    while (low < up) {
      const middle = (low + up) >> 1;
      if (items[middle].to < us) low = middle + 1; else up = middle;
    }
    return low;
  };
  const drawMark = (px, y, ink, big) => {
    const r = big ? 6 : 4;
    draw2d.fillStyle = ink;
    draw2d.beginPath();
    draw2d.moveTo(px, y - r); draw2d.lineTo(px + r, y); draw2d.lineTo(px, y + r); draw2d.lineTo(px - r, y);
    draw2d.closePath();
    draw2d.fill();
  };
  const draw = () => {
    if (!wide) return;
    const c = draw2d, top = scroll.scrollTop;
    c.fillStyle = inks.panel;
    c.fillRect(0, 0, wide, high);
    c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.textBaseline = "middle";
    const unit = step(view.to - view.from, wide - side);
    c.strokeStyle = inks.grid;
    c.beginPath();
    for (let us = Math.ceil(view.from / unit) * unit; us <= view.to; us += unit) {
      c.moveTo(Math.round(x(us)) + 0.5, AXIS); c.lineTo(Math.round(x(us)) + 0.5, high);
    }
    c.stroke();
    for (let index = tops.length ? rowAt(top) : 0; index < shown.length; index++) {
      const row = shown[index], y = AXIS + tops[index] - top;
      if (y > high) break;
      c.fillStyle = inks.grid;
      c.fillRect(0, y, wide, 1);
      if (index === at.row && document.activeElement === canvas) {
        c.globalAlpha = 0.35;
        c.fillRect(0, y, wide, row.high + labelHigh());
        c.globalAlpha = 1;
      }
      drawRow(row, y);
    }
    c.fillStyle = inks.panel;
    c.fillRect(0, 0, wide, AXIS);
    c.fillStyle = inks.line;
    c.fillRect(0, AXIS - 1, wide, 1);
    c.fillStyle = inks.soft;
    c.textAlign = "center";
    for (let us = Math.ceil(view.from / unit) * unit; us <= view.to; us += unit) {
      const px = x(us), text = us === 0 ? "0" : time(us), half = c.measureText(text).width / 2;
      if (px - half >= side - 4 || narrow()) c.fillText(text, Math.min(Math.max(px, half + 2), wide - half - 4), AXIS / 2);
    }
    c.textAlign = "left";
    if (!shown.length) c.fillText("nothing matches the filter", side + 10, AXIS + 24);
  };
  const fit = (text, room) => {
    if (draw2d.measureText(text).width <= room) return text;
    let cut = text.slice(0, Math.max(1, Math.floor(room / 5)));
    while (cut.length > 1 && draw2d.measureText(cut + "…").width > room) cut = cut.slice(0, -1);
    return cut + "…";
  };
  const drawRow = (row, y) => {
    const c = draw2d;
    c.save();
    c.beginPath();
    c.rect(side, y, wide - side, row.high + labelHigh());
    c.clip();
    let laneY = y + labelHigh() + Math.max(4, (row.high - row.lanes.reduce((sum, lane) => sum + lane.thick + 2, 0)) / 2);
    for (const lane of row.lanes) {
      let lastPx = -2;
      for (let i = first(lane.items, view.from); i < lane.items.length; i++) {
        const item = lane.items[i];
        if (item.from > view.to) break;
        const [left, right] = [Math.max(x(item.from), side - 2), Math.min(x(item.to), wide + 2)];
        if (right < lastPx + 0.5 && item.ending !== BADLY && item !== selected) continue;
        const width = Math.max(1.5, right - left - (right - left > 4 ? 1 : 0));
        c.fillStyle = inkOf(item);
        c.globalAlpha = item.ending === 0 && item.kind !== STATE ? 0.55 : 1;
        c.fillRect(left, laneY, width, lane.thick);
        c.globalAlpha = 1;
        if (item.ending === BADLY) {
          // A bad end is red where it is seen: at the end.
          const cap = Math.min(width, 10);
          c.fillStyle = inks.bad;
          c.fillRect(left + width - cap, laneY - 1, cap, lane.thick + 2);
        }
        if (item === selected) {
          c.strokeStyle = inks.ink;
          c.lineWidth = 2;
          c.strokeRect(left - 1, laneY - 1, width + 2, lane.thick + 2);
          c.lineWidth = 1;
        }
        lastPx = left + width;
      }
      laneY += lane.thick + 2;
    }
    let lastMark = -9;
    for (const mark of row.marks) {
      if (mark.from < view.from || mark.from > view.to) continue;
      const px = x(mark.from), serious = mark.sort === "law" || mark.sort === "trouble" || mark === selected;
      if (px < lastMark + 2 && !serious) continue;
      lastMark = px;
      drawMark(px, y + labelHigh() + row.high / 2, inkOf(mark), mark === selected);
    }
    c.restore();
    c.fillStyle = row.trouble ? inks.bad : inks.ink;
    const label = (row.trouble ? "✗ " : "") + row.label;
    if (narrow()) c.fillText(fit(label, wide - 10), 4, y + 8);
    else c.fillText(fit(label, side - 14), 8, y + row.high / 2);
  };

  // ----- what is under the pointer or chosen -----
  const pick = (px, py) => {
    const y = py - AXIS + scroll.scrollTop;
    if (py < AXIS || !shown.length || y > total) return null;
    const index = rowAt(y), row = shown[index];
    const us = back(px), slack = ((view.to - view.from) / (wide - side)) * 4;
    const near = (mark) => Math.abs(mark.from - us) <= slack * 1.5;
    let laneY = tops[index] + labelHigh() + Math.max(4, (row.high - row.lanes.reduce((sum, lane) => sum + lane.thick + 2, 0)) / 2);
    const mark = row.marks.filter(near).sort((a, b) => Math.abs(a.from - us) - Math.abs(b.from - us))[0];
    if (mark && Math.abs(y - tops[index] - labelHigh() - row.high / 2) < 7) return { row: index, item: mark };
    let best = null;
    for (const lane of row.lanes) {
      const inside = y >= laneY - 2 && y <= laneY + lane.thick + 1;
      for (let i = Math.max(0, first(lane.items, us - slack)); i < lane.items.length && lane.items[i].from <= us + slack; i++) {
        const item = lane.items[i], off = us < item.from ? item.from - us : us > item.to ? us - item.to : 0;
        if (inside && (!best || off < best.off)) best = { off, item };
      }
      laneY += lane.thick + 2;
    }
    return best ? { row: index, item: best.item } : mark ? { row: index, item: mark } : { row: index, item: null };
  };
  const headline = (item) => {
    const who = parties[item.party] || { name: "" };
    if (item.mark) return `${item.sort} · ${who.name}: ${item.title} · at ${time(item.from)}`;
    const name = item.kind === STATE || item.title.includes(KINDS[item.kind]) ? item.title : KINDS[item.kind] + " " + item.title;
    const end = item.ending === 0 ? "not ended" : item.ending === BADLY ? "ended badly" : "ended well";
    return `${name} · ${who.name} · ${time(item.from)} to ${time(item.to)} (${time(item.to - item.from)}) · ${end}`;
  };
  const linesOf = (item, most) => {
    const texts = item.lines.slice(0, most).map((n) => `${n}: ${data.texts[n] || "(see journal.jsonl)"}`);
    const rest = item.mentioned - texts.length;
    return texts.join("\n") + (rest > 0 ? `\n… ${count(rest, "more line")} in journal.jsonl` : "");
  };
  const describe = (into, item, most) => {
    into.replaceChildren();
    into.append(el("h3", headline(item)));
    if (item.why) into.append(el("p", item.why, item.ending === BADLY ? "why" : "soft"));
    const facts = [];
    if (item.amount) facts.push(item.amount + " GLM");
    const above = spans[item.part];
    if (above && most > 6) facts.push("part of " + headline(above));
    if (item.id && most > 6 && item.kind !== STATE) facts.push("id " + item.id);
    if (facts.length) into.append(el("p", facts.join(" · "), "soft"));
    into.append(el("pre", linesOf(item, most)));
  };
  const select = (item) => {
    selected = item;
    if (item) describe(details, item, 16);
    draw();
  };
  const show = (px, py, event) => {
    const hit = pick(px, py);
    if (!hit || !hit.item) { tip.hidden = true; return; }
    describe(tip, hit.item, 5);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 8)) + "px";
    const below = event.clientY + 18;
    tip.style.top = (below + height > innerHeight ? Math.max(8, event.clientY - height - 12) : below) + "px";
  };

  // ----- zoom and pan -----
  const look = (from, to) => {
    const range = Math.min(Math.max(to - from, 20), whole);
    from = Math.min(Math.max(from, 0), whole - range);
    Object.assign(view, { from, to: from + range });
    draw();
  };
  const zoom = (by, middle = (view.from + view.to) / 2) => look(middle - (middle - view.from) * by, middle + (view.to - middle) * by);
  const pan = (share) => look(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);
  const pointers = new Map();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (e) => { pointers.set(e.pointerId, e); dragged = 0; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointermove", (e) => {
    const before = pointers.get(e.pointerId);
    if (!before) { if (e.pointerType === "mouse") show(e.offsetX, e.offsetY, e); return; }
    tip.hidden = true;
    const other = [...pointers.values()].find((p) => p.pointerId !== e.pointerId);
    if (other) {
      const apart = (p) => Math.max(20, Math.abs(p.offsetX - other.offsetX));
      zoom(apart(before) / apart(e), back((before.offsetX + other.offsetX) / 2));
    } else {
      const by = ((before.offsetX - e.offsetX) / (wide - side)) * (view.to - view.from);
      look(view.from + by, view.to + by);
    }
    dragged += Math.abs(before.offsetX - e.offsetX) + Math.abs(before.offsetY - e.offsetY);
    pointers.set(e.pointerId, e);
  });
  const lift = (e) => {
    pointers.delete(e.pointerId);
    if (e.type !== "pointerup" || dragged > 4) return;
    const hit = pick(e.offsetX, e.offsetY);
    if (hit) at = { row: hit.row, item: hit.item ? shown[hit.row].all.indexOf(hit.item) : -1 };
    select(hit && hit.item);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("wheel", (e) => {
    if (e.ctrlKey || e.metaKey) { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, back(e.offsetX)); }
    else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) { e.preventDefault(); pan((e.deltaX || e.deltaY) / 800); }
  }, { passive: false });
  canvas.addEventListener("dblclick", (e) => zoom(0.4, back(e.offsetX)));
  const reveal = () => {
    const top = tops[at.row] || 0, row = shown[at.row];
    if (!row) return;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    const bottom = top + row.high + labelHigh() + AXIS + 4;
    if (bottom > scroll.scrollTop + high) scroll.scrollTop = bottom - high;
  };
  const toItem = (by) => {
    const row = shown[at.row];
    if (!row || !row.all.length) return;
    at.item = Math.min(Math.max(at.item + by, 0), row.all.length - 1);
    const item = row.all[at.item], range = view.to - view.from;
    if (item.to < view.from || item.from > view.to) look(item.from - range / 2, item.from + range / 2);
    select(item);
  };
  const toRow = (by) => {
    if (!shown.length) return;
    at = { row: Math.min(Math.max(at.row + by, 0), shown.length - 1), item: -1 };
    reveal();
    const row = shown[at.row];
    selected = null;
    details.replaceChildren(el("h3", row.label), el("p", `${count(row.items, "item")}, ${count(row.marks.length, "mark")}; → and ← walk through them`, "soft"));
    draw();
  };
  const KEYS = {
    ArrowRight: (e) => (e.shiftKey ? pan(0.2) : toItem(1)), ArrowLeft: (e) => (e.shiftKey ? pan(-0.2) : toItem(-1)),
    ArrowDown: () => toRow(1), ArrowUp: () => toRow(-1), PageDown: () => toRow(10), PageUp: () => toRow(-10),
    Home: () => toRow(-shown.length), End: () => toRow(shown.length),
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: () => look(0, whole),
    Enter: () => { if (selected && !selected.mark) { const w = Math.max(selected.to - selected.from, 1000); look(selected.from - w * 0.1, selected.to + w * 0.1); } },
    Escape: () => { select(null); tip.hidden = true; },
  };
  canvas.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || !Object.hasOwn(KEYS, e.key)) return;
    e.preventDefault();
    KEYS[e.key](e);
  });
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", draw);
  scroll.addEventListener("scroll", () => { tip.hidden = true; draw(); });
  $("closer").addEventListener("click", () => zoom(0.6));
  $("farther").addEventListener("click", () => zoom(1 / 0.6));
  $("fit").addEventListener("click", () => look(0, whole));
  for (const id of ["filter", "rows", "only"]) $(id).addEventListener("input", () => { scroll.scrollTop = 0; choose(); });
  const legend = [...KINDS.filter((kind, index) => kind !== "instance" && spans.some((s) => s.kind === index)).map((kind) => [kind, kind])];
  if (spans.some((s) => s.kind === STATE)) legend.push(...STATES.map((state) => ["instance " + state, state]));
  legend.push(["ended badly", "bad"]);
  if (marks.some((m) => m.sort === "fault")) legend.push(["◆ fault", "open"]);
  if (marks.some((m) => m.sort === "step")) legend.push(["◆ step of the scenario", "focus"]);
  for (const [name, ink] of legend) {
    const entry = el("span"), swatch = el("i");
    swatch.style.background = `var(--${ink})`;
    entry.append(swatch, name);
    $("legend").append(entry);
  }

  // ----- tables -----
  // Fills a table with a row for each of `list`. Choosing a heading sorts them; `sorted` hears of it.
  const sortable = (table, columns, list, sorted) => {
    const head = el("thead"), line = el("tr"), body = el("tbody");
    let by = -1, down = false;
    const fill = () => body.replaceChildren(...list.map((item) => {
      const row = el("tr");
      for (const column of columns) {
        const cell = el("td", undefined, column.n ? "n" : "");
        const shown = (column.show || column.value)(item);
        cell.append(shown instanceof Node ? shown : String(shown));
        row.append(cell);
      }
      return row;
    }));
    const heads = columns.map((column, index) => {
      const cell = el("th", undefined, column.n ? "n" : "");
      cell.scope = "col";
      if (!column.value) return cell;
      const button = el("button", column.name, "sort");
      button.type = "button";
      button.addEventListener("click", () => {
        // Of numbers the largest are what is looked for.
        down = by === index ? !down : Boolean(column.n);
        by = index;
        heads.forEach((other, i) => (i === index ? other.setAttribute("aria-sort", down ? "descending" : "ascending") : other.removeAttribute("aria-sort")));
        const less = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
        list.sort((a, b) => less(column.value(a), column.value(b)) * (down ? -1 : 1));
        fill();
        if (sorted) sorted(list);
      });
      cell.append(button);
      return cell;
    });
    line.append(...heads);
    head.append(line);
    table.append(head, body);
    fill();
    return heads;
  };
  {
    const figures = rows.filter((row) => row.group === "providers").map((row) => {
      const of = (kind) => row.all.filter((s) => !s.mark && KINDS[s.kind] === kind);
      const sum = (items, value) => items.reduce((all, s) => all + value(s), 0);
      const agreements = of("agreement");
      return {
        row, name: row.label, agreements: agreements.length, activities: of("activity").length, batches: of("batch").length,
        bad: row.all.filter((s) => s.ending === BADLY && KINDS[s.kind] !== "negotiation").length,
        rented: sum(agreements, (s) => s.to - s.from), cost: sum(agreements, (s) => +s.amount || 0),
      };
    });
    const byName = (it) => {
      const button = el("button", it.name, "name");
      button.type = "button";
      button.addEventListener("click", () => {
        if (!shown.includes(it.row)) { $("filter").value = ""; $("rows").value = "providers"; $("only").value = "everything"; choose(); }
        at = { row: shown.indexOf(it.row), item: -1 };
        toRow(0);
        canvas.focus();
      });
      return button;
    };
    const columns = [
      { name: "provider", value: (it) => it.name, show: byName },
      { name: "agreements", value: (it) => it.agreements, n: true }, { name: "activities", value: (it) => it.activities, n: true },
      { name: "batches", value: (it) => it.batches, n: true }, { name: "ended badly", value: (it) => it.bad, n: true },
      { name: "rented for", value: (it) => it.rented, show: (it) => (it.rented ? time(it.rented) : "–"), n: true },
      { name: "GLM accepted", value: (it) => it.cost, show: (it) => (it.cost ? +it.cost.toPrecision(4) : "–"), n: true },
    ];
    if (figures.length) {
      $("providers").hidden = false;
      const heads = sortable($("table"), columns, figures, (sorted) => {
        // In their places between the rows of others.
        let next = 0;
        rows.forEach((row, index) => { if (row.group === "providers") rows[index] = sorted[next++].row; });
        choose();
      });
      // `report.html#sort=agreements` opens it so.
      const wanted = new URLSearchParams(location.hash.slice(1)).get("sort");
      const index = columns.findIndex((column) => column.name === wanted);
      if (index >= 0) heads[index].firstChild.click();
    }
  }

  // ----- charts -----
  const NS = "http://www.w3.org/2000/svg";
  const svg = (tag, attributes, text) => {
    const node = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const figure = (caption, note, aria) => {
    const box = el("figure"), image = svg("svg", { viewBox: "0 0 440 200", role: "img", "aria-label": aria });
    box.append(el("figcaption", caption), el("p", note, "soft"), image);
    $("charts").append(box);
    return image;
  };
  const [L, R, T, B] = [56, 432, 8, 176];
  const px = (us) => L + (us / whole) * (R - L);
  const frameOf = (image, most, words) => {
    for (let i = 0; i <= 4; i++) {
      const y = B - ((B - T) * i) / 4;
      image.append(svg("line", { x1: L, x2: R, y1: y, y2: y, stroke: "var(--grid)" }));
      image.append(svg("text", { x: L - 6, y: y + 4, "text-anchor": "end" }, words((most * i) / 4)));
    }
    const unit = step(whole, 330);
    for (let us = 0; us <= whole; us += unit) image.append(svg("text", { x: px(us), y: B + 18, "text-anchor": us === 0 ? "start" : px(us) > R - 20 ? "end" : "middle" }, us === 0 ? "0" : time(us)));
  };
  const stairs = (points, most) => {
    let path = `M${L} ${B}`, y = B;
    for (const [us, value] of points) {
      const to = B - (value / most) * (B - T);
      path += `L${px(us).toFixed(1)} ${y.toFixed(1)}L${px(us).toFixed(1)} ${to.toFixed(1)}`;
      y = to;
    }
    return path + `L${R} ${y.toFixed(1)}`;
  };
  const keyOf = (names) => {
    const box = el("div", undefined, "legend");
    for (const [name, ink] of names) {
      const entry = el("span"), swatch = el("i");
      swatch.style.background = `var(--${ink})`;
      entry.append(swatch, name);
      box.append(entry);
    }
    return box;
  };
  const lastOf = (points) => (points.length ? points[points.length - 1][1] : 0);
  {
    const { accepted, paid } = data.counters, most = Math.max(lastOf(accepted), lastOf(paid), ...accepted.map((p) => p[1]), 1e-9);
    const note = `${glm(lastOf(accepted))} accepted, ${glm(lastOf(paid))} paid at the end`;
    const image = figure("Cost", note, "Cost over time: " + note);
    frameOf(image, most, (v) => (v === 0 ? "0" : +v.toPrecision(2) + ""));
    image.append(svg("path", { d: stairs(accepted, most), fill: "none", stroke: "var(--agreement)", "stroke-width": 2 }));
    image.append(svg("path", { d: stairs(paid, most), fill: "none", stroke: "var(--payment)", "stroke-width": 2 }));
    image.after(keyOf([["accepted", "agreement"], ["paid", "payment"]]));
  }
  {
    const changes = [];
    const names = STATES.slice();
    let caption = "Instances by state";
    for (const s of spans) if (s.kind === STATE) {
      const state = STATES.findIndex((name) => s.title.endsWith(" " + name));
      if (state >= 0) changes.push([s.from, state, 1], [s.to, state, -1]);
    }
    let inkNames = STATES;
    if (!changes.length) {
      caption = "Agreements and activities";
      names.splice(0, 4, "activities", "other agreements");
      inkNames = ["activity", "agreement"];
      for (const s of spans) {
        if (KINDS[s.kind] === "activity") changes.push([s.from, 0, 1], [s.to, 0, -1], [s.from, 1, -1], [s.to, 1, 1]);
        if (KINDS[s.kind] === "agreement") changes.push([s.from, 1, 1], [s.to, 1, -1]);
      }
    }
    changes.sort((a, b) => a[0] - b[0]);
    const now = names.map(() => 0), points = [[0, now.slice()]];
    for (const [us, which, by] of changes) {
      if (points[points.length - 1][0] !== us) points.push([us, null]);
      now[which] += by;
      points[points.length - 1][1] = now.slice();
    }
    const thin = Math.ceil(points.length / 1500);
    const kept = points.filter((_, i) => i % thin === 0 || i === points.length - 1);
    const most = Math.max(1, ...kept.map(([, all]) => all.reduce((sum, n) => sum + Math.max(0, n), 0)));
    const image = figure(caption, `${most} at most at one time`, `${caption} over time: ${most} at most`);
    frameOf(image, most, (v) => +v.toFixed(v < 10 ? 1 : 0) + "");
    const sums = kept.map(() => 0);
    names.forEach((_, which) => {
      let up = "", down = "", last = B;
      kept.forEach(([us, all], i) => {
        const base = sums[i];
        sums[i] += Math.max(0, all[which]);
        const [low, high_] = [B - (base / most) * (B - T), B - (sums[i] / most) * (B - T)];
        const next = kept[i + 1] ? kept[i + 1][0] : whole;
        up += `${i ? "L" : "M"}${px(us).toFixed(1)} ${high_.toFixed(1)}L${px(next).toFixed(1)} ${high_.toFixed(1)}`;
        down = `L${px(next).toFixed(1)} ${low.toFixed(1)}L${px(us).toFixed(1)} ${low.toFixed(1)}` + down;
        last = low;
      });
      image.append(svg("path", { d: up + down + "Z", fill: `var(--${inkNames[which]})`, "fill-opacity": 0.85 }));
    });
    image.after(keyOf(names.map((name, i) => [name, inkNames[i]])));
  }
  if (data.latencies.length) {
    const box = el("figure");
    box.append(el("figcaption", "Latencies"), el("p", "bar: from the shortest to the longest; block: the middle 80 %; line: the median; logarithmic", "soft"));
    const least = Math.max(100, Math.min(...data.latencies.map((l) => l.min || 100)));
    const most = Math.max(...data.latencies.map((l) => l.max), least * 10);
    const to = (us) => (Math.log(Math.max(us, least) / least) / Math.log(most / least)) * 200;
    const table = el("table");
    const drawn = (l) => {
      const image = svg("svg", { viewBox: "-4 0 208 16", "aria-hidden": "true", style: "min-width:90px" });
      image.append(svg("line", { x1: to(l.min), x2: to(l.max), y1: 8, y2: 8, stroke: "var(--soft)" }));
      image.append(svg("rect", { x: to(l.p10), y: 3, width: Math.max(2, to(l.p90) - to(l.p10)), height: 10, rx: 2, fill: "var(--activity)" }));
      image.append(svg("line", { x1: to(l.p50), x2: to(l.p50), y1: 1, y2: 15, stroke: "var(--ink)", "stroke-width": 2 }));
      return image;
    };
    const timed = (name, of) => ({ name, value: of, show: (l) => time(of(l)), n: true });
    sortable(table, [
      { name: "what", value: (l) => l.name }, { name: "times", value: (l) => l.count, n: true },
      timed("median", (l) => l.p50), timed("90 %", (l) => l.p90), timed("longest", (l) => l.max), { show: drawn },
    ], data.latencies.slice());
    const scroller = el("div", undefined, "wide");
    scroller.append(table);
    box.append(scroller);
    $("charts").append(box);
  }

  // ----- the rest -----
  const copy = $("copy");
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText($("command").textContent); copy.textContent = "copied"; }
    catch { getSelection().selectAllChildren($("command")); copy.textContent = "selected"; }
  });
  // `report.html#filter=alice&rows=all&only=trouble` opens it so.
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (["filter", "rows", "only"].includes(name)) $(name).value = value;
  }
  document.querySelectorAll("[data-line]").forEach((button) => button.addEventListener("click", () => {
    const line = +button.dataset.line;
    const item = marks.concat(spans).find((item) => item.lines.includes(line));
    if (!item) return;
    for (const id of ["filter", "only"]) $(id).value = id === "only" ? "everything" : "";
    $("rows").value = "all";
    choose();
    const row = shown.findIndex((row) => row.all.includes(item));
    if (row >= 0) { at = { row, item: shown[row].all.indexOf(item) }; reveal(); }
    const range = Math.min(whole, Math.max(item.to - item.from, whole / 50) * 2), middle = (item.from + item.to) / 2;
    look(middle - range / 2, middle + range / 2);
    select(item);
    canvas.focus();
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readInks(); draw(); });
  new ResizeObserver(choose).observe(frame);
  readInks();
  choose();
  document.body.dataset.ready = "yes";
})();
