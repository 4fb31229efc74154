// The control page: takes news from the server once a second, shows them, and gives orders.
// Frames that a link carried are shown as dots on its line; who wants no motion reads their number.

const SAMPLES = 32; // points of a line that a dot passes
const TRAVEL_MS = 1100;
const SPREAD_MS = 1000; // news come this often: what was carried is spread over it
const DOTS_OF_A_LINK = 4;
const DOTS_MAX = 160;
const TAIL = [[0, 5, 1], [0.07, 3.8, 0.55], [0.14, 2.8, 0.32], [0.21, 2, 0.18]]; // behind, radius, opacity
const SVG = "http://www.w3.org/2000/svg";

const page = document.documentElement;
const by = (id) => document.getElementById(id);
const links = {};
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 1099px)");
let chosen = "";
let paused = false;

async function order(act, link = "", value = 0) {
  await fetch("/do", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ act, link, value }),
  });
}

// --- what is shown -------------------------------------------------------------------------------

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showLink(code, link) {
  links[code] = link;
  by(`wire-${code}`).dataset.state = link.state;
  const spot = by(`spot-${code}`);
  spot.dataset.state = link.state;
  const count = spot.querySelector(".c-count");
  say(count, link.badge);
  count.classList.toggle("c-long", link.badge.length > 2);
  for (const lever of document.querySelectorAll(`[data-link="${code}"]`)) {
    lever.setAttribute("aria-checked", String(link.on));
  }
  const cells = by(`row-${code}`).cells;
  const state = cells[1].firstElementChild;
  state.className = `c-state ${link.class}`;
  say(state, link.word);
  say(cells[2], String(link.up));
  say(cells[3], String(link.down));
}

function showBroker(broker) {
  by("spot-broker").dataset.state = broker.state;
  say(by("spot-broker-told"), broker.word);
  by("broker-state").className = `pill ${broker.class}`;
  say(by("broker-state"), broker.word);
  for (const one of document.querySelectorAll("[data-broker]")) {
    say(one.querySelector("b"), broker.figures[one.dataset.broker]);
  }
}

function showCard() {
  const link = links[chosen];
  if (!link) return;
  by("card").dataset.level = link.level;
  say(by("card-title"), document.querySelector(`[data-title="${chosen}"]`).textContent);
  by("card-state").className = `pill ${link.class}`;
  say(by("card-state"), link.word);
  by("card-fault").hidden = !link.fault;
  say(by("card-fault"), link.fault);
  for (const fact of ["rises", "falls", "carried"]) say(by(`card-${fact}`), link[fact]);
  by("card-switch").setAttribute("aria-pressed", String(!link.on));
}

function showEvents(events) {
  const known = new Set([...by("events").children].map((line) => line.dataset.number));
  const fresh = events.filter(([number]) => !known.has(String(number))).map(eventLine);
  by("events").prepend(...fresh);
  while (by("events").children.length > events.length) by("events").lastElementChild.remove();
}

function eventLine([number, at, sign, mark, text]) {
  const line = document.createElement("li");
  line.dataset.number = number;
  const parts = [["time", "", at], ["b", sign, mark], ["span", "", text]];
  for (const [name, style, said] of parts) {
    const part = document.createElement(name);
    part.className = style;
    part.textContent = said;
    line.append(part);
  }
  return line;
}

function showFigures(news) {
  for (const [name, said] of Object.entries(news.figures ?? {})) {
    say(name === "again" ? by("again") : document.querySelector(`[data-figure="${name}"] b`), said);
  }
  for (const [name, uneasy] of Object.entries(news.uneasy ?? {})) {
    document.querySelector(`[data-figure="${name}"]`).classList.toggle("c-uneasy", uneasy);
  }
  for (const [way, said] of Object.entries(news.flow ?? {})) say(by(`flow-${way}`), said);
  if (news.time) say(by("time"), news.time);
  if (news.lines) say(by("lines"), news.lines);
}

function show(news) {
  showFigures(news);
  for (const [code, link] of Object.entries(news.links)) showLink(code, link);
  if (news.broker) showBroker(news.broker);
  if (news.events) showEvents(news.events);
  if ("paused" in news) {
    paused = news.paused;
    by("pause").setAttribute("aria-pressed", String(paused));
  }
  if ("rate" in news && document.activeElement !== by("rate")) {
    by("rate").value = news.rate;
    say(by("rate-told"), String(news.rate));
  }
  showCard();
  if (!still.matches && !paused) move(news.frames);
}

function choose(code) {
  if (!code || code === chosen) return;
  chosen = code;
  for (const one of document.querySelectorAll(".c-chosen")) one.classList.remove("c-chosen");
  document.querySelector(`.c-switch[data-link="${code}"]`).classList.add("c-chosen");
  const town = [...document.querySelectorAll("[data-town]")].find((one) => code.startsWith(one.dataset.town));
  for (const one of document.querySelectorAll("[data-town]")) {
    one.hidden = one.dataset.town !== town?.dataset.town;
  }
  const pages = by(`row-${code}`).cells[0].querySelectorAll("a");
  by("card-pages").replaceChildren(...[...pages].map((one) => one.cloneNode(true)));
  showCard();
}

