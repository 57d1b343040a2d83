// The console's page. All state that makes a page is in its URL; the server has the data.
// Everything is made by `h`, which knows attributes and text and no HTML, so data is never markup.

// --- Elements and text ---

// Makes an element: `h("p.quiet", { id: "x" }, "text")`. Names that begin with "on" are listeners;
// false, null and undefined leave an attribute or a child out.
function h(tag, ...children) {
  const [type, ...classes] = tag.split(".");
  const element = document.createElement(type);
  if (classes.length > 0) element.className = classes.join(" ");
  const attributes = children[0]?.constructor === Object ? children.shift() : {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  return add(element, children);
}

function add(element, ...children) {
  const all = children.flat(Infinity).filter((child) => child != null && child !== false);
  element.append(...all.map((child) => (child instanceof Node ? child : plain(child))));
  return element;
}

// Control characters and those that change the direction of text are shown by their number: they
// could make a text look like another one.
const HIDDEN = new RegExp("[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e"
  + "\\u2060-\\u2069\\ufeff]", "g");
function plain(value) {
  return String(value).replace(HIDDEN, (character) =>
    `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}

function setText(element, text) {
  const shown = plain(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// Keeps a text that grows old while nothing else changes.
function ticking(element, text) {
  element.tick = () => setText(element, text());
  element.dataset.ticks = "";
  element.tick();
  return element;
}
setInterval(() => {
  for (const element of document.querySelectorAll("[data-ticks]")) element.tick();
}, 1000);

// What has not changed is not rebuilt, so that the focus and a selection stay.
function hasChanged(element, data) {
  const text = JSON.stringify(data);
  const isSame = element.dataset.shows === text;
  element.dataset.shows = text;
  return !isSame;
}

// Replaces children. The focus goes to the button of the same name, or to the first one.
function exchange(element, children, fallback) {
  const focused = element.contains(document.activeElement) && document.activeElement.textContent;
  element.replaceChildren();
  add(element, children);
  if (focused === false) return;
  const buttons = [...element.querySelectorAll("button")];
  (buttons.find((one) => one.textContent === focused) ?? buttons[0] ?? fallback).focus();
}

const link = (href, ...children) => h("a", { href }, children);
const button = (name, onclick) => h("button", { type: "button", onclick }, name);
const byId = (id) => document.getElementById(id);
const main = byId("main");

const mainIfLost = () => { if (document.activeElement === document.body) main.focus(); };

function url(path, members) {
  const query = new URLSearchParams(Object.entries(members).filter(([, value]) => value));
  return query.size > 0 ? `${path}?${query}` : path;
}
const operationUrl = (id) => `/operation/${encodeURIComponent(id)}`;
const functionUrl = (name, version) => url(`/function/${encodeURIComponent(name)}`, { version });
const operationLink = (id, text = id) => h("a.id", { href: operationUrl(id), title: id }, text);

// A table that is shown as cards where it is narrow: some browsers take the roles of its elements
// away then.
function table(caption, names, rows = []) {
  const head = names.map((name) => h("th", { scope: "col", role: "columnheader" }, name));
  return h("table.cards", { role: "table" }, h("caption", caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, rows.map((cells) => tableRow(names, cells))));
}
function tableRow(names, cells) {
  return h("tr", { role: "row" }, cells.map((cell, at) =>
    h("td", { role: "cell", "data-name": names[at] }, cell ?? "?")));
}

// --- Times ---

let zone; // undefined: the browser's
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const zoneName = () => zone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;

const format = (dateStyle, timeStyle) => (time) =>
  new Intl.DateTimeFormat("en-GB", { dateStyle, timeStyle, timeZone: zone }).format(new Date(time));
const exact = format("medium", "long");
const brief = format("short", "medium");
const clock = format(undefined, "medium");

function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return Math.abs(seconds) < 2 ? "now" : relative.format(Math.round(seconds), "second");
}

function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 1) return `${Math.max(0, Math.round(milliseconds))} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 24) return `${hours} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${(seconds / 86400).toFixed(1)} days`;
}
const between = (from, to) => duration(new Date(to) - new Date(from));

// --- Requests ---

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
  const json = await response.json().catch(() => undefined);
  if (!response.ok) throw new Refused(response.status, json);
  return { json, etag: response.headers.get("etag") };
}

// --- The frame: pages, polling, banner, news ---

let keys = {}; // what the page's shortcuts do
let leave = new AbortController(); // aborted when the page is left
let place = { owners: [] };
let shownId; // of the operation whose page is shown
let leftId; // of the operation whose page was left
let refreshSecs = 1;

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

// Reads again and again, and calls `show` with what has changed. Ends with the page, or when `show`
// returns true: nothing can change any more.
async function poll(path, show, signal) {
  let etag;
  for (let first = true; !signal.aborted; first = false) {
    if (first || isSeen()) {
      try {
        const answer = await call("GET", path, { etag, signal });
        if (signal.aborted) return;
        const isEnd = !answer.unchanged && await show(answer.json) === true;
        // Only now: what could not be shown is requested again.
        etag = answer.etag;
        setBanner();
        if (isEnd) return;
      } catch (error) {
        if (signal.aborted) return;
        if ([400, 404].includes(error.status)) return void show(null, error);
        setBanner(error);
        // A mistake of the page, which its tests look for.
        if (!(error instanceof Refused)) reportError(error);
      }
    }
    await wait(refreshSecs > 0 ? refreshSecs * 1000 : 2 ** 30, signal);
  }
}

let failedSince;
const banner = byId("banner");
const failure = h("span");
add(banner, failure, button("Try again", wake));
function setBanner(error) {
  const hadFocus = banner.contains(document.activeElement);
  document.body.classList.toggle("stale", Boolean(error));
  banner.hidden = !error;
  if (hadFocus && !error) main.focus();
  if (!error) return void (failedSince = undefined);
  failedSince ??= Date.now();
  const why = error instanceof Refused ? error.message : "this page has failed: load it again";
  setText(failure, `Not up to date since ${clock(failedSince)}: ${why} `);
}

const changes = new Map(); // how many operations have got each status, for the next announcement
function announce(status) {
  if (changes.size === 0) {
    setTimeout(() => {
      const parts = [...changes].map(([name, count]) => `${count} ${name}`);
      setText(byId("news"), parts.join(", "));
      changes.clear();
    }, 5000);
  }
  changes.set(status, (changes.get(status) ?? 0) + 1);
}

// What became of the last action, in a line that stays until the next one.
function say(sentence, isBad = false) {
  const outcome = byId("outcome");
  outcome.className = isBad ? "problem" : "";
  setText(outcome, sentence);
}

function go(target, { replace = false, state = null } = {}) {
  history[replace ? "replaceState" : "pushState"](state, "", target);
  open();
}

