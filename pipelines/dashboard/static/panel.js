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

// On a phone what picks accounts is folded, so that they begin on the first screen.
const fold = document.querySelector("[data-fold]");
const phone = matchMedia("(max-width: 30rem)");

function folded() {
  fold.open = !phone.matches;
}

if (fold) {
  phone.addEventListener("change", folded);
  folded();
}

const keys = {
  "/": () => {
    if (fold) {
      fold.open = true;
    }
    (document.getElementById("q") ?? document.getElementById("find"))?.select();
  },
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

// What a click came to: text that is put in after the page is there is read out.
const toast = document.querySelector("[data-toast]");

function announce(text, undo) {
  const said = toast.querySelector("[role=status]");
  toast.querySelector("form, button")?.remove();
  said.textContent = "";
  toast.hidden = false;
  setTimeout(() => {
    said.textContent = text;
  }, 100);
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Undo";
    button.addEventListener("click", undo);
    said.after(button);
  }
}

toast.querySelector("[data-close]").addEventListener("click", (event) => {
  event.preventDefault();
  toast.hidden = true;
  document.getElementById("main").focus({ preventScroll: true });
});

if (!toast.hidden) {
  const said = toast.querySelector("[role=status]");
  const held = [...said.childNodes];
  said.replaceChildren();
  setTimeout(() => said.append(...held), 100);
}

// Views that somebody keeps stay in their own browser; an address is all that a view is.
const views = document.querySelector("[data-views]");
const keep = document.querySelector("[data-save-view]");

function kept() {
  try {
    const held = JSON.parse(localStorage.getItem("healthscore-views") ?? "[]");
    return Array.isArray(held) ? held.filter((one) => Array.isArray(one) && String(one[1]).startsWith("/accounts")) : [];
  } catch {
    return [];
  }
}

function showKept() {
  for (const shown of views.querySelectorAll("[data-kept]")) {
    shown.remove();
  }
  for (const [label, address] of kept()) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const drop = document.createElement("button");
    item.dataset.kept = "";
    link.href = address;
    link.textContent = label;
    drop.type = "button";
    drop.textContent = "×";
    drop.setAttribute("aria-label", `Forget the view ${label}`);
    drop.addEventListener("click", () => {
      const before = kept();
      store(before.filter((one) => one[0] !== label));
      announce(`The view ${label} is forgotten.`, () => {
        store(before);
        announce(`The view ${label} is back.`);
      });
    });
    item.append(link, " ", drop);
    views.append(item);
  }
}

function store(held) {
  localStorage.setItem("healthscore-views", JSON.stringify(held.slice(-20)));
  showKept();
}

if (views && keep) {
  keep.hidden = false;
  keep.addEventListener("click", () => {
    const label = prompt("What is this view called?")?.trim().slice(0, 40);
    if (label) {
      store([...kept().filter((one) => one[0] !== label), [label, location.pathname + location.search]]);
      announce(`The view ${label} is kept in this browser.`);
    }
  });
  showKept();
}
