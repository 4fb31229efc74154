// Keeps an open page fresh: the server says that something changed, the page is fetched again, and
// the parts marked data-live and the link line are put in the place of the old ones. What somebody
// types stands in no such part.
const REFRESH_MS = 60000;

async function refresh() {
  let answer;
  try {
    answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
  } catch {
    return; // the node is away; the next event or minute tries again
  }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live][id], .link, .clock")) {
    const fresh = old.id ? page.getElementById(old.id) : page.querySelector("." + old.classList[0]);
    if (fresh && fresh.outerHTML !== old.outerHTML) old.replaceWith(fresh);
  }
}

const source = new EventSource("/live");
source.addEventListener("changed", refresh);
source.addEventListener("open", refresh); // what changed while the page came up
setInterval(refresh, REFRESH_MS);
addEventListener("pagehide", () => source.close());
