// The console's page. All state that makes a page is in its URL; the server has the data.
// Everything is made by `h`, which knows attributes and text and no HTML, so data is never markup.

// --- Elements and text -----------------------------------------------------------------------

// Makes an element. Names that begin with "on" are listeners; false, null and undefined leave an
// attribute out.
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  return add(element, ...children);
}

// Leaves null, undefined and false out.
function add(element, ...children) {
  element.append(...children.flat().filter((child) => child != null && child !== false)
    .map((child) => (child instanceof Node ? child : plain(child))));
  return element;
}

// Control characters and those that change the direction of text are shown by their number: they
// could make a text look like another one.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
function plain(value) {
  return String(value).replace(HIDDEN, (character) =>
    `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}

function setText(element, text) {
  const shown = plain(text);
  if (element.textContent !== shown) element.textContent = shown;
}

const byId = (id) => document.getElementById(id);
const main = byId("main");

// --- Times -----------------------------------------------------------------------------------

let zone; // undefined: the browser's
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function exact(time) {
  const options = { dateStyle: "medium", timeStyle: "long", timeZone: zone };
  return new Intl.DateTimeFormat("en", options).format(new Date(time));
}

// Without the zone, which its place names once.
function brief(time) {
  const options = { dateStyle: "short", timeStyle: "medium", timeZone: zone };
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(time));
}
const zoneName = () => zone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;

function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return Math.abs(seconds) < 2 ? "now" : relative.format(Math.round(seconds), "second");
}

function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

function time(value) {
  return h("time", { datetime: value, title: exact(value) }, ago(value));
}

function updateTime(element, value) {
  if (element.getAttribute("datetime") !== value) {
    element.setAttribute("datetime", value);
    element.title = exact(value);
  }
  setText(element, ago(value));
}

// --- Requests --------------------------------------------------------------------------------

// A request without a good response. Without any, the status is 0.
class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? body?.detail ?? `the console answered ${status}`);
    this.status = status;
    this.errors = body?.errors ?? [];
  }
}

async function call(method, path, { body, etag, signal } = {}) {
  const headers = { "x-ferry-console": "1" };
  if (etag) headers["if-none-match"] = etag;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, { error: "the console has ended. Start it again: cargo run -p local" });
  }
  if (response.status === 304) return { unchanged: true, etag };
  const text = await response.text();
  let json;
  try {
    json = text === "" ? undefined : JSON.parse(text);
  } catch {
    throw new Refused(response.status, { error: "the answer is not JSON" });
  }
  if (!response.ok) throw new Refused(response.status, json);
  return { json, etag: response.headers.get("etag") };
}

const act = (id, action, members = {}) =>
  call("POST", `/api/operation/${encodeURIComponent(id)}/${action}`, { body: JSON.stringify(members) });

// --- The frame: pages, polling, banner, news ---------------------------------------------------

let keys = {}; // what the page's shortcuts do
let leave = new AbortController(); // aborted when the page is left
let place = { owners: [] };
const RATES = [0, 1, 5, 30];
const storedRate = Number(localStorage.getItem("refresh") ?? 1);
let refreshSecs = RATES.includes(storedRate) ? storedRate : 1;

// Ends the wait for the next poll, or spares the next wait when a poll is under way.
let isWoken = false;
let endWait;
function wake() {
  isWoken = true;
  endWait?.();
}

function wait(milliseconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      endWait = undefined;
      isWoken = false;
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    endWait = end;
    signal.addEventListener("abort", end);
    if (isWoken || signal.aborted) end();
  });
}

const isSeen = () => document.visibilityState === "visible" && document.hasFocus();

// Calls `path()` again and again, and `show` with what has changed. Ends with the page, or when
// `show` returns true: nothing can change any more.
async function poll(path, show, signal) {
  let etag;
  let last;
  for (let first = true; !signal.aborted; first = false) {
    if (first || isSeen()) {
      const current = path();
      if (current !== last) etag = undefined;
      last = current;
      try {
        const answer = await call("GET", current, { etag, signal });
        if (signal.aborted) return;
        if (!answer.unchanged && await show(answer.json) === true) return;
        // Only now: what could not be shown is requested again.
        etag = answer.etag;
        setBanner();
      } catch (error) {
        if (signal.aborted) return;
        if (error.status === 404 || error.status === 400) return void show(null, error);
        setBanner(error);
        // A mistake of the page, which its tests look for.
        if (!(error instanceof Refused)) reportError(error);
      }
    }
    await wait(refreshSecs > 0 ? refreshSecs * 1000 : 2 ** 30, signal);
  }
}

let failedSince;
const failure = h("span");
byId("banner").append(failure, h("button", { type: "button", onclick: () => wake() }, "Try again"));
function setBanner(error) {
  document.body.classList.toggle("stale", Boolean(error));
  byId("banner").hidden = !error;
  if (!error) return void (failedSince = undefined);
  failedSince ??= new Date().toISOString();
  const why = error instanceof Refused ? error.message : "this page has failed: load it again";
  setText(failure, `Not up to date since ${exact(failedSince)}: ${why} `);
}

const news = { changes: new Map(), timer: undefined };
function announce(what) {
  news.changes.set(what, (news.changes.get(what) ?? 0) + 1);
  news.timer ??= setTimeout(() => {
    const parts = [...news.changes].map(([name, count]) => `${count} ${name}`);
    setText(byId("news"), parts.join(", "));
    news.changes.clear();
    news.timer = undefined;
  }, 5000);
}
function say(sentence) { setText(byId("news"), sentence); }

function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  open();
}

function open() {
  leave.abort();
  leave = new AbortController();
  keys = {};
  setBanner();
  const url = new URL(location.href);
  const [first, second] = parts(url.pathname);
  const needsName = ["operation", "function"].includes(first);
  const page = needsName === Boolean(second) ? PAGES.get(first) ?? notFoundPage : notFoundPage;
  for (const link of document.querySelectorAll("header nav a")) {
    const isHere = link.pathname === "/" ? ["", "operation"].includes(first)
      : first !== "" && link.pathname.startsWith(`/${first}`);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren();
  page(leave.signal, url.searchParams, second);
  const heading = main.querySelector("h1")?.textContent ?? "Ferry";
  document.title = `${heading} – Ferry console`;
}

// The parts of a path; of one that cannot be decoded, a name that no page has.
function parts(path) {
  try {
    return path.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return ["%"];
  }
}

const PAGES = new Map([
  ["", operationsPage], ["operation", operationPage], ["functions", functionsPage],
  ["function", functionPage], ["queues", queuesPage], ["find", findPage],
]);

function notFoundPage() {
  main.append(h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "/" }, "Operations")));
}

// --- Small parts -------------------------------------------------------------------------------

const SHAPES = {
  pending: "○", processing: "◐", completed: "●", failed: "✕", cancelled: "–", continued: "↻",
  retried: "↻", lost: "✕", waiting: "○", due: "◐", delivered: "●", gone: "–", exhausted: "✕",
  skipped: "–",
};
function setStatus(element, status) {
  const text = `${SHAPES[status] ?? "·"} ${status}`;
  if (element.textContent !== text) {
    element.textContent = text;
    element.className = `status ${Object.hasOwn(SHAPES, status) ? status : ""}`;
  }
  return element;
}
const statusOf = (status) => setStatus(h("span"), status);

function copyButton(text, name) {
  return h("button", {
    type: "button", class: "copy", title: `Copy ${name}`, "aria-label": `Copy ${name}`,
    onclick: async () => {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      say(`${name} copied`);
    },
  }, "Copy");
}

const shortId = (id) => `${id.slice(0, 9)}…${id.slice(-4)}`;

function took(operation) {
  const from = operation.starts_at ?? operation.created_at;
  const end = operation.completed_at ?? operation.cancelled_at;
  return (end ? new Date(end) : Date.now()) - new Date(from);
}

const isLive = (operation) => ["pending", "processing"].includes(operation.status);

// Asks in a dialog. `confirm` is a text that has to be typed. Resolves to whether to go on.
function ask(title, paragraphs, { button, confirm, bad = false } = {}) {
  return new Promise((resolve) => {
    const typed = confirm && h("input", { autocomplete: "off", "aria-describedby": "ask-typed" });
    const yes = h("button", { class: bad ? "bad" : "strong", value: "yes" }, button);
    const dialog = h("dialog", { "aria-labelledby": "ask" },
      h("form", { method: "dialog" }, h("h2", { id: "ask" }, title),
        paragraphs.map((text) => h("p", {}, text)),
        confirm && h("p", {}, h("label", { id: "ask-typed" }, `Type ${confirm} to confirm `, typed)),
        h("div", { class: "bar" }, yes, h("button", { value: "no" }, "Back"))));
    if (confirm) {
      yes.disabled = true;
      typed.addEventListener("input", () => { yes.disabled = typed.value !== confirm; });
    }
    const before = document.activeElement;
    const { signal } = leave;
    const close = () => dialog.close("no");
    signal.addEventListener("abort", close);
    dialog.addEventListener("close", () => {
      signal.removeEventListener("abort", close);
      dialog.remove();
      if (before?.isConnected) before.focus();
      else main.focus();
      resolve(dialog.returnValue === "yes" && !signal.aborted);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// --- Actions -----------------------------------------------------------------------------------

const canCancel = (operation) => isLive(operation);
const canErase = (operation) => !isLive(operation);
const canRedeliver = (operation) => ["delivered", "gone", "exhausted"].includes(operation.callback?.status);

async function confirmed(action, operation) {
  const name = `${operation.function} ${operation.version}`;
  if (action === "cancel") {
    return ask("Cancel this operation?", [
      `${name}, ${operation.id}, of ${operation.owner}. It was submitted ${ago(operation.created_at)}.`,
      "What the work has already done is not undone.",
    ], { button: "Cancel operation", bad: true });
  }
  if (action === "erase") {
    return ask("Erase this operation?", [
      `${name}, ${operation.id}, of ${operation.owner}. It cannot be read any more afterwards.`,
    ], { button: "Erase", bad: true, confirm: operation.id.slice(-4) });
  }
  return true;
}

// The sentence for the person, whatever becomes of the action.
async function perform(action, operation, members = {}) {
  try {
    const { json } = await act(operation.id, action, {
      shown: { created_at: operation.created_at, lock_version: operation.lock_version }, ...members,
    });
    return { ok: true, sentence: json.done, id: json.id };
  } catch (error) {
    return { ok: false, sentence: error.message };
  }
}

// --- Operations --------------------------------------------------------------------------------

const FILTERS = ["owner", "status", "callback_status", "function", "created_after", "created_before"];
const STATUSES = ["pending", "processing", "completed", "failed", "cancelled"];
const CALLBACK_STATUSES = ["waiting", "due", "delivered", "gone", "exhausted", "skipped"];

function operationsPage(signal, parameters) {
  const rows = new Map();
  const selected = new Set();
  const filters = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) ?? ""]));
  const cursor = parameters.get("cursor");
  const body = h("tbody");
  const count = h("caption", {}, "Loading…");
  const older = h("a", { hidden: true }, "Older");
  const newer = h("button", { type: "button", hidden: true, onclick: () => { scrollTo(0, 0); show(latest); } });
  const bulk = h("div", { class: "bar", role: "group", "aria-label": "Selected operations", hidden: true });
  const empty = h("div", { class: "empty", hidden: true });
  const head = ["", "Status", "Function", "Id", "Owner", "Created", "Took", "Attempt", "Progress", "Callback"];
  const table = h("table", { class: "cards" }, count,
    h("thead", {}, h("tr", {}, head.map((name, at) => h("th", { scope: "col" },
      at === 0 ? h("span", { class: "visually-hidden" }, "Selected") : name)))), body);

  main.append(h("h1", {}, "Operations"), filterBar(filters), newer, bulk, table, empty,
    h("p", { class: "bar" }, cursor && h("a", { href: link({}) }, "Newest"), older,
      h("span", { class: "quiet" }, costNote())));

  function link(more) {
    const query = new URLSearchParams();
    for (const name of FILTERS) if (filters[name]) query.set(name, filters[name]);
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return query.size ? `/?${query}` : "/";
  }

  const query = new URLSearchParams();
  for (const name of FILTERS) if (filters[name]) query.set(name, filters[name]);
  if (cursor) query.set("cursor", cursor);

  let latest;
  poll(() => `/api/list?${query}`, (page, error) => {
    if (error) {
      count.textContent = "";
      empty.hidden = false;
      empty.replaceChildren(h("p", { class: "problem" }, error.message),
        h("p", {}, h("a", { href: "/" }, "Clear filters")));
      return true;
    }
    latest = page;
    const unknown = page.operations.filter((operation) => !rows.has(operation.id));
    if (rows.size > 0 && !cursor && unknown.length > 0 && scrollY > 80) {
      newer.hidden = false;
      setText(newer, `${unknown.length} newer`);
      for (const operation of page.operations) rows.get(operation.id)?.update(operation);
      return false;
    }
    show(page);
    return false;
  }, signal);

  function show(page) {
    newer.hidden = true;
    const focused = document.activeElement?.closest?.("tr");
    const ids = new Set(page.operations.map((operation) => operation.id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue;
      if (row.element === focused) (row.element.nextElementSibling ?? row.element.previousElementSibling)?.querySelector("a")?.focus();
      row.element.remove();
      rows.delete(id);
      selected.delete(id);
    }
    let before = body.firstElementChild;
    for (const operation of page.operations) {
      let row = rows.get(operation.id);
      if (row) row.update(operation);
      else rows.set(operation.id, row = makeRow(operation));
      if (row.element === before) before = before.nextElementSibling;
      else body.insertBefore(row.element, before);
    }
    const more = page.next_cursor ? "more may follow" : "the end";
    count.textContent = `${page.operations.length} shown, ${page.examined} examined, ${more}`;
    older.hidden = !page.next_cursor;
    if (page.next_cursor) older.href = link({ cursor: page.next_cursor });
    empty.hidden = page.operations.length > 0;
    table.hidden = page.operations.length === 0;
    if (page.operations.length === 0) empty.replaceChildren(...nothing(page));
    updateBulk();
  }

  function nothing(page) {
    if (FILTERS.some((name) => filters[name])) {
      return [h("p", {}, page.next_cursor ? "Nothing here matches yet; older operations may." : "Nothing matches."),
        h("p", {}, h("a", { href: "/" }, "Clear filters"))];
    }
    const curl = `curl ${place.api_url ?? "$URL"}/operations --json '{"function":"csv.summarize","arguments":{"csv":"a,b\\n1,2"}}'`;
    return [h("p", {}, "No operations yet. Submit one:"),
      h("pre", {}, curl), copyButton(curl, "command"),
      h("p", {}, "or choose a function under ", h("a", { href: "/functions" }, "Functions"), ".")];
  }

  function makeRow(first) {
    let operation = first;
    const check = h("input", { type: "checkbox", "aria-label": `Select ${first.id}`, onchange: () => {
      if (check.checked) selected.add(operation.id); else selected.delete(operation.id);
      updateBulk();
    } });
    const status = h("span");
    const created = time(first.created_at);
    const tookCell = h("span");
    const attempt = h("span");
    const bar = h("progress", { max: 1, "aria-label": "Progress" });
    const message = h("span");
    const callback = h("span");
    const cell = (name, ...children) => h("td", { "data-name": name }, children);
    const element = h("tr", {},
      h("td", {}, check), cell("Status", status), cell("Function", `${first.function} `, h("span", { class: "quiet" }, first.version)),
      cell("Id", h("a", { class: "id", href: `/operation/${first.id}`, title: first.id }, shortId(first.id)), " ", copyButton(first.id, "id")),
      cell("Owner", first.owner), cell("Created", created), cell("Took", tookCell), cell("Attempt", attempt),
      cell("Progress", bar, " ", message), cell("Callback", callback));
    const row = { element, check, get operation() { return operation; }, update };
    function update(next) {
      if (next.status !== operation.status) announce(next.status);
      operation = next;
      setStatus(status, next.status);
      updateTime(created, next.created_at);
      setText(tookCell, isLive(next) && next.status === "pending" && next.starts_at ? `starts ${ago(next.starts_at)}` : duration(took(next)));
      setText(attempt, next.attempt === 0 ? "" : `${next.attempt}/${next.attempts_max}`);
      bar.hidden = next.progress == null;
      if (next.progress != null) bar.value = next.progress;
      setText(message, next.resumes_at ? `resumes ${ago(next.resumes_at)}` : next.progress_message ?? next.errors?.[0]?.code ?? "");
      if (next.callback) setStatus(callback, next.callback.status);
    }
    update(first);
    return row;
  }

  function updateBulk() {
    const chosen = [...selected].map((id) => rows.get(id).operation);
    bulk.hidden = chosen.length === 0;
    const button = (name, action, can) => {
      const possible = chosen.filter(can);
      return possible.length > 0 && h("button", { type: "button", onclick: () => bulkAct(name, action, possible) },
        `${name} ${possible.length}`);
    };
    const wanted = JSON.stringify(chosen.map((operation) => [operation.id, operation.status, operation.callback?.status]));
    if (bulk.dataset.wanted === wanted) return;
    bulk.dataset.wanted = wanted;
    bulk.replaceChildren(...[h("span", {}, `${chosen.length} selected`), button("Cancel", "cancel", canCancel),
      button("Redeliver", "redeliver", canRedeliver), button("Erase", "erase", canErase),
      h("button", { type: "button", onclick: () => {
        for (const id of selected) rows.get(id).check.checked = false;
        selected.clear();
        updateBulk();
      } }, "Select none")].filter(Boolean));
  }

  async function bulkAct(name, action, operations) {
    const confirm = action === "erase" ? String(operations.length) : undefined;
    const title = `${name} ${operations.length} operations?`;
    if (!await ask(title, ["Each is acted on as its owner could."], { button: name, bad: true, confirm })) return;
    const results = h("ul");
    const done = h("section", {}, h("h2", {}, `${name}: what was done`), results);
    bulk.after(done);
    let count = 0;
    for (const operation of operations) {
      const { ok, sentence } = await perform(action, operation);
      if (ok) count += 1;
      results.append(h("li", { class: ok ? "" : "problem" }, h("a", { href: `/operation/${operation.id}` }, shortId(operation.id)), `: ${sentence}`));
    }
    say(`${name}: ${count} done, ${operations.length - count} not`);
    wake();
  }

  const links = () => [...body.querySelectorAll("a.id")];
  const move = (step) => {
    const all = links();
    const at = all.indexOf(document.activeElement?.closest?.("tr")?.querySelector("a.id"));
    all[Math.min(all.length - 1, Math.max(0, at + step))]?.focus();
  };
  const current = () => [...rows.values()].find((row) => row.element.contains(document.activeElement));
  const one = async (action, can) => {
    const operation = current()?.operation;
    if (!operation || !can(operation) || !await confirmed(action, operation)) return;
    say((await perform(action, operation)).sentence);
    wake();
  };
  keys = {
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
    x: () => current()?.check.click(), c: () => one("cancel", canCancel),
    r: () => one("redeliver", canRedeliver), n: () => go("/functions"),
    "/": () => main.querySelector("input")?.focus(),
  };
}

// 50.5 read units for a page of 50 heads, at $0.125 a million in us-east-1.
function costNote() {
  if (refreshSecs === 0 || place.name === "this machine") return "";
  const dollars = (3600 / refreshSecs) * 50.5 * 0.125e-6;
  return `A page of 50 costs up to 50.5 read units; at this rate $${dollars.toFixed(4)} an hour.`;
}

function filterBar(filters) {
  const owners = h("datalist", { id: "owners" }, place.owners.map((owner) => h("option", { value: owner })));
  const field = (name, label, attributes) => h("label", {}, label, h("input", { name, value: filters[name], ...attributes }));
  const choice = (name, label, values) => h("label", {}, label,
    h("select", { name }, h("option", { value: "" }, "any"),
      values.map(([value, text]) => h("option", { value, selected: filters[name] === value }, text))));
  const statuses = [["pending,processing", "in flight"], ...STATUSES.map((status) => [status, status])];
  if (filters.status && !statuses.some(([value]) => value === filters.status)) statuses.push([filters.status, filters.status]);
  const form = h("form", { class: "bar", role: "search", onsubmit: (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
    go(query.size ? `/?${query}` : "/");
  } },
  field("owner", "Owner", { list: "owners", placeholder: "all", autocomplete: "off" }), owners,
  choice("status", "Status", statuses), field("function", "Function", { placeholder: "any", autocomplete: "off" }),
  choice("callback_status", "Callback", CALLBACK_STATUSES.map((status) => [status, status])),
  field("created_after", "Created after", { placeholder: "2026-11-30T12:00:00Z", autocomplete: "off" }),
  field("created_before", "Created before", { placeholder: "2026-11-30T13:00:00Z", autocomplete: "off" }),
  h("button", { class: "strong" }, "Filter"));
  const shortcuts = h("nav", { class: "bar", "aria-label": "Shortcuts" },
    h("a", { href: "/?status=pending%2Cprocessing" }, "In flight"), h("a", { href: "/?status=failed" }, "Failed"),
    h("a", { href: "/?callback_status=exhausted" }, "Callback exhausted"), h("a", { href: "/" }, "All"));
  const chips = FILTERS.filter((name) => filters[name]).map((name) => {
    const rest = new URLSearchParams(FILTERS.filter((other) => other !== name && filters[other]).map((other) => [other, filters[other]]));
    return h("a", { class: "chip", href: rest.size ? `/?${rest}` : "/", "aria-label": `Remove the filter ${name} ${filters[name]}` },
      `${name.replaceAll("_", " ")}: ${filters[name]} ✕`);
  });
  return h("div", {}, shortcuts, form, chips.length > 0 && h("div", { class: "bar", "aria-label": "Active filters", role: "group" }, chips));
}

// --- One operation -----------------------------------------------------------------------------

function operationPage(signal, _, id) {
  const status = h("span");
  const buttons = h("div", { class: "bar" });
  const outcome = h("p", { role: "status" });
  const bar = h("progress", { max: 1, "aria-label": "Progress", hidden: true });
  const message = h("span");
  const timeline = h("ol", { class: "timeline" });
  const payloads = h("div");
  const facts = h("dl");
  const requests = h("div");
  const content = h("div", { hidden: true }, h("p", {}, status, " ", bar, " ", message), buttons, outcome,
    h("h2", {}, "Timeline ", h("small", { class: "quiet" }, `times in ${zoneName()}`)), timeline, payloads, h("h2", {}, "Facts"), facts, h("h2", {}, "Requests"), requests);
  const heading = h("h1", {}, "Operation ", h("span", { class: "id" }, id));
  main.append(heading, h("p", {}, copyButton(id, "id")), content);
  let shown;
  let stored;
  let storedOf; // the status in which it was read

  poll(() => `/api/operation/${encodeURIComponent(id)}`, async (operation, error) => {
    if (error) {
      main.replaceChildren(heading, h("div", { class: "empty" }, h("p", {}, error.message), h("p", {}, h("a", { href: "/" }, "Operations"))));
      return true;
    }
    content.hidden = false;
    if (shown && shown.status !== operation.status) announce(operation.status);
    shown = operation;
    setStatus(status, operation.status);
    bar.hidden = operation.progress == null;
    if (operation.progress != null) bar.value = operation.progress;
    setText(message, [operation.progress != null && `${Math.round(operation.progress * 100)} %`, operation.progress_message].filter(Boolean).join(" "));
    // Rebuilt only when they change: the focus and a selection stay.
    const changed = (element, data) => {
      const text = JSON.stringify(data);
      const has = element.dataset.shows === text;
      element.dataset.shows = text;
      return !has;
    };
    const happened = events(operation);
    if (changed(timeline, happened)) timeline.replaceChildren(...happened.map(([at, text, kind], index, all) =>
      h("li", {}, h("time", { datetime: at, title: exact(at) }, brief(at)),
        h("span", { class: "quiet" }, index > 0 && all[index - 1][0] && at ? `+${duration(new Date(at) - new Date(all[index - 1][0]))}` : ""),
        h("span", { class: kind ?? "" }, text))));
    updateButtons(operation);
    const { progress, progress_message, progress_updated_at, updated_at, etag, ...lasting } = operation;
    if (changed(facts, lasting)) {
      facts.replaceChildren(...factsOf(operation).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    }
    if (changed(requests, [operation.status, operation.callback?.status])) {
      requests.replaceChildren(...requestsOf(operation));
    }
    if (storedOf !== operation.status) {
      stored = (await call("GET", `/api/operation/${encodeURIComponent(id)}/stored`, { signal })).json;
      storedOf = operation.status;
      payloads.replaceChildren(...payloadsOf(stored, operation));
      updateButtons(operation);
    }
    // An operation that has ended changes too: it may be redelivered or erased elsewhere.
    return false;
  }, signal);

  function updateButtons(operation) {
    const offered = [
      canCancel(operation) && ["cancel", "Cancel", "bad"],
      operation.status === "failed" && operation.has_state && ["redrive", "Redrive from its state", "strong", { from: "state" }],
      operation.status === "failed" && ["redrive", operation.has_state ? "Redrive from the start" : "Redrive", operation.has_state ? "" : "strong", { from: "start" }],
      canRedeliver(operation) && ["redeliver", "Redeliver callback", ""],
      (isLive(operation) || operation.callback?.status === "due") && ["wake", "Wake up", ""],
      canErase(operation) && ["erase", "Erase", "bad"],
    ].filter(Boolean);
    const wanted = JSON.stringify([offered, canRunAgain()]);
    if (buttons.dataset.wanted === wanted) return;
    const hadFocus = buttons.contains(document.activeElement);
    buttons.dataset.wanted = wanted;
    buttons.replaceChildren(...offered.map(([action, name, kind, members]) =>
      h("button", { type: "button", class: kind, onclick: () => run(action, members) }, name)),
    ...(canRunAgain() ? [h("button", { type: "button", onclick: runAgain }, "Run again")] : []));
    if (hadFocus) (buttons.querySelector("button") ?? heading).focus();
  }

  async function run(action, members) {
    if (!await confirmed(action, shown)) return;
    const result = await perform(action, shown, members);
    if (signal.aborted) return;
    outcome.className = result.ok ? "" : "problem";
    setText(outcome, result.sentence);
    if (result.ok && action === "erase") return go("/");
    if (result.id) return go(`/operation/${result.id}`);
    wake();
  }

  function canRunAgain() { return place.api_url !== undefined && stored?.arguments !== undefined; }

  function runAgain() {
    draft.set(`${shown.function} ${shown.version}`, { owner: shown.owner, text: pretty(stored.arguments) });
    go(`/function/${encodeURIComponent(shown.function)}?version=${encodeURIComponent(shown.version)}`);
  }
  keys = {
    Escape: () => history.back(), c: () => canCancel(shown ?? {}) && run("cancel"),
    r: () => shown && canRedeliver(shown) && run("redeliver"), n: () => canRunAgain() && runAgain(),
  };
}

// What happened, oldest first: time, text, and the class of a status.
function events(operation) {
  const found = [[operation.created_at, "submitted", ""]];
  if (operation.starts_at) found.push([operation.starts_at, new Date(operation.starts_at) > Date.now() ? "starts" : "could start", ""]);
  for (const attempt of operation.attempts ?? []) {
    if (attempt.started_at) found.push([attempt.started_at, `attempt ${attempt.number} began`, ""]);
    if (attempt.outcome) {
      const code = attempt.code ? ` ${attempt.code}` : "";
      found.push([attempt.ended_at, `attempt ${attempt.number} ${attempt.outcome === "lost" ? "was lost: its worker stopped" : attempt.outcome}${code}`, attempt.outcome]);
    }
  }
  if (operation.progress_message && isLive(operation)) found.push([operation.progress_updated_at, `progress ${Math.round(operation.progress * 100)} % ${operation.progress_message}`, "processing"]);
  if (operation.resumes_at) found.push([operation.resumes_at, "resumes from its state", "waiting"]);
  if (operation.status === "processing" && !operation.resumes_at && operation.availability !== "busy") {
    found.push([operation.lease_until, "no heartbeat since then; another worker takes over", "lost"]);
  }
  const ended = operation.completed_at ?? operation.cancelled_at;
  if (ended) found.push([ended, operation.status, operation.status]);
  for (const delivery of operation.callback?.attempts ?? []) {
    found.push([delivery.at, `callback → ${delivery.status_code ?? delivery.error}, ${delivery.duration_ms} ms`, delivery.status_code >= 200 && delivery.status_code < 300 ? "delivered" : "exhausted"]);
  }
  if (operation.callback?.next_attempt_at) found.push([operation.callback.next_attempt_at, "next attempt of the callback", "waiting"]);
  found.push([operation.expires_at, isLive(operation) ? "readable at least until" : "readable until", "quiet"]);
  let last = "";
  return found.map((event) => [event[0] ?? last, event[1], event[2], (last = event[0] ?? last)])
    .sort((a, b) => new Date(a[0]) - new Date(b[0]));
}

function factsOf(operation) {
  const callback = operation.callback;
  return [
    ["Function", h("a", { href: `/function/${encodeURIComponent(operation.function)}?version=${encodeURIComponent(operation.version)}` }, `${operation.function} ${operation.version}`)],
    ["Owner", h("a", { href: `/?owner=${encodeURIComponent(operation.owner)}` }, operation.owner)],
    ["Attempt", `${operation.attempt} of ${operation.attempts_max}`],
    ["For a worker", operation.availability],
    operation.lease_until && ["Lease until", exact(operation.lease_until)],
    ["Deadline", exact(operation.deadline_at)],
    operation.redrive_of && ["Redrive of", h("a", { href: `/operation/${encodeURIComponent(operation.redrive_of)}` }, operation.redrive_of)],
    ["Saved state", operation.has_state ? "yes" : "none"],
    ["Callback", callback ? `${callback.status}, ${callback.url}, on ${callback.events.join(", ")}` : "none was asked for"],
    operation.webhook_id && ["webhook-id", operation.webhook_id],
      ].filter(Boolean);
}

function payloadsOf(stored, operation) {
  return [
    ["Input", stored.arguments ?? null, "Deleted: the operation ended more than a day after its deadline."],
    ["Output", stored.result ?? null, isLive(operation) ? "Not yet." : "None."],
    operation.errors && ["Errors", JSON.stringify(operation.errors), ""],
    ["Metadata", stored.metadata, ""],
  ].filter(Boolean).map(([name, text, none]) => h("section", {}, h("h2", {}, name, " ", text != null && copyButton(text, name.toLowerCase())),
    text == null ? h("p", { class: "quiet" }, none) : jsonBlock(text, name)));
}

const LINES_SHOWN = 200;
const TEXT_SHOWN_MAX = 1024 * 1024;
function jsonBlock(text, name) {
  if (text.length > TEXT_SHOWN_MAX) {
    const download = () => {
      const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      h("a", { href, download: `${name.toLowerCase()}.json` }).click();
      URL.revokeObjectURL(href);
    };
    return h("p", {}, h("button", { type: "button", onclick: download }, `Download ${(text.length / 1024).toFixed(0)} KiB`));
  }
  const lines = pretty(text).split("\n");
  const pre = h("pre", { tabindex: 0, "aria-label": name }, lines.slice(0, LINES_SHOWN).join("\n"));
  if (lines.length <= LINES_SHOWN) return pre;
  const all = h("button", { type: "button", onclick: () => { setText(pre, lines.join("\n")); all.remove(); pre.focus(); } }, `Show all ${lines.length} lines`);
  return h("div", {}, pre, all);
}

// Indents a JSON text. It does not parse it, so numbers and keys stay exactly as they were sent.
function pretty(text) {
  let depth = 0;
  let result = "";
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === "{" || token === "[") { depth += 1; result += token + line(); }
    else if (token === "}" || token === "]") {
      depth -= 1;
      result = /[{[]\s*$/.test(result.slice(-90)) ? result.trimEnd() + token : result + line() + token;
    } else if (token === ",") result += token + line();
    else result += token === ":" ? ": " : token;
  }
  return result;
}

// One word for a shell.
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const authorization = (owner) => (owner.startsWith("local:")
  ? ` -H ${shell(`Authorization: Bearer ${owner.slice(6)}`)}`
  : ' -H "Authorization: Bearer $TOKEN"');

function requestsOf(operation) {
  const url = place.api_url ?? "$URL";
  const token = authorization(operation.owner);
  const commands = [
    ["Read", `curl${token} ${url}/operations/${operation.id}`],
    isLive(operation) && ["Cancel", `curl -X POST${token} ${url}/operations/${operation.id}/cancel`],
    canRedeliver(operation) && ["Redeliver", `curl -X POST${token} ${url}/operations/${operation.id}/redeliver`],
    operation.status === "failed" && ["Redrive", `curl -X POST${token} ${url}/operations/${operation.id}/redrive`],
  ].filter(Boolean);
  return [...commands.map(([what, command]) => h("p", {}, h("strong", {}, `${what} `), h("code", {}, command), " ", copyButton(command, `${what} command`))),
    h("p", {}, h("strong", {}, "Logs Insights "), h("code", {}, `filter operation_id = "${operation.id}"`), " ", copyButton(`filter operation_id = "${operation.id}"`, "query"))];
}

// --- Functions and submit ------------------------------------------------------------------------

// The last arguments of each function and version, for as long as the page is open.
const draft = new Map();

async function functionsOf(signal) {
  try {
    return (await call("GET", "/api/functions", { signal })).json.functions;
  } catch (error) {
    if (!signal.aborted) main.append(h("p", { class: "problem" }, error.message));
    return undefined;
  }
}

async function functionsPage(signal) {
  main.append(h("h1", {}, "Functions"));
  const functions = await functionsOf(signal);
  if (!functions) return;
  const head = ["Name", "Version", "Description", "Attempts", "Attempt takes at most", "Deadline"];
  main.append(h("table", { class: "cards" }, h("caption", {}, `${functions.length} functions`),
    h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, functions.map(({ name, version, description, limits }) => h("tr", {},
      h("td", { "data-name": "Name" }, h("a", { href: `/function/${encodeURIComponent(name)}?version=${encodeURIComponent(version)}` }, name)),
      h("td", { "data-name": "Version" }, version), h("td", { "data-name": "Description" }, description),
      h("td", { "data-name": "Attempts" }, limits.attempts_max),
      h("td", { "data-name": "Attempt takes at most" }, duration(limits.attempt_timeout_seconds * 1000)),
      h("td", { "data-name": "Deadline" }, duration(limits.deadline_seconds_default * 1000)))))));
  keys = { Escape: () => history.back() };
}

async function functionPage(signal, parameters, name) {
  main.append(h("h1", {}, `Submit ${name}`));
  const functions = await functionsOf(signal);
  if (!functions) return;
  const versions = functions.filter((one) => one.name === name);
  const chosen = versions.find((one) => one.version === parameters.get("version")) ?? versions.at(-1);
  if (!chosen) {
    main.append(h("div", { class: "empty" }, h("p", {}, "There is no such function."), h("p", {}, h("a", { href: "/functions" }, "Functions"))));
    return;
  }
  const key = `${name} ${chosen.version}`;
  const kept = draft.get(key) ?? {};
  const editor = h("textarea", { id: "json", spellcheck: "false", rows: 16 });
  editor.value = kept.text ?? "{}";
  const note = h("p", { class: "problem", role: "alert" });
  const formPlace = h("div", { class: "form" });
  let value = {};
  let form;
  // The form is there only while it can show what is typed, and changes nothing else by it.
  const fromEditor = () => {
    const problem = formProblem(editor.value);
    form = undefined;
    setText(note, problem ?? "");
    if (problem === undefined) {
      value = JSON.parse(editor.value);
      form = schemaForm(chosen.arguments_schema, value, () => { editor.value = JSON.stringify(value, null, 2); keep(); });
    }
    formPlace.replaceChildren(form?.element ?? h("p", { class: "quiet" }, "The form is back when the JSON allows it."));
    keep();
  };
  const keep = () => draft.set(key, { text: editor.value, owner: owner.value });
  const owner = h("input", { id: "owner", list: "owners", value: kept.owner ?? place.owners.at(-1) ?? "local:anonymous", autocomplete: "off", required: true });
  const more = Object.fromEntries(MORE.map(([member, , type]) => [member, h("input", { id: member, type, autocomplete: "off" })]));
  const idempotency = h("input", { id: "idempotency_key", autocomplete: "off" });
  const problems = h("div", { role: "alert", tabindex: -1 });
  const submit = h("button", { class: "strong" }, "Submit");
  editor.addEventListener("input", fromEditor);

  const curl = () => {
    const key = idempotency.value ? ` -H ${shell(`Idempotency-Key: ${idempotency.value}`)}` : "";
    return `curl${authorization(owner.value)}${key} ${place.api_url ?? "$URL"}/operations --json ${shell(body())}`;
  };
  // The arguments go out as they are in the editor, so that numbers stay as they were typed.
  const body = () => {
    const members = [`"function":${JSON.stringify(name)}`, `"version":${JSON.stringify(chosen.version)}`, `"arguments":${editor.value}`];
    for (const [member, , type, isJson] of MORE) {
      const text = more[member].value;
      if (text !== "") members.push(`${JSON.stringify(member)}:${type === "number" || isJson ? text : JSON.stringify(text)}`);
    }
    return `{${members.join(",")}}`;
  };
  const send = async (event) => {
    event?.preventDefault();
    if (submit.disabled) return;
    problems.replaceChildren();
    form?.clear();
    submit.disabled = true;
    try {
      const request = [`"owner":${JSON.stringify(owner.value)}`, `"body":${body()}`];
      if (idempotency.value) request.push(`"idempotency_key":${JSON.stringify(idempotency.value)}`);
      const { json } = await call("POST", "/api/submit", { body: `{${request.join(",")}}` });
      if (signal.aborted) return;
      keep();
      go(`/operation/${json.id}`);
    } catch (error) {
      if (!signal.aborted) showProblems(error);
    } finally {
      submit.disabled = false;
    }
  };
  const showProblems = (error) => {
    const list = error.errors.length > 0 ? error.errors : [{ detail: error.message }];
    problems.replaceChildren(h("p", { class: "problem" }, list.length === 1 ? "One problem:" : `${list.length} problems:`),
      h("ul", {}, list.map(({ pointer, detail }) => {
        const field = pointer?.startsWith("/arguments") ? form?.mark(pointer.slice("/arguments".length), detail) : byId(pointer?.slice(1));
        const target = field ?? editor;
        return h("li", {}, h("a", { href: `#${target.id}`, onclick: (event) => { event.preventDefault(); event.stopPropagation(); target.focus(); } }, `${pointer ?? ""} ${detail}`));
      })));
    problems.focus();
  };
  add(main, h("p", {}, chosen.description),
    versions.length > 1 && h("nav", { class: "bar", "aria-label": "Versions" }, versions.map((one) =>
      h("a", { href: `/function/${encodeURIComponent(name)}?version=${encodeURIComponent(one.version)}`, "aria-current": one === chosen ? "true" : null }, one.version))),
    h("form", { class: "form", onsubmit: send }, problems,
      h("div", { class: "field" }, h("label", { for: "owner" }, "Owner"), owner, h("datalist", { id: "owners" }, place.owners.map((one) => h("option", { value: one })))),
      h("div", { class: "columns" },
        h("section", { "aria-label": "Form" }, h("h2", {}, "Arguments"), formPlace),
        h("section", { "aria-label": "JSON" }, h("h2", {}, h("label", { for: "json" }, "Arguments as JSON")), editor, note)),
      h("details", {}, h("summary", {}, "More"), h("div", { class: "form" },
        h("div", { class: "field" }, h("label", { for: "idempotency_key" }, "Idempotency key"), idempotency),
        MORE.map(([member, label]) => h("div", { class: "field" }, h("label", { for: member }, label), more[member])))),
      h("div", { class: "bar" }, submit, h("span", { class: "quiet" }, "Ctrl+Enter"), copyButton(curl, "as curl"))),
    h("h2", {}, "Schemas"),
    h("details", {}, h("summary", {}, "Arguments"), jsonBlock(JSON.stringify(chosen.arguments_schema), "Arguments schema")),
    h("details", {}, h("summary", {}, "Result"), jsonBlock(JSON.stringify(chosen.result_schema), "Result schema")));
  fromEditor();
  keys = { Escape: () => history.back(), "Ctrl+Enter": () => send() };
}

