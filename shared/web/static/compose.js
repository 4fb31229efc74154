// The form of a notice: the preview follows what is typed, ticks of a town and of its villages
// agree (half of them ticked is half a tick), and the count says how many villages it reaches.
const form = document.querySelector("[data-compose]");
const preview = document.getElementById("preview");
const WAIT_MS = 300;
let timer = 0;

async function show() {
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch("/desk/preview", { method: "POST", body });
  if (!answer.ok) return;
  const part = new DOMParser().parseFromString(await answer.text(), "text/html");
  preview.replaceChildren(...part.body.children);
}

form.addEventListener("input", (event) => {
  if (event.target.name === "to") tick(event.target);
  clearTimeout(timer);
  timer = setTimeout(show, WAIT_MS);
});

const boxOf = (item) => item.querySelector(":scope > label > input");

function tick(box) {
  for (const below of box.closest("li").querySelectorAll("input[name=to]")) below.checked = box.checked;
  settle();
}

function settle() {
  const items = [...form.querySelectorAll("li:has(> label > input[name=to])")].reverse();
  for (const item of items) {
    const below = [...item.querySelectorAll("li")].map(boxOf);
    if (!below.length) continue;
    const ticked = below.filter((one) => one.checked).length;
    const box = boxOf(item);
    box.checked = ticked === below.length;
    box.indeterminate = ticked > 0 && !box.checked;
  }
  const villages = [...form.querySelectorAll("input[name=to]:checked")].filter(
    (one) => !one.closest("li").querySelector("li"),
  ).length;
  const reached = document.getElementById("reached");
  reached.textContent = reached.textContent.replace(/\d+/, villages);
}

for (const box of form.querySelectorAll("input[name=to]:checked")) {
  for (const below of box.closest("li").querySelectorAll("input[name=to]")) below.checked = true;
}
settle();
