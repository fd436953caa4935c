// Keys for those who do not use a mouse. Every page works without this.
"use strict";

const rows = [...document.querySelectorAll("[data-rows] tbody a.account")];

function move(step) {
  const here = rows.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = here < 0 ? (step > 0 ? 0 : rows.length - 1) : here + step;
  rows[Math.min(Math.max(next, 0), rows.length - 1)]?.focus();
}

function turn(key) {
  document.querySelector(`[data-turn="${key}"]`)?.click();
}

const keys = {
  "/": () => document.getElementById("q")?.select(),
  j: () => move(1),
  k: () => move(-1),
  n: () => turn("next"),
  p: () => turn("previous"),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  const held = event.ctrlKey || event.metaKey || event.altKey;
  if (!typing && !held && keys[event.key] && (rows.length || event.key === "/")) {
    event.preventDefault();
    keys[event.key]();
  }
});

for (const chooser of document.querySelectorAll("select[data-submits]")) {
  chooser.form.querySelector("button")?.remove();
  chooser.addEventListener("change", () => chooser.form.submit());
}
