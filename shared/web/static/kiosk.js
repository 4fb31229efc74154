// A kiosk forgets: after 70 s without a touch it warns for 20 s, then it wipes what the person
// before it has left and shows the board, which turns its notices over.
const WARN_MS = 70000;
const WIPE_MS = 90000;
const TURN_MS = 12000;

const board = document.querySelector("[data-turn]");
const warning = document.getElementById("idle");
let touched = Date.now();

for (const kind of ["pointerdown", "keydown", "scroll", "input"]) {
  addEventListener(kind, () => {
    touched = Date.now();
    if (warning?.open) warning.close();
    if (board && kind !== "scroll") location.assign("/");
  }, { passive: true });
}

async function wipe() {
  const slips = [...document.querySelectorAll("input[name=slip]")].map((one) => one.value);
  if (slips.length) await fetch("/leave", { method: "POST", body: new URLSearchParams({ slip: slips.join(" ") }) });
  location.replace("/board");
}

function look() {
  const idle = Date.now() - touched;
  if (idle >= WIPE_MS) wipe();
  else if (idle >= WARN_MS && warning && !warning.open) warning.showModal();
}

if (board) {
  setInterval(() => {
    const list = document.querySelector("[data-turn]");
    if (list.children.length > 1) list.append(list.firstElementChild);
  }, TURN_MS);
} else {
  setInterval(look, 1000);
}