// Why the form cannot show a JSON text.
function formProblem(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `The JSON is not valid: ${error.message}`;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return "The arguments must be an object.";
  const numbers = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)].map(([token]) => token);
  const odd = numbers.find((token) => !token.startsWith('"') && String(Number(token)) !== token);
  return odd === undefined ? undefined : `The form would change the number ${odd}: edit the JSON.`;
}

// The other members of a submit: name, label, type of input, whether its text is JSON.
const MORE = [
  ["callback_url", "Callback URL", "url"], ["callback_events", "Callback events, such as [\"failed\"]", "text", true],
  ["metadata", "Metadata, a JSON object", "text", true], ["deadline_seconds", "Deadline, in seconds", "number"],
  ["start_after_seconds", "Start after, in seconds", "number"], ["ttl_seconds", "Readable after its end, in seconds", "number"],
];

const DEPTH_MAX = 6;
let fieldNumber = 0;

// A form for what schemars writes of JSON Schema; a JSON field for everything else. It changes
// `value` in place. The server alone decides what is valid.
function schemaForm(schema, value, changed) {
  const fields = new Map(); // by pointer
  const notes = new Map();

  function resolve(node) {
    for (let hops = 0; node?.$ref?.startsWith("#/$defs/") && hops < 20; hops += 1) {
      const { $ref, ...rest } = node;
      node = { ...schema.$defs?.[decodeURIComponent($ref.slice(8))], ...rest };
    }
    return node ?? {};
  }
  const typesOf = (node) => [node.type].flat().filter((type) => type && type !== "null");

  function field(pointer, name, node, get, set, required, depth) {
    node = resolve(node);
    const id = `field-${fieldNumber += 1}`;
    const note = h("span", { class: "problem", id: `${id}-note` });
    const described = { id, "aria-describedby": `${id}-note`, required };
    const label = [h("label", { for: id }, name, required ? " (required)" : ""), node.description && h("span", { class: "quiet" }, node.description)];
    const update = (next) => { set(next); changed(); };
    const [type, ...others] = typesOf(node);
    const choices = node.enum ?? (node.oneOf ?? node.anyOf)?.map((one) => resolve(one).const);
    let input;
    if (depth < DEPTH_MAX && type === "object" && node.properties && others.length === 0) {
      return objectField(pointer, name, node, get, set, depth);
    }
    if (choices?.every((one) => one !== undefined && (one === null || typeof one !== "object"))) {
      const shown = choices.filter((one) => one !== null);
      input = h("select", described, !required && h("option", { value: "" }, "–"),
        shown.map((one, at) => h("option", { value: String(at), selected: get() === one }, one === "\t" ? "tab" : String(one))));
      input.addEventListener("change", () => update(input.value === "" ? undefined : shown[Number(input.value)]));
    } else if (type === "boolean" && others.length === 0) {
      input = h("input", { ...described, type: "checkbox", required: false, checked: get() === true });
      input.addEventListener("change", () => update(input.checked));
    } else if (["integer", "number"].includes(type) && others.length === 0) {
      input = h("input", { ...described, type: "number", step: type === "integer" ? 1 : "any", min: node.minimum, max: node.maximum });
      if (typeof get() === "number") input.value = get();
      input.addEventListener("input", () => update(input.value === "" ? undefined : Number(input.value)));
    } else if (type === "string" && others.length === 0) {
      input = h("textarea", { ...described, rows: 2, spellcheck: "false" });
      if (typeof get() === "string") input.value = get();
      input.addEventListener("input", () => update(input.value === "" && !required ? undefined : input.value));
      const file = h("input", { type: "file", "aria-label": `${name} from a file` });
      file.addEventListener("change", async () => {
        if (!file.files[0]) return;
        input.value = await file.files[0].text();
        update(input.value);
      });
      label.push(h("span", { class: "bar" }, "From a file ", file));
    } else {
      input = h("textarea", { ...described, rows: 3, spellcheck: "false" });
      if (get() !== undefined) input.value = JSON.stringify(get(), null, 2);
      label.push(h("span", { class: "quiet" }, "JSON"));
      input.addEventListener("input", () => {
        if (input.value.trim() === "") return update(undefined);
        try {
          update(JSON.parse(input.value));
          setText(note, "");
        } catch {
          setText(note, "not JSON");
        }
      });
    }
    fields.set(pointer, input);
    notes.set(pointer, note);
    return h("div", { class: "field" }, label, input, note);
  }

  function objectField(pointer, name, node, get, set, depth) {
    const required = new Set(node.required ?? []);
    const members = Object.entries(node.properties).map(([member, child]) => field(
      `${pointer}/${member.replaceAll("~", "~0").replaceAll("/", "~1")}`, member, child,
      () => { const object = get(); return object && Object.hasOwn(object, member) ? object[member] : undefined; },
      (next) => {
        const object = get() ?? {};
        if (next === undefined) delete object[member];
        else Object.defineProperty(object, member, { value: next, enumerable: true, writable: true, configurable: true });
        set(object);
      },
      required.has(member), depth + 1));
    return h("fieldset", {}, h("legend", {}, name, " ", node.description && h("span", { class: "quiet" }, node.description)),
      members.length > 0 ? members : h("p", { class: "quiet" }, "No arguments."));
  }

  const root = resolve(schema);
  const element = root.properties
    ? objectField("", "Arguments", { ...root, description: undefined }, () => value, () => {}, 0)
    : h("p", { class: "quiet" }, "Any JSON object: write it as JSON.");
  return {
    element,
    // Puts a problem at the field of a pointer, or at the nearest one above it.
    mark(pointer, detail) {
      for (let at = pointer; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
        if (!fields.has(at)) continue;
        setText(notes.get(at), at === pointer ? detail : `${pointer.slice(at.length)} ${detail}`);
        fields.get(at).setAttribute("aria-invalid", "true");
        return fields.get(at);
      }
      return undefined;
    },
    clear() {
      for (const [at, note] of notes) {
        setText(note, "");
        fields.get(at).removeAttribute("aria-invalid");
      }
    },
  };
}