function open() {
  leave.abort();
  leave = new AbortController();
  keys = {};
  setBanner();
  say("");
  const { pathname, searchParams } = new URL(location.href);
  const [first, second] = parts(pathname);
  leftId = shownId;
  shownId = first === "operation" ? second : undefined;
  const needsName = ["operation", "function"].includes(first);
  const page = needsName === Boolean(second) ? PAGES.get(first) ?? notFoundPage : notFoundPage;
  for (const link of document.querySelectorAll("header nav a")) {
    const isHere = link.pathname === "/" ? ["", "operation"].includes(first)
      : first !== "" && link.pathname.startsWith(`/${first}`);
    link.setAttribute("aria-current", isHere ? "page" : "false");
  }
  main.replaceChildren();
  page(leave.signal, searchParams, second);
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
const goBack = () => history.back();

function notFoundPage() {
  add(main, h("h1", "There is no such page"), h("p", link("/", "Operations")));
}

// --- Small parts ---

const SHAPES = {
  pending: "○", processing: "◐", completed: "●", failed: "✕", cancelled: "–", continued: "↻",
  retried: "↻", lost: "✕", waiting: "○", due: "◐", delivered: "●", gone: "–", exhausted: "✕",
  skipped: "–",
};
function setStatus(element, status) {
  const text = `${SHAPES[status] ?? "·"} ${status}`;
  if (element.textContent === text) return;
  element.textContent = text;
  element.className = `status ${Object.hasOwn(SHAPES, status) ? status : ""}`;
}

function copyButton(text, name) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      say(`${name} copied`);
    } catch (error) {
      say(`${name} not copied: ${error.message}`, true);
    }
  };
  const attributes = { type: "button", "aria-label": `Copy ${name}`, onclick: copy };
  return h("button.copy", attributes, "Copy");
}

const shortId = (id) => `${id.slice(0, 9)}…${id.slice(-4)}`;
const isLive = (operation) => ["pending", "processing"].includes(operation.status);
const endOf = (operation) => operation.completed_at ?? operation.cancelled_at;

function took(operation) {
  if (operation.status === "pending" && new Date(operation.starts_at) > Date.now()) {
    return `starts ${ago(operation.starts_at)}`;
  }
  const from = operation.starts_at ?? operation.created_at;
  return between(from, endOf(operation) ?? Date.now());
}

// Shows a dialog. Resolves to the value of the button that closed it, once the focus is back.
function modal(dialog) {
  const before = document.activeElement;
  const { signal } = leave;
  const close = () => dialog.close("");
  signal.addEventListener("abort", close);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    signal.removeEventListener("abort", close);
    dialog.remove();
    if (before.isConnected) before.focus();
    mainIfLost();
    resolve(signal.aborted ? "" : dialog.returnValue);
  }));
}

// Asks in a dialog. `confirm` is a text that has to be typed. Resolves to whether to go on.
async function ask(title, paragraphs, button, confirm) {
  const yes = h("button.bad", { value: "yes", disabled: confirm }, button);
  const typed = h("input", { autocomplete: "off" });
  typed.addEventListener("input", () => { yes.disabled = typed.value !== confirm; });
  return await modal(h("dialog", { "aria-labelledby": "ask" }, h("form", { method: "dialog" },
    h("h2", { id: "ask" }, title), paragraphs.map((text) => h("p", text)),
    confirm && h("p", h("label", `Type ${confirm} to confirm `, typed)),
    h("div.bar", yes, h("button", { value: "no" }, "Back"))))) === "yes";
}

// --- Actions ---

// When each action is possible.
const CAN = {
  cancel: isLive,
  redeliver: ({ callback }) => ["delivered", "gone", "exhausted"].includes(callback?.status),
  erase: (operation) => !isLive(operation),
};
const titled = (action) => action[0].toUpperCase() + action.slice(1);

async function confirmed(action, operation) {
  const { id, owner, version } = operation;
  const name = `${operation.function} ${version}, ${id}, of ${owner}.`;
  if (action === "cancel") {
    return ask("Cancel this operation?", [
      `${name} It was submitted ${ago(operation.created_at)}.`,
      "What the work has already done is not undone.",
    ], "Cancel operation");
  }
  if (action === "erase") {
    return ask("Erase this operation?", [`${name} It cannot be read any more afterwards.`],
      "Erase", id.slice(-4));
  }
  return true;
}

async function perform(action, operation, members = {}) {
  const { created_at, lock_version } = operation;
  const body = JSON.stringify({ shown: { created_at, lock_version }, ...members });
  try {
    const { json } = await call("POST", `/api${operationUrl(operation.id)}/${action}`, { body });
    return { ok: true, sentence: json.done, id: json.id };
  } catch (error) {
    return { ok: false, sentence: error.message };
  }
}

// Performs an action and says what became of it.
async function performOne(action, operation, members) {
  if (!await confirmed(action, operation)) return { ok: false };
  const result = await perform(action, operation, members);
  const { ok, sentence } = result;
  say(`${action} ${shortId(operation.id)}${ok ? "" : " was not done"}: ${sentence}`, !ok);
  wake();
  return result;
}

// --- Operations ---

const FILTERS = [
  "owner", "status", "callback_status", "function", "created_after", "created_before",
];
const STATUSES = ["pending", "processing", "completed", "failed", "cancelled"];
const CALLBACK_STATUSES = ["waiting", "due", "delivered", "gone", "exhausted", "skipped"];
const COLUMNS = ["Status", "Function", "Id", "Owner", "Created", "Took", "Attempt", "Progress",
  "Callback"];

let lastList = "/"; // the list that was shown last, for the way back to it
let lastIds = []; // of that list
const seen = new Map(); // ids of the operations in lists, by webhook-id

function operationsPage(signal, parameters) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) ?? ""]));
  const cursor = parameters.get("cursor");
  const all = h("input", { type: "checkbox" });
  const list = {
    filters, cursor, all, rows: new Map(), selected: new Set(),
    table: table("Loading…", [h("span.visually-hidden", "Selected"), ...COLUMNS]),
    newer: button("", () => showNewer(list)), results: h("section"),
    buttons: h("span.bar"), empty: h("div.empty", { hidden: true }),
    older: h("a", { hidden: true }, "Older"),
  };
  list.bulk = h("div.bar", { role: "group", "aria-label": "Selected operations", hidden: true },
    h("label.bar", all, "Select all"), list.buttons);
  all.addEventListener("change", () => {
    for (const row of list.rows.values()) row.select(all.checked);
    updateBulk(list);
  });
  list.newer.hidden = true;
  lastList = location.pathname + location.search;
  const visited = history.state ?? []; // the newer pages of this list
  list.older.state = [...visited, lastList];
  const newerPage = visited.length > 0 && link(visited.at(-1), "Newer");
  if (newerPage) newerPage.state = visited.slice(0, -1);
  add(main, filterBar(filters), list.newer, list.bulk, list.results, list.table, list.empty,
    h("p.bar", cursor && link(url("/", filters), "Newest"), newerPage, list.older));
  keys = listKeys(list);
  poll(url("/api/list", { ...filters, cursor }), (page, error) => {
    if (error) {
      list.table.hidden = true;
      list.empty.hidden = false;
      list.empty.replaceChildren(h("p.problem", error.message), clearFilters());
      return true;
    }
    list.latest = page;
    const unknown = page.operations.filter(({ id }) => !list.rows.has(id));
    const isMoved = list.rows.size > 0 && !cursor && unknown.length > 0 && scrollY > 80;
    if (!isMoved) return showList(list, page);
    list.newer.hidden = false;
    setText(list.newer, `${unknown.length} newer`);
    for (const operation of page.operations) list.rows.get(operation.id)?.update(operation);
    return false;
  }, signal);
}

const clearFilters = () => h("p", link("/", "Clear filters"));

function showNewer(list) {
  scrollTo(0, 0);
  showList(list, list.latest);
  list.table.querySelector("a.id")?.focus();
}

