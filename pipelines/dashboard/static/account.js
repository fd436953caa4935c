// Fetches what is not on the account page at once, and puts it in its place.
"use strict";

const AGAIN_MS = 1500;
const MOST_TRIES = 120;

async function fill(place, tries) {
  const response = await fetch(place.dataset.part, { headers: { Accept: "text/html" } });
  if (response.status === 202 && tries < MOST_TRIES) {
    setTimeout(() => attempt(place, tries + 1), AGAIN_MS);
    return;
  }
  if (!response.ok || response.redirected) {
    throw new Error(String(response.status));
  }
  // The server wrote and escaped it.
  place.innerHTML = await response.text();
  place.removeAttribute("aria-busy");
}

function attempt(place, tries) {
  fill(place, tries).catch(() => {
    place.textContent = "This part could not be loaded: reload the page, or log in again.";
    place.setAttribute("role", "status");
    place.removeAttribute("aria-busy");
  });
}

// Paper cannot be opened.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("main details")) {
    folded.open = true;
  }
});

for (const place of document.querySelectorAll("[data-part]")) {
  attempt(place, 1);
}