// --- Queues and find -----------------------------------------------------------------------------

function queuesPage(signal) {
  const queues = h("tbody");
  const processes = h("tbody");
  const head = (names) => h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name))));
  const section = h("section", { hidden: true }, h("h2", {}, "Processes"), h("table", { class: "cards" },
    h("caption", {}, "Of each function, since the start"), head(["Function", "Busy", "Idle", "Started", "Invocations", "Billed"]), processes));
  main.append(h("h1", {}, "Queues"), h("table", { class: "cards" }, h("caption", {}, "Messages"),
    head(["Queue", "For", "Waiting", "In flight", "Delayed", "Oldest"]), queues), section);
  const cells = (names, values) => h("tr", {}, values.map((value, at) => h("td", { "data-name": names[at] }, value ?? "?")));
  poll(() => "/api/queues", (found, error) => {
    if (error) return void main.append(h("p", { class: "problem" }, error.message));
    queues.replaceChildren(...found.queues.map((queue) => cells(["Queue", "For", "Waiting", "In flight", "Delayed", "Oldest"],
      [queue.name, queue.purpose, queue.waiting, queue.in_flight, queue.delayed, oldest(queue)])));
    section.hidden = found.processes.length === 0;
    processes.replaceChildren(...found.processes.map((one) => cells(["Function", "Busy", "Idle", "Started", "Invocations", "Billed"],
      [one.function, one.busy, one.idle, one.started, one.invocations, duration(one.billed_ms)])));
    return false;
  }, signal);
  keys = { Escape: () => history.back() };
}