function showList(list, page) {
  const { rows, empty } = list;
  const isFirst = rows.size === 0;
  list.newer.hidden = true;
  dropRows(list, new Set(page.operations.map(({ id }) => id)));
  const body = list.table.tBodies[0];
  let before = body.firstElementChild;
  for (const operation of page.operations) {
    let row = rows.get(operation.id);
    if (row) row.update(operation);
    else rows.set(operation.id, row = makeRow(list, operation));
    if (row.element === before) before = before.nextElementSibling;
    else body.insertBefore(row.element, before);
  }
  const count = page.operations.length;
  const follows = page.next_cursor ? "more may follow" : "the end";
  setText(list.table.caption, `${count} shown, ${page.examined} examined, ${follows}`);
  list.older.hidden = !page.next_cursor;
  if (page.next_cursor) list.older.href = url("/", { ...list.filters, cursor: page.next_cursor });
  list.table.hidden = count === 0;
  empty.hidden = count > 0;
  if (count === 0) empty.replaceChildren(...nothing(list, page));
  updateBulk(list);
  if (isFirst) returnToRow(rows);
  lastIds = page.operations.map(({ id }) => id);
}

// The focus of a row that goes moves on to the next one.
function dropRows({ rows, selected }, ids) {
  for (const [id, { element }] of rows) {
    if (ids.has(id)) continue;
    const next = element.nextElementSibling ?? element.previousElementSibling;
    if (element.contains(document.activeElement)) (next?.querySelector("a") ?? main).focus();
    element.remove();
    rows.delete(id);
    selected.delete(id);
  }
}

// From an operation's page back to its row, or to the one below it when it is gone.
function returnToRow(rows) {
  const at = lastIds.indexOf(leftId);
  const id = at >= 0 && lastIds.slice(at).find((one) => rows.has(one));
  if (id && [main, document.body].includes(document.activeElement)) rows.get(id).link.focus();
}

function nothing(list, page) {
  if (FILTERS.some((name) => list.filters[name])) {
    const later = page.next_cursor ? " yet; older operations may." : ".";
    return [h("p", `Nothing matches${later}`), clearFilters()];
  }
  const body = '{"function":"csv.summarize","arguments":{"csv":"a,b\\n1,2"}}';
  const curl = `curl ${operationsUrl()} --json '${body}'`;
  return [h("p", "No operations yet. Submit one:"), h("pre", curl), copyButton(curl, "command"),
    h("p", "or choose a function under ", link("/functions", "Functions"), ".")];
}

function makeRow(list, operation) {
  const { id } = operation;
  const { selected } = list;
  const row = { operation, link: operationLink(id, shortId(id)) };
  const check = h("input", { type: "checkbox", "aria-label": `Select ${id}` });
  row.select = (isSelected) => {
    check.checked = isSelected;
    selected[isSelected ? "add" : "delete"](id);
  };
  row.toggle = () => {
    row.select(!selected.has(id));
    updateBulk(list);
  };
  check.addEventListener("change", row.toggle);
  const [status, attempt, callback] = [h("span"), h("span"), h("span")];
  const created = ticking(h("time"), () => ago(row.operation.created_at));
  const tookText = ticking(h("span"), () => took(row.operation));
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
  const message = ticking(h("span"), () => {
    const { resumes_at, progress_message, errors } = row.operation;
    return resumes_at ? `resumes ${ago(resumes_at)}` : progress_message ?? errors?.[0].code ?? "";
  });
  row.element = tableRow([null, ...COLUMNS], [check, status,
    [`${operation.function} `, h("span.quiet", operation.version)],
    [row.link, " ", copyButton(id, "id")], operation.owner, created, tookText, attempt,
    [bar, " ", message], callback]);
  row.update = (next) => {
    if (next.status !== row.operation.status) announce(next.status);
    row.operation = next;
    if (next.webhook_id) seen.set(next.webhook_id, id);
    setStatus(status, next.status);
    if (created.dateTime !== next.created_at) {
      created.dateTime = next.created_at;
      created.title = exact(next.created_at);
    }
    setText(attempt, next.attempt === 0 ? "" : `${next.attempt}/${next.attempts_max}`);
    bar.hidden = next.progress == null;
    bar.value = next.progress ?? 0;
    if (next.callback) setStatus(callback, next.callback.status);
    for (const element of [created, tookText, message]) element.tick();
  };
  row.update(operation);
  return row;
}

function updateBulk(list) {
  const { rows, selected, all, bulk } = list;
  const chosen = [...selected].map((id) => rows.get(id).operation);
  bulk.hidden = rows.size === 0;
  all.checked = chosen.length > 0 && chosen.length === rows.size;
  all.indeterminate = chosen.length > 0 && !all.checked;
  const state = ({ id, status, callback }) => [id, status, callback?.status];
  if (!hasChanged(list.buttons, chosen.map(state))) return;
  const actions = Object.entries(CAN).map(([action, can]) => {
    const possible = chosen.filter(can);
    return possible.length > 0 && button(`${titled(action)} ${possible.length}`,
      () => actOnAll(list, action, possible));
  });
  const count = chosen.length > 0 && h("span", `${chosen.length} selected`);
  exchange(list.buttons, [count, actions], all);
}

async function actOnAll(list, action, operations) {
  const name = titled(action);
  const confirm = action === "erase" ? String(operations.length) : undefined;
  const title = `${name} ${operations.length} operations?`;
  if (!await ask(title, ["Each is acted on as its owner could."], name, confirm)) return;
  const heading = h("h2", { tabindex: -1 }, `${name}: what was done`);
  const results = h("ul");
  list.results.replaceChildren(heading, results);
  heading.focus();
  let count = 0;
  for (const operation of operations) {
    const { ok, sentence } = await perform(action, operation);
    if (ok) count += 1;
    const { id } = operation;
    add(results, h(ok ? "li" : "li.problem", operationLink(id, shortId(id)), `: ${sentence}`));
  }
  const failed = operations.length - count;
  if (heading.isConnected) say(`${name}: ${count} done, ${failed} not`, failed > 0);
  wake();
}

function listKeys({ table: { tBodies: [body] }, rows }) {
  const current = () => [...rows.values()]
    .find(({ element }) => element.contains(document.activeElement));
  const move = (step) => {
    const links = [...body.querySelectorAll("a.id")];
    const at = links.indexOf(current()?.link) + step;
    links[Math.min(links.length - 1, Math.max(0, at))]?.focus();
  };
  const act = (action) => () => {
    const operation = current()?.operation;
    if (operation && CAN[action](operation)) performOne(action, operation);
  };
  return {
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
    x: () => current()?.toggle(), c: act("cancel"), r: act("redeliver"), e: act("erase"),
    n: () => go("/functions"), "/": () => main.querySelector("input").focus(),
  };
}

const ownersList = () =>
  h("datalist", { id: "owners" }, place.owners.map((owner) => h("option", { value: owner })));

function filterBar(filters) {
  const { owner } = filters;
  const shortcuts = [
    ["In flight", { status: "pending,processing" }], ["Failed", { status: "failed" }],
    ["Callback exhausted", { callback_status: "exhausted" }], ["All", {}],
  ].map(([name, some]) => link(url("/", { owner, ...some }), name));
  const chips = FILTERS.filter((name) => filters[name]).map((name) => {
    const label = `Remove the filter ${name} ${filters[name]}`;
    const href = url("/", { ...filters, [name]: "" });
    const text = `${name.replaceAll("_", " ")}: ${filters[name]} ✕`;
    return h("a.chip", { href, "aria-label": label }, text);
  });
  return h("div", h("div.bar", h("h1", "Operations"),
    h("nav.bar", { "aria-label": "Shortcuts" }, shortcuts)), filterForm(filters),
    chips.length > 0 && h("div.bar", chips));
}