// --- records in motion ---------------------------------------------------------------------------

const lines = new Map();
const dots = new Set();
let drawing = 0;

function lineOf(code) {
  if (!lines.has(code)) {
    const path = by(`wire-${code}`);
    const length = path.getTotalLength();
    const at = (_, n) => path.getPointAtLength((n / SAMPLES) * length);
    lines.set(code, Array.from({ length: SAMPLES + 1 }, at));
  }
  return lines.get(code);
}

function move(frames) {
  if (by("net").classList.contains("c-listed") || document.hidden) return;
  const now = performance.now();
  for (const [code, [up, down]] of Object.entries(frames)) {
    for (const [count, rises] of [[up, true], [down, false]]) {
      const shown = Math.min(count, DOTS_OF_A_LINK);
      for (let n = 0; n < shown && dots.size < DOTS_MAX; n++) {
        const begins = now + ((n + Math.random()) / shown) * SPREAD_MS;
        dots.add({ code, rises, begins, circles: null });
      }
    }
  }
  if (dots.size && !drawing) drawing = requestAnimationFrame(draw);
}

function draw(now) {
  for (const dot of dots) {
    const part = (now - dot.begins) / TRAVEL_MS;
    if (part > 1 + TAIL.at(-1)[0] || still.matches || paused) {
      for (const circle of dot.circles ?? []) circle.remove();
      dots.delete(dot);
    } else if (part >= 0) {
      dot.circles ??= TAIL.map((one) => circleOf(dot, one));
      const points = lineOf(dot.code);
      dot.circles.forEach((circle, n) => {
        const place = Math.min(1, Math.max(0, part - TAIL[n][0]));
        const at = points[Math.round((dot.rises ? 1 - place : place) * SAMPLES)];
        circle.setAttribute("cx", at.x);
        circle.setAttribute("cy", at.y);
      });
    }
  }
  drawing = dots.size ? requestAnimationFrame(draw) : 0;
}

function circleOf(dot, [, radius, opacity]) {
  const circle = document.createElementNS(SVG, "circle");
  circle.setAttribute("class", dot.rises ? "c-rises" : "c-falls");
  circle.setAttribute("r", radius);
  circle.setAttribute("opacity", opacity);
  by("moving").append(circle);
  return circle;
}

// --- orders --------------------------------------------------------------------------------------

function flip(code) {
  choose(code);
  if (links[code]) order(links[code].on ? "cut" : "heal", code);
}

document.addEventListener("click", (event) => {
  const lever = event.target.closest("[data-link]");
  if (lever) flip(lever.dataset.link);
  const trial = event.target.closest("[data-act]");
  if (trial) order(trial.dataset.act, chosen);
});
document.addEventListener("keydown", (event) => {
  const lever = event.target.closest?.(".c-switch"); // SVG has no buttons that keys press
  if (lever && (event.key === " " || event.key === "Enter")) {
    event.preventDefault();
    flip(lever.dataset.link);
  }
});
document.addEventListener("focusin", (event) => choose(event.target.closest("[data-link]")?.dataset.link));

by("card-switch").addEventListener("click", () => flip(chosen));
by("pause").addEventListener("click", () => order(paused ? "go" : "pause"));
by("rate").addEventListener("input", (event) => say(by("rate-told"), event.target.value));
by("rate").addEventListener("change", (event) => order("rate", "", Number(event.target.value)));
by("all").addEventListener("click", (event) => {
  const whole = by("events").classList.toggle("c-whole");
  event.currentTarget.setAttribute("aria-expanded", String(whole));
});

// --- looks ---------------------------------------------------------------------------------------

function showTheme(theme) {
  if (theme) page.dataset.theme = theme;
  const isDark = theme ? theme === "dark" : dark.matches;
  by("theme").setAttribute("aria-pressed", String(isDark));
}

by("theme").addEventListener("click", (event) => {
  const theme = event.currentTarget.getAttribute("aria-pressed") === "true" ? "light" : "dark";
  localStorage.setItem("theme", theme);
  showTheme(theme);
});
dark.addEventListener("change", () => showTheme(localStorage.getItem("theme")));
showTheme(localStorage.getItem("theme"));

function showView(listed) {
  by("net").classList.toggle("c-listed", listed);
  by("view").setAttribute("aria-pressed", String(listed));
}

by("view").addEventListener("click", () => showView(!by("net").classList.contains("c-listed")));
showView(narrow.matches); // fingers hit rows better than a picture made small

// --- news ----------------------------------------------------------------------------------------

const source = new EventSource(`/events${location.search}`);
source.addEventListener("message", (event) => {
  show(JSON.parse(event.data));
  if (!chosen) choose(document.querySelector(".c-switch").dataset.link);
});
addEventListener("pagehide", () => source.close());