function oldest(queue) {
  const counts = [queue.waiting, queue.in_flight, queue.delayed];
  const known = counts.every((count) => count === 0) ? "empty" : "age unknown";
  const age = queue.oldest_secs == null ? known : `oldest ${duration(queue.oldest_secs * 1000)}`;
  const alarm = queue.alarm_secs ? `alarm at ${queue.alarm_secs.toLocaleString("en")} s` : "alarm at one message";
  const isOver = queue.alarm_secs ? queue.oldest_secs > queue.alarm_secs : counts.some((count) => count > 0);
  return h("span", { class: isOver ? "failed" : "" }, `${age}, ${alarm}`);
}

function findPage(_, parameters) {
  const text = parameters.get("q") ?? "";
  const input = h("input", { id: "q", name: "q", value: text, autocomplete: "off" });
  const answer = h("div");
  main.append(h("h1", {}, "Find"), h("form", { class: "bar", role: "search", onsubmit: (event) => {
    event.preventDefault();
    go(`/find?q=${encodeURIComponent(input.value.trim())}`);
  } }, h("label", { for: "q" }, "An operation's id, an owner, or a Request-Id", input), h("button", { class: "strong" }, "Find")), answer);
  keys = { Escape: () => history.back(), "/": () => input.focus() };
  const id = /op_[0-9a-f]{24}/.exec(text)?.[0];
  if (id) return go(`/operation/${id}`, { replace: true });
  if (text === "") return void input.focus();
  const query = `filter request_id = ${JSON.stringify(text)}`;
  answer.append(h("ul", {},
    h("li", {}, "If it is an owner: ", h("a", { href: `/?owner=${encodeURIComponent(text)}` }, `operations of ${text}`)),
    h("li", {}, "If it is a Request-Id, this Logs Insights query finds its lines: ", h("code", {}, query), " ", copyButton(query, "query"))));
}