function filterForm(filters) {
  const field = (name, label, placeholder, list) => h("label", label,
    h("input", { name, value: filters[name], placeholder, list, autocomplete: "off" }));
  const chosen = filters.status.split(",");
  const statuses = STATUSES.map((value) => {
    const checked = chosen.includes(value);
    return h("label", h("input", { type: "checkbox", name: "status", value, checked }), value);
  });
  const callbacks = CALLBACK_STATUSES.map((status) =>
    h("option", { selected: filters.callback_status === status }, status));
  const onsubmit = (event) => {
    event.preventDefault();
    const data = new FormData(form);
    go(url("/", { ...Object.fromEntries(data), status: data.getAll("status").join() }));
    mainIfLost();
  };
  const form = h("form.bar", { role: "search", onsubmit },
    field("owner", "Owner", "all", "owners"), ownersList(),
    h("fieldset.bar", h("legend", "Status"), statuses), field("function", "Function", "any"),
    h("label", "Callback",
      h("select", { name: "callback_status" }, h("option", { value: "" }, "any"), callbacks)),
    field("created_after", "Created after", "2026-11-30T12:00:00Z"),
    field("created_before", "Created before", "2026-11-30T13:00:00Z"),
    h("button.strong", "Filter"));
  return form;
}

// --- One operation ---

function operationPage(signal, _, id) {
  const view = {
    id, signal, status: h("span"), buttons: h("div.bar"), message: h("span"), payloads: h("div"),
    bar: h("progress", { max: 1, "aria-label": "Progress", hidden: true }),
    timeline: h("ol.timeline"), facts: h("dl"), requests: h("div"), heading: h("h1", "Operation "),
  };
  add(view.heading, h("span.id", id));
  const content = h("div", { hidden: true }, h("p", view.status, " ", view.bar, " ", view.message),
    view.buttons, h("h2", "Timeline ", h("small.quiet", `times in ${zoneName()}`)), view.timeline,
    view.payloads, h("h2", "Facts"), view.facts, h("h2", "Requests"), view.requests);
  add(main, view.heading, h("p", copyButton(id, "id")), content);
  keys = operationKeys(view);
  poll(`/api${operationUrl(id)}`, async (operation, error) => {
    if (error) {
      const hadFocus = main.contains(document.activeElement);
      main.replaceChildren(view.heading, h("div.empty", h("p", error.message),
        h("p", link("/", "Operations"))));
      if (hadFocus) main.focus();
      return true;
    }
    content.hidden = false;
    showOperation(view, operation);
    await showStored(view, operation);
    // An operation that has ended changes too: it may be redelivered or erased elsewhere.
    return false;
  }, signal);
}

function showOperation(view, operation) {
  const {
    progress, progress_message, progress_updated_at, updated_at, etag, ...lasting
  } = operation;
  if (view.shown && view.shown.status !== operation.status) announce(operation.status);
  view.shown = operation;
  if (operation.webhook_id) seen.set(operation.webhook_id, operation.id);
  setStatus(view.status, operation.status);
  view.bar.hidden = progress == null;
  view.bar.value = progress ?? 0;
  const percent = progress == null ? "" : `${Math.round(progress * 100)} % `;
  setText(view.message, `${percent}${progress_message ?? ""}`);
  const happened = events(operation);
  if (hasChanged(view.timeline, happened)) {
    view.timeline.replaceChildren(...happened.map(timelineEntry));
  }
  updateButtons(view);
  if (hasChanged(view.facts, [lasting, view.record])) {
    const terms = factsOf(operation, view.record ?? []);
    view.facts.replaceChildren(...terms.flatMap(([name, value]) =>
      [h("dt", name), h("dd", value)]));
  }
  if (hasChanged(view.requests, [operation.status, operation.callback?.status, !view.stored])) {
    view.requests.replaceChildren(...requestsOf(operation, view.stored));
  }
}

// Payloads are read once for each status, and what is stored of the record for each version.
async function showStored(view, operation) {
  const version = `${operation.created_at} ${operation.lock_version}`;
  if (view.version === version) return;
  const read = async (what) =>
    (await call("GET", `/api${operationUrl(view.id)}/${what}`, { signal: view.signal })).json;
  if (view.storedOf !== operation.status) {
    view.stored = await read("stored");
    view.storedOf = operation.status;
    view.payloads.replaceChildren(...payloadsOf(view.stored, operation));
  }
  view.record = await read("record");
  view.version = version;
  showOperation(view, operation);
}

function updateButtons(view) {
  const { shown } = view;
  const isFailed = shown.status === "failed";
  const hasState = isFailed && shown.has_state;
  const offered = [
    isLive(shown) && ["cancel", "Cancel", "bad"],
    hasState && ["redrive", "Redrive from its state", "strong", { from: "state" }],
    isFailed && ["redrive", "Redrive from the start", !hasState && "strong", { from: "start" }],
    CAN.redeliver(shown) && ["redeliver", "Redeliver callback"],
    (isLive(shown) || shown.callback?.status === "due") && ["wake", "Wake up"],
    CAN.erase(shown) && ["erase", "Erase", "bad"],
    canRunAgain(view) && ["again", "Run again"],
  ].filter(Boolean);
  if (!hasChanged(view.buttons, offered)) return;
  exchange(view.buttons, offered.map(([action, name, kind, members]) => {
    const onclick = () => run(view, action, members);
    return h("button", { type: "button", class: kind, onclick }, name);
  }), main);
}

async function run(view, action, members) {
  const { shown, stored, signal } = view;
  if (action === "again") {
    const { owner, version } = shown;
    draft.set(`${shown.function} ${version}`, { owner, text: pretty(stored.arguments) });
    go(functionUrl(shown.function, version));
    return mainIfLost();
  }
  const result = await performOne(action, shown, members);
  if (signal.aborted || !result.ok) return;
  const target = action === "erase" ? lastList : result.id && operationUrl(result.id);
  if (!target) return;
  const sentence = byId("outcome").textContent;
  go(target);
  mainIfLost();
  say(sentence);
}

const canRunAgain = ({ stored }) => place.api_url !== undefined && stored?.arguments !== undefined;

function operationKeys(view) {
  const act = (action) => () => view.shown && CAN[action](view.shown) && run(view, action);
  return {
    Escape: goBack, c: act("cancel"), r: act("redeliver"), e: act("erase"),
    n: () => canRunAgain(view) && run(view, "again"),
  };
}

// What happened, oldest first: its time, a text, the class of a status, and when the next follows.
function events(operation) {
  const { callback, starts_at, created_at, resumes_at, lease_until } = operation;
  const found = [];
  let last = created_at;
  const event = (at, text, kind = "", next = undefined) => {
    last = at ?? last;
    found.push({ at, sorted: last, text, kind, next });
  };
  event(created_at, "submitted");
  if (starts_at) event(starts_at, "starts at the earliest");
  const attempts = operation.attempts ?? [];
  for (const [at, attempt] of attempts.entries()) {
    addAttempt(operation, attempt, attempts[at + 1], event);
  }
  const isRunning = operation.status === "processing" && !attempts.at(-1)?.outcome;
  if (operation.progress_message && isLive(operation)) {
    const percent = Math.round(operation.progress * 100);
    const text = `progress ${percent} % ${operation.progress_message}`;
    event(operation.progress_updated_at, text, "processing");
  }
  if (resumes_at) event(resumes_at, "resumes from its state", "waiting");
  else if (isRunning && operation.availability !== "busy") {
    const since = clock(lease_until);
    event(lease_until, `no heartbeat since ${since}; another worker takes over`, "lost");
  }
  const ended = endOf(operation);
  if (ended) event(ended, operation.status, operation.status);
  if (callback && ended && callback.status !== "skipped") addDeliveries(operation, ended, event);
  const until = isLive(operation) ? "readable at least until then" : "readable until then";
  event(operation.expires_at, until, "quiet");
  return found.sort((a, b) => new Date(a.sorted) - new Date(b.sorted));
}

function addAttempt(operation, { number, started_at, ended_at, outcome, code }, following, event) {
  const { created_at, starts_at, errors, last_error, lease_until } = operation;
  if (started_at) {
    const queued = `, queued ${between(starts_at ?? created_at, started_at)}`;
    event(started_at, `attempt ${number} began${number === 1 ? queued : ""}`);
  }
  if (!outcome) return;
  let text = `attempt ${number} ${outcome === "lost" ? "was lost: its worker stopped" : outcome}`;
  let next;
  // Only the messages of the last retried attempt and of the failed one are kept.
  let error = last_error?.attempt === number ? last_error : undefined;
  let judgement = "";
  if (outcome === "retried") {
    judgement = " (retryable)";
    if (following?.started_at) {
      judgement += `, next after ${between(ended_at, following.started_at)}`;
    } else if (!following) next = lease_until;
  } else if (outcome === "failed") {
    const [own, whyLast] = errors;
    error = own;
    judgement = whyLast ? ` (retryable, but ${whyLast.message})` : " (not retryable)";
  }
  if (code) text += error?.code === code ? ` ${code} "${error.message}"` : ` ${code}`;
  event(ended_at, text + judgement, outcome, next);
}

function addDeliveries({ callback, deliveries_made }, ended, event) {
  const { attempts, next_attempt_at, status } = callback;
  event(ended, "callback due", "due");
  for (const [at, { at: time, status_code, error, duration_ms }] of attempts.entries()) {
    const number = deliveries_made - attempts.length + at + 1;
    const following = attempts[at + 1];
    const isDelivered = status_code >= 200 && status_code < 300;
    const end = isDelivered ? "delivered" : following || status === "due" ? "" : status;
    let text = `POST ${number} → ${status_code ?? error}, ${duration_ms} ms`;
    if (end) text += `: ${end}`;
    else if (following) text += `, next after ${between(time, following.at)}`;
    event(time, text, end || "retried", following || end ? "" : next_attempt_at);
  }
}

function timelineEntry({ at, text, kind, next }, index, all) {
  const before = index > 0 && all[index - 1].at;
  const says = () => (next ? `${text}, next ${ago(next)}` : text);
  return h("li", at ? h("time", { datetime: at }, brief(at)) : h("span"),
    h("span.quiet", before && at ? `+${between(before, at)}` : ""),
    ticking(h("span", { class: kind }), says));
}

function factsOf(operation, record) {
  const { callback, redrive_of, version, owner } = operation;
  const asked = callback && `${callback.status}, ${callback.url}, on ${callback.events.join(", ")}`;
  const name = `${operation.function} ${version}`;
  return [
    ["Function", link(functionUrl(operation.function, version), name)],
    ["Owner", link(url("/", { owner }), owner)],
    ["Attempt", `${operation.attempt} of ${operation.attempts_max}`],
    ["For a worker", operation.availability],
    operation.status === "processing" && ["Lease until", exact(operation.lease_until)],
    ["Deadline", exact(operation.deadline_at)],
    redrive_of && ["Redrive of", operationLink(redrive_of)],
    ["Callback", asked ?? "none was asked for"],
    operation.webhook_id && ["webhook-id", operation.webhook_id],
    ...record.map(({ name, text, at }) => [name, at ? exact(at) : text]),
  ].filter(Boolean);
}

function payloadsOf(stored, operation) {
  return [
    ["Input", stored.arguments, "Deleted: it ended more than a day late."],
    ["Output", stored.result, isLive(operation) ? "Not yet." : "None."],
    operation.errors && ["Errors", JSON.stringify(operation.errors)],
    ["Metadata", stored.metadata],
  ].filter(Boolean).map(([name, text, none]) => h("section",
    h("h2", name, " ", text != null && copyButton(text, name.toLowerCase())),
    text == null ? h("p.quiet", none) : jsonBlock(text, name)));
}

const LINES_SHOWN = 200;
function jsonBlock(text, name) {
  const lines = pretty(text).split("\n");
  const shown = lines.slice(0, LINES_SHOWN).join("\n");
  const pre = h("pre", { tabindex: 0, "aria-label": name }, shown);
  if (lines.length <= LINES_SHOWN) return pre;
  const all = button(`Show all ${lines.length} lines`, () => {
    setText(pre, lines.join("\n"));
    all.remove();
    pre.focus();
  });
  return h("div", pre, all);
}

// Indents a JSON text. It does not parse it, so numbers and keys stay exactly as they were sent.
function pretty(text) {
  let depth = 0;
  let isOpened = false;
  let result = "";
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    const isClosing = token === "}" || token === "]";
    if (isClosing) depth -= 1;
    // Nothing is between the brackets of an empty array or object.
    if (isOpened !== isClosing) result += line();
    isOpened = token === "{" || token === "[";
    if (isOpened) depth += 1;
    result += token === ":" ? ": " : token;
    if (token === ",") result += line();
  }
  return result;
}