// --- Keys, settings and start --------------------------------------------------------------------

let areKeysOn = true;
const KEYS = [["/", "search"], ["j k ↓ ↑", "next, previous operation"], ["Enter", "open"], ["Escape", "back"], ["x", "select"],
  ["c", "cancel"], ["r", "redeliver"], ["n", "submit"], ["Ctrl+Enter", "submit a form"], ["?", "this list"]];

function help() {
  const on = h("input", { type: "checkbox", checked: areKeysOn, onchange: () => { areKeysOn = on.checked; } });
  const dialog = h("dialog", { "aria-labelledby": "keys", onclose: () => { dialog.remove(); byId("help").focus(); } },
    h("form", { method: "dialog" }, h("h2", { id: "keys" }, "Keyboard shortcuts"),
      h("dl", {}, KEYS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
      h("p", {}, h("label", { class: "bar" }, on, "Shortcuts are on")), h("button", { class: "strong" }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (!event.target.closest?.("form.form") || event.repeat) return;
    event.preventDefault();
    return void keys["Ctrl+Enter"]?.();
  }
  const isField = event.target.closest?.("input, select, textarea, dialog, [contenteditable]");
  const isPress = event.key === "Enter" || event.key === " ";
  if (!areKeysOn || event.ctrlKey || event.metaKey || event.altKey || isPress) return;
  if (isField && !(event.target.type === "checkbox" && !event.target.closest("dialog"))) return;
  const action = event.key === "?" ? help : keys[event.key];
  const mayRepeat = ["j", "k", "ArrowDown", "ArrowUp"].includes(event.key);
  if (!action || (event.repeat && !mayRepeat)) return;
  if (event.key.startsWith("Arrow") && !event.target.closest?.("table")) return;
  event.preventDefault();
  action();
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || link.download) return;
  event.preventDefault();
  go(link.getAttribute("href"));
  main.focus();
});

addEventListener("popstate", open);
addEventListener("focus", () => wake());
document.addEventListener("visibilitychange", () => wake());
// Relative times grow old while nothing else changes.
setInterval(() => {
  for (const element of document.querySelectorAll("td time")) setText(element, ago(element.getAttribute("datetime")));
}, 10000);

byId("help").addEventListener("click", help);
const refresh = byId("refresh");
refresh.value = String(refreshSecs);
refresh.addEventListener("change", () => {
  refreshSecs = Number(refresh.value);
  localStorage.setItem("refresh", refresh.value);
  wake();
});
const theme = byId("theme");
theme.value = localStorage.getItem("theme") ?? "light dark";
const setTheme = () => { document.documentElement.style.colorScheme = theme.value; };
theme.addEventListener("change", () => { localStorage.setItem("theme", theme.value); setTheme(); });
setTheme();
byId("zone").addEventListener("change", (event) => { zone = event.target.value || undefined; open(); });

try {
  place = (await call("GET", "/api/place")).json;
  setText(byId("place"), `${place.name}, table ${place.table}`);
} catch (error) {
  setBanner(error);
}
open();