// A JSON object whose members are JSON texts, so that numbers stay as they are written.
const jsonObject = (members) =>
  `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
const submitBody = (name, version, sent, more = []) => jsonObject([
  ["function", JSON.stringify(name)], ["version", JSON.stringify(version)], ["arguments", sent],
  ...more,
]);

// One word for a shell.
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const authorization = (owner) => (owner.startsWith("local:")
  ? ` -H ${shell(`Authorization: Bearer ${owner.slice(6)}`)}`
  : ' -H "Authorization: Bearer $TOKEN"');
const operationsUrl = () => `${place.api_url ?? "$URL"}/operations`;
const submitCurl = (owner, headers, body) =>
  `curl${authorization(owner)}${headers} ${operationsUrl()} --json ${shell(body)}`;

function requestsOf(operation, stored) {
  const { id, owner } = operation;
  const base = `${operationsUrl()}/${id}`;
  const post = (action) => `curl -X POST${authorization(owner)} ${base}/${action}`;
  const { arguments: sent } = stored ?? {};
  const again = sent && submitBody(operation.function, operation.version, sent);
  return [
    ["Read", `curl${authorization(owner)} ${base}`],
    isLive(operation) && ["Cancel", post("cancel")],
    CAN.redeliver(operation) && ["Redeliver", post("redeliver")],
    operation.status === "failed" && ["Redrive", post("redrive")],
    again && ["Submit again", submitCurl(owner, "", again)],
    ["Logs Insights", `filter operation_id = "${id}"`],
  ].filter(Boolean).map(([what, text]) => {
    const shown = text.length > 400 ? `${text.slice(0, 400)}…` : text;
    return h("p", h("strong", `${what} `), h("code", shown), " ", copyButton(text, what));
  });
}

// --- Functions and submit ---

// The last arguments of each function and version, for as long as the page is open.
const draft = new Map();

function withFunctions(signal, show) {
  poll("/api/functions", (found, error) => {
    if (error) add(main, h("p.problem", error.message));
    else show(found.functions);
    return true;
  }, signal);
}

function functionsPage(signal) {
  add(main, h("h1", "Functions"));
  keys = { Escape: goBack };
  const names = ["Name", "Version", "Description", "Side effects", "Target", "Attempts",
    "Attempt takes at most", "Deadline"];
  withFunctions(signal, (functions) => add(main, table(`${functions.length} functions`, names,
    functions.map(({ name, version, description, limits, side_effects, target }) => [
      link(functionUrl(name, version), name), version, description,
      side_effects && (side_effects.join(", ") || "none"), target ?? "compiled in",
      limits.attempts_max, duration(limits.attempt_timeout_seconds * 1000),
      duration(limits.deadline_seconds_default * 1000),
    ]))));
}

function functionPage(signal, parameters, name) {
  add(main, h("h1", `Submit ${name}`));
  keys = { Escape: goBack };
  const wanted = parameters.get("version");
  withFunctions(signal, (functions) => {
    const versions = functions.filter((one) => one.name === name);
    const chosen = versions.find(({ version }) => version === wanted) ?? versions.at(-1);
    if (!chosen) {
      add(main, h("div.empty", h("p", "There is no such function."),
        h("p", link("/functions", "Functions"))));
      return;
    }
    const others = versions.map((one) => h("a", {
      href: functionUrl(name, one.version), "aria-current": one === chosen && "true",
    }, one.version));
    const instead = `Version ${wanted} is not there any more. This is ${chosen.version}.`;
    const schema = (what) => jsonBlock(JSON.stringify(chosen[`${what}_schema`]), `Schema: ${what}`);
    add(main, h("p", chosen.description),
      wanted && wanted !== chosen.version && h("p.problem", instead),
      h("nav.bar", { "aria-label": "Versions" }, "Version", others),
      submitForm(signal, chosen), h("h2", "Schemas"),
      h("details", h("summary", "Arguments"), schema("arguments")),
      h("details", h("summary", "Result"), schema("result")));
  });
}

// The other members of a submit: name, label, whether its text is JSON.
const MORE = [
  ["idempotency_key", "Idempotency key"], ["callback_url", "Callback URL"],
  ["callback_events", "Callback events, such as [\"failed\"]", true],
  ["metadata", "Metadata, a JSON object", true], ["deadline_seconds", "Deadline, in seconds", true],
  ["start_after_seconds", "Start after, in seconds", true],
  ["ttl_seconds", "Readable after its end, in seconds", true],
];

function submitForm(signal, chosen) {
  const fields = new Map(); // by pointer: an input, and a note for a problem
  const key = `${chosen.name} ${chosen.version}`;
  const kept = draft.get(key);
  const editor = h("textarea", { id: "json", spellcheck: "false", rows: 16 });
  const note = h("p.problem", { role: "alert" });
  const formPlace = h("div.form");
  const submit = h("button.strong", "Submit");
  const problems = h("div", { role: "alert", tabindex: -1 });
  const input = (id, label, value = "", list = null) => {
    const element = h("input", { id, list, autocomplete: "off", "aria-describedby": `${id}-note` });
    element.value = value;
    const problem = h("span.problem", { id: `${id}-note` });
    fields.set(`/${id}`, { input: element, note: problem });
    return h("div.field", h("label", { for: id }, label), element, problem);
  };
  const valueOf = (id) => fields.get(`/${id}`).input.value;
  const ownerField = input("owner", "Owner",
    kept?.owner ?? place.owners.at(-1) ?? "local:anonymous", "owners");
  const keep = () => draft.set(key, { text: editor.value, owner: valueOf("owner") });

  // The form is there only while it can show what is typed, and changes nothing else by it.
  const fromEditor = () => {
    const problem = formProblem(editor.value);
    setText(note, problem ?? "");
    for (const at of fields.keys()) if (at.startsWith("/arguments")) fields.delete(at);
    formPlace.replaceChildren(problem ? ""
      : schemaForm(chosen.arguments_schema, JSON.parse(editor.value), fields, changed));
    keep();
  };
  // `pointer` is that of a member that was added or removed: the form has other fields then.
  const changed = (value, pointer) => {
    editor.value = JSON.stringify(value, null, 2);
    keep();
    if (pointer === undefined) return;
    fromEditor();
    const first = [...fields.keys()].find((at) => `${at}/`.startsWith(`${pointer}/`));
    fields.get(first)?.input.focus();
  };
  const texts = () => MORE.slice(1).filter(([member]) => valueOf(member) !== "");
  const body = () => submitBody(chosen.name, chosen.version, editor.value,
    texts().map(([member, , isJson]) =>
      [member, isJson ? valueOf(member) : JSON.stringify(valueOf(member))]));
  const curl = () => {
    const idempotency = valueOf("idempotency_key");
    const header = idempotency && ` -H ${shell(`Idempotency-Key: ${idempotency}`)}`;
    return submitCurl(valueOf("owner"), header, body());
  };
  const send = async (event) => {
    event?.preventDefault();
    if (submit.disabled) return;
    for (const field of fields.values()) setProblem(field, "");
    problems.replaceChildren();
    submit.disabled = true;
    try {
      const errors = notJson([["arguments", editor.value],
        ...texts().filter(([, , isJson]) => isJson).map(([member]) => [member, valueOf(member)])]);
      if (errors.length > 0) throw new Refused(400, { errors });
      const idempotency = JSON.stringify(valueOf("idempotency_key") || null);
      const { json } = await call("POST", "/api/submit", { body: jsonObject([
        ["owner", JSON.stringify(valueOf("owner"))], ["body", body()],
        ["idempotency_key", idempotency],
      ]) });
      if (signal.aborted) return;
      keep();
      go(operationUrl(json.id));
      main.focus();
    } catch (error) {
      if (!signal.aborted) showProblems(problems, error, fields, editor);
    } finally {
      submit.disabled = false;
    }
  };
  const first = kept?.text ?? JSON.stringify(initial(chosen.arguments_schema), null, 2);
  editor.value = first ?? "{}";
  editor.addEventListener("input", fromEditor);
  const form = h("form.form", { onsubmit: send, novalidate: true }, problems, ownerField,
    ownersList(), h("div.columns",
      h("section", { "aria-label": "Form" }, h("h2", "Arguments"), formPlace),
      h("section", { "aria-label": "JSON" },
        h("h2", h("label", { for: "json" }, "Arguments as JSON")), editor, note)),
    h("details", h("summary", "More"), h("div.form", MORE.map(([id, label]) => input(id, label)))),
    h("div.bar", submit, h("span.quiet", "Ctrl+Enter"), copyButton(curl, "as curl")));
  fromEditor();
  keys = { Escape: goBack, "Ctrl+Enter": send };
  return form;
}

function notJson(members) {
  return members.flatMap(([member, text]) => {
    try {
      JSON.parse(text);
      return [];
    } catch {
      return [{ pointer: `/${member}`, detail: "is not JSON" }];
    }
  });
}

function setProblem({ input, note }, problem) {
  setText(note, problem);
  if (problem) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

// Puts each problem at the field of its pointer, or at the nearest one above it, and lists them.
function showProblems(element, error, fields, editor) {
  const problems = error.errors.length > 0 ? error.errors : [{ detail: error.message }];
  const targets = problems.map(({ pointer = "", detail }) => {
    let at = pointer;
    while (at !== "" && !fields.has(at)) at = at.slice(0, at.lastIndexOf("/"));
    if (at === "") return editor;
    const field = fields.get(at);
    setProblem(field, at === pointer ? detail : `${pointer.slice(at.length)} ${detail}`);
    const details = field.input.closest("details");
    if (details) details.open = true;
    return field.input;
  });
  const count = problems.length === 1 ? "One problem:" : `${problems.length} problems:`;
  element.replaceChildren(h("p.problem", count), h("ul", problems.map(({ pointer, detail }, at) => {
    const onclick = (event) => {
      event.preventDefault();
      event.stopPropagation();
      targets[at].focus();
    };
    return h("li", h("a", { href: `#${targets[at].id}`, onclick }, `${pointer ?? ""} ${detail}`));
  })));
  (problems.length === 1 ? targets[0] : element).focus();
}

// Why the form cannot show a JSON text.
function formProblem(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `The JSON is not valid: ${error.message}`;
  }
  if (!isObject(value)) return "The arguments must be an object.";
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)].map(([token]) => token);
  const odd = tokens.find((token) => !token.startsWith('"') && String(Number(token)) !== token);
  return odd && `The form would change the number ${odd}: edit the JSON.`;
}

// --- The form of a JSON Schema ---

const DEPTH_MAX = 6;
let fieldNumber = 0;

const isObject = (value) =>
  value !== null && typeof value === "object" && !Array.isArray(value);
const isPlain = (value) => value !== undefined && (value === null || typeof value !== "object");
const typesOf = (node) => [node.type].flat().filter((type) => type && type !== "null");

// A name such as `__proto__` is a member like any other.
function setMember(object, name, value) {
  if (value === undefined) delete object[name];
  else Object.defineProperty(object, name,
    { value, enumerable: true, writable: true, configurable: true });
}

// A node without `$ref`, and without the `null` of what is optional.
function resolve(root, node) {
  for (let hops = 0; hops < 20; hops += 1) {
    const { $ref, anyOf, ...rest } = node ?? {};
    const some = anyOf?.filter(({ type }) => type !== "null");
    if ($ref?.startsWith("#/$defs/")) {
      node = { ...root.$defs?.[decodeURIComponent($ref.slice(8))], ...rest };
    } else if (some?.length === 1 && anyOf.length === 2) node = { ...some[0], ...rest };
    else break;
  }
  return node ?? {};
}

// What a new value has: constants, defaults, and the required members of objects.
function initial(root, schema = root, depth = 0) {
  const node = resolve(root, schema);
  if (node.const !== undefined) return node.const;
  if (node.default != null) return structuredClone(node.default);
  if (!node.properties || depth > DEPTH_MAX) return undefined;
  const object = {};
  for (const [name, child] of Object.entries(node.properties)) {
    const isWanted = node.required?.includes(name) || resolve(root, child).default != null;
    if (isWanted) setMember(object, name, initial(root, child, depth + 1));
  }
  return object;
}

// A form for what schemars writes of JSON Schema; a JSON field for everything else. It changes
// `value` in place. The server alone decides what is valid.
function schemaForm(root, value, fields, changed) {
  const form = { root, fields, changed: (pointer) => changed(value, pointer) };
  const node = resolve(root, root);
  if (!node.properties) return h("p.quiet", "Any JSON object: write it as JSON.");
  const spot = { pointer: "/arguments", name: "Arguments", depth: 0, required: true };
  return objectField(form, { ...spot, get: () => value }, { ...node, description: "" });
}

function schemaField(form, spot, schema) {
  const node = resolve(form.root, schema);
  const types = typesOf(node);
  const type = types.length === 1 ? types[0] : "";
  const value = spot.get();
  if (spot.depth < DEPTH_MAX) {
    if (type === "object" && node.properties && (value === undefined || isObject(value))) {
      return value ? objectField(form, spot, node) : addField(form, spot, node);
    }
    if (type === "array" && isObject(node.items) && (!value || Array.isArray(value))) {
      return value ? arrayField(form, spot, node) : addField(form, spot, node);
    }
  }
  const choices = node.enum ?? (type === "boolean" ? [true, false] : undefined)
    ?? (node.oneOf ?? node.anyOf)?.map((one) => resolve(form.root, one).const);
  const some = node.const === undefined ? choices : [node.const];
  if (some && some.every(isPlain)) return choiceField(form, spot, node, some);
  if (type === "integer" || type === "number") return numberField(form, spot, node, type);
  return type === "string" ? stringField(form, spot, node) : jsonField(form, spot, node);
}

const BOUNDS = [
  ["minLength", "at least", "characters"], ["maxLength", "at most", "characters"],
  ["minItems", "at least", "items"], ["maxItems", "at most", "items"],
];
function hintOf(node) {
  const bounds = BOUNDS.filter(([name]) => node[name] !== undefined)
    .map(([name, bound, what]) => `${bound} ${node[name]} ${what}`);
  if (node.default != null) bounds.push(`default ${JSON.stringify(node.default)}`);
  const description = node.description ?? "";
  return bounds.length > 0 ? `${description} (${bounds.join(", ")})` : description;
}

// A field with its label, its description, and a place for its problem.
function labelled({ fields }, { pointer, name, required }, node, input, ...more) {
  const id = `field-${fieldNumber += 1}`;
  const hint = hintOf(node);
  const note = h("span.problem", { id: `${id}-note` });
  input.id = id;
  input.setAttribute("aria-describedby", `${hint && `${id}-hint `}${id}-note`);
  fields.set(pointer, { input, note });
  return h("div.field", h("label", { for: id }, name, required && " (required)"),
    hint && h("span.quiet", { id: `${id}-hint` }, hint), more, input, note);
}

function group(name, node, ...children) {
  return h("fieldset", h("legend", `${name} `, h("span.quiet", hintOf(node))), children);
}

function update(form, { set }, next) {
  set(next);
  form.changed();
}

function objectField(form, { pointer, name, get, set, depth, required }, node) {
  const members = Object.entries(node.properties).map(([member, child]) => schemaField(form, {
    pointer: `${pointer}/${member.replaceAll("~", "~0").replaceAll("/", "~1")}`,
    name: member, depth: depth + 1, required: node.required?.includes(member),
    get: () => (Object.hasOwn(get(), member) ? get()[member] : undefined),
    set: (next) => setMember(get(), member, next),
  }, child));
  const remove = () => {
    set(undefined);
    form.changed(pointer);
  };
  return group(name, node, members.length > 0 ? members : h("p.quiet", "No arguments."),
    depth > 0 && !required && button(`Remove ${name}`, remove));
}

function newItem({ root }, schema) {
  const [type] = typesOf(resolve(root, schema));
  return initial(root, schema) ?? { string: "", array: [] }[type] ?? null;
}

function arrayField(form, { pointer, name, get, set, depth, required }, node) {
  const list = get();
  const items = list.map((_, at) => {
    const item = {
      pointer: `${pointer}/${at}`, name: `${name} ${at + 1}`, depth: depth + 1, required: true,
      get: () => list[at], set: (next) => { list[at] = next ?? null; },
    };
    const remove = () => {
      list.splice(at, 1);
      if (list.length === 0 && !required) set(undefined);
      form.changed(pointer);
    };
    return [schemaField(form, item, node.items), button(`Remove ${item.name}`, remove)];
  });
  const more = button(`Add to ${name}`, () => {
    list.push(newItem(form, node.items));
    form.changed(`${pointer}/${list.length - 1}`);
  });
  const note = h("span.problem");
  form.fields.set(pointer, { input: more, note });
  return group(name, node, items, more, note);
}

// An object or a list that is not there.
function addField(form, { pointer, name, set, required }, node) {
  const isList = Boolean(node.items);
  const input = button(`Add ${name}`, () => {
    set(isList ? [newItem(form, node.items)] : initial(form.root, node));
    form.changed(isList ? `${pointer}/0` : pointer);
  });
  const note = h("span.problem");
  form.fields.set(pointer, { input, note });
  return group(required ? `${name} (required)` : name, node, input, note);
}

function choiceField(form, spot, node, choices) {
  const shown = choices.filter((one) => one !== null);
  const value = spot.get();
  const none = (!spot.required || !shown.includes(value)) && h("option", { value: "" }, "–");
  const input = h("select", none, shown.map((one, at) =>
    h("option", { value: `${at}`, selected: one === value }, one === "\t" ? "tab" : `${one}`)));
  input.addEventListener("change", () =>
    update(form, spot, input.value === "" ? undefined : shown[Number(input.value)]));
  return labelled(form, spot, node, input);
}

function numberField(form, spot, node, type) {
  const { minimum: min, maximum: max } = node;
  const step = type === "integer" ? 1 : "any";
  const input = h("input", { type: "number", step, min, max, value: spot.get() });
  input.addEventListener("input", () => {
    const isOdd = input.validity.badInput;
    setText(form.fields.get(spot.pointer).note, isOdd ? "is not a number" : "");
    update(form, spot, input.value === "" ? undefined : Number(input.value));
  });
  return labelled(form, spot, node, input);
}

function stringField(form, spot, node) {
  const input = h("textarea", { rows: 2, spellcheck: "false" });
  input.value = spot.get() ?? "";
  const take = () =>
    update(form, spot, input.value === "" && !spot.required ? undefined : input.value);
  input.addEventListener("input", take);
  const file = h("input", { type: "file", "aria-label": `${spot.name} from a file` });
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    input.value = await file.files[0].text();
    take();
  });
  return labelled(form, spot, node, input, h("span.bar", "From a file ", file));
}

function jsonField(form, spot, node) {
  const input = h("textarea", { rows: 3, spellcheck: "false" });
  if (spot.get() !== undefined) input.value = JSON.stringify(spot.get(), null, 2);
  input.addEventListener("input", () => {
    const { note } = form.fields.get(spot.pointer);
    try {
      update(form, spot, input.value.trim() === "" ? undefined : JSON.parse(input.value));
      setText(note, "");
    } catch {
      setText(note, "is not JSON");
    }
  });
  return labelled(form, spot, node, input, h("span.quiet", "JSON"));
}

// --- Queues and find ---

const QUEUE = ["Queue", "For", "Waiting", "In flight", "Delayed", "Oldest"];
const PROCESSES = ["Function", "Busy", "Idle", "Started", "Invocations", "Billed"];

function queuesPage(signal) {
  const queues = table("Messages", QUEUE);
  const processes = table("Of each function, since the start", PROCESSES);
  const section = h("section", { hidden: true }, h("h2", "Processes"), processes);
  add(main, h("h1", "Queues"), queues, section);
  keys = { Escape: goBack };
  poll("/api/queues", (found) => {
    queues.tBodies[0].replaceChildren(...found.queues.map((queue) => tableRow(QUEUE, [
      queue.name, queue.purpose, queue.waiting, queue.in_flight, queue.delayed, oldest(queue),
    ])));
    section.hidden = found.processes.length === 0;
    processes.tBodies[0].replaceChildren(...found.processes.map((one) => tableRow(PROCESSES, [
      one.function, one.busy, one.idle, one.started, one.invocations, duration(one.billed_ms),
    ])));
    return false;
  }, signal);
}

function oldest({ waiting, in_flight, delayed, oldest_secs, alarm_secs, error }) {
  if (error) return h("span.failed", error);
  const counts = [waiting, in_flight, delayed];
  const known = counts.every((count) => count === 0) ? "empty" : "age unknown";
  const age = oldest_secs == null ? known : `oldest ${duration(oldest_secs * 1000)}`;
  const alarm = alarm_secs ? `${alarm_secs.toLocaleString("en")} s` : "one message";
  const isOver = alarm_secs ? oldest_secs > alarm_secs : counts.some((count) => count > 0);
  return h("span", { class: isOver && "failed" }, `${age}, alarm at ${alarm}`);
}

function findPage(_, parameters) {
  const text = parameters.get("q") ?? "";
  const input = h("input", { id: "q", name: "q", value: text, autocomplete: "off" });
  const onsubmit = (event) => {
    event.preventDefault();
    go(url("/find", { q: input.value.trim() }));
    mainIfLost();
  };
  const what = "An operation's id, a webhook-id among those shown, an owner, or a Request-Id";
  add(main, h("h1", "Find"), h("form.bar", { role: "search", onsubmit },
    h("label", { for: "q" }, what, input), h("button.strong", "Find")));
  keys = { Escape: goBack, "/": () => input.focus() };
  const id = /op_[0-9a-f]{24}/.exec(text)?.[0] ?? seen.get(text);
  if (id) return go(operationUrl(id), { replace: true });
  if (text === "") return void input.focus();
  const query = `filter request_id = ${JSON.stringify(text)}`;
  add(main, h("ul",
    text.startsWith("msg_") && h("li", "If it is a webhook-id: open the list that it is in first."),
    h("li", "If it is an owner: ",
      link(url("/", { owner: text }), `operations of ${text}`)),
    h("li", "If it is a Request-Id, this Logs Insights query finds its lines: ",
      h("code", query), " ", copyButton(query, "query"))));
}

// --- Keys, settings and start ---

let areKeysOn = true;
const KEYS = [
  ["/", "search"], ["j k ↓ ↑", "next, previous operation"], ["Enter", "open"], ["Escape", "back"],
  ["x", "select"], ["c", "cancel"], ["r", "redeliver"], ["e", "erase"],
  ["n", "functions; run again"], ["Ctrl+Enter", "submit a form"], ["?", "this list"],
];

function help() {
  const onchange = () => { areKeysOn = on.checked; };
  const on = h("input", { type: "checkbox", checked: areKeysOn, onchange });
  modal(h("dialog", { "aria-labelledby": "keys" }, h("form", { method: "dialog" },
    h("h2", { id: "keys" }, "Keyboard shortcuts"),
    h("dl", KEYS.map(([key, what]) => [h("dt", h("kbd", key)), h("dd", what)])),
    h("p", h("label.bar", on, "Shortcuts are on")), h("button.strong", "Close"))));
}

document.addEventListener("keydown", (event) => {
  const { key, target, repeat } = event;
  const isWithin = (selector) => Boolean(target.closest?.(selector));
  const isModified = event.ctrlKey || event.metaKey;
  if (key === "Enter" && isModified) {
    if (!isWithin("form.form") || repeat) return;
    event.preventDefault();
    return void keys["Ctrl+Enter"]?.();
  }
  if (!areKeysOn || isModified || event.altKey || ["Enter", " "].includes(key)) return;
  const isField = isWithin("input, select, textarea, [contenteditable]");
  if (isWithin("dialog") || (isField && target.type !== "checkbox")) return;
  const action = key === "?" ? help : keys[key];
  const mayRepeat = ["j", "k", "ArrowDown", "ArrowUp"].includes(key);
  if (!action || (repeat && !mayRepeat)) return;
  if (key.startsWith("Arrow") && !isWithin("table")) return;
  event.preventDefault();
  action();
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  const isModified = event.ctrlKey || event.metaKey || event.shiftKey;
  if (!link || event.defaultPrevented || event.button !== 0 || isModified) return;
  event.preventDefault();
  go(link.getAttribute("href"), { state: link.state });
  if (!main.contains(document.activeElement)) main.focus();
});

addEventListener("popstate", () => {
  open();
  mainIfLost();
});
addEventListener("focus", wake);
document.addEventListener("visibilitychange", wake);

byId("help").addEventListener("click", help);
// A setting of the header, which the browser keeps.
function setting(id, otherwise, apply) {
  const select = byId(id);
  select.value = localStorage.getItem(id) ?? otherwise;
  if (select.selectedIndex < 0) select.value = otherwise;
  apply(select.value);
  select.addEventListener("change", () => {
    localStorage.setItem(id, select.value);
    apply(select.value);
  });
}
setting("refresh", "1", (seconds) => {
  refreshSecs = Number(seconds);
  wake();
});
setting("theme", "light dark", (scheme) => {
  document.documentElement.style.colorScheme = scheme;
});
byId("zone").addEventListener("change", (event) => {
  zone = event.target.value || undefined;
  open();
});

await poll("/api/place", (found) => {
  place = found;
  setText(byId("place"), `${place.name}, table ${place.table}`);
  return true;
}, new AbortController().signal);
open();
