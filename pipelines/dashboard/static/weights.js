// Sliders that replay weights while they are moved, and a page that looks again while it waits.
"use strict";

const QUIET_MS = 250;
const AGAIN_MS = 2000;
const TOLERANCE = 0.05;

const form = document.getElementById("what-if");
if (form) {
  liveForm(form);
} else if (document.querySelector("[data-again]")) {
  setTimeout(() => location.reload(), AGAIN_MS);
}

function liveForm(form) {
  const numbers = [...form.querySelectorAll("input[type=number]")];
  const ranges = new Map(
    [...form.querySelectorAll("input[type=range]")].map((range) => [range.dataset.for, range]),
  );
  const segment = form.querySelector("#segment");
  const result = document.getElementById("result");
  const told = document.getElementById("sum-told");
  let waiting = 0;
  let asked = 0;

  const weight = (number) => (Number.isFinite(number.valueAsNumber) ? number.valueAsNumber : 0);
  const total = () => numbers.reduce((sum, number) => sum + weight(number), 0);
  const shown = (value) => String(Math.round(value * 100) / 100);

  function show() {
    const sum = total();
    document.getElementById("sum").textContent = shown(sum);
    const fits = Math.abs(sum - 100) <= TOLERANCE;
    told.textContent = fits ? "" : "and must sum to 100: change one, or make it 100.";
    return fits;
  }

  function changed() {
    clearTimeout(waiting);
    if (show()) {
      waiting = setTimeout(replay, QUIET_MS);
    }
  }

  async function replay() {
    const mine = ++asked;
    const address = new URL(form.dataset.result, location.href);
    for (const [name, value] of new FormData(form)) {
      address.searchParams.set(name, value);
    }
    result.setAttribute("aria-busy", "true");
    let text = "The replay could not be loaded: reload the page, or log in again.";
    try {
      const response = await fetch(address, { headers: { Accept: "text/html" } });
      if (!response.redirected && (response.ok || response.status === 422)) {
        text = null;
        const html = await response.text();
        // An answer that a later question has overtaken is nobody's any more.
        if (mine === asked) {
          result.innerHTML = html;
          history.replaceState(null, "", `${location.pathname}?${new URLSearchParams(new FormData(form))}`);
        }
      }
    } catch {
      // Told below.
    }
    if (mine === asked) {
      if (text) {
        result.textContent = text;
      }
      result.removeAttribute("aria-busy");
    }
  }

  function put(weights) {
    for (const number of numbers) {
      const value = weights[number.dataset.measure] ?? 0;
      number.value = shown(value);
      ranges.get(number.id).value = value;
    }
    changed();
  }

  for (const number of numbers) {
    const range = ranges.get(number.id);
    number.addEventListener("input", () => {
      range.value = weight(number);
      changed();
    });
    range.addEventListener("input", () => {
      number.value = range.value;
      changed();
    });
  }
  segment.addEventListener("change", changed);
  document.getElementById("make-100").addEventListener("click", () => {
    const sum = total();
    const kept = numbers.map((number) => [
      number.dataset.measure,
      sum > 0 ? (100 * weight(number)) / sum : 100 / numbers.length,
    ]);
    put(Object.fromEntries(whole(kept)));
  });
  for (const button of form.querySelectorAll("[data-weights]")) {
    button.addEventListener("click", () => {
      const weights = JSON.parse(button.dataset.weights);
      put(weights[segment.value] ?? weights.all);
    });
  }
  form.querySelector(".scripted").hidden = false;
  show();
}

// Whole percentages that sum to 100: the largest remainders are rounded up.
function whole(weights) {
  const floors = weights.map(([name, value]) => [name, Math.floor(value + 1e-9), value]);
  let left = 100 - floors.reduce((sum, [, floor]) => sum + floor, 0);
  const order = [...floors.keys()].sort(
    (a, b) => floors[a][1] - floors[a][2] - (floors[b][1] - floors[b][2]) || a - b,
  );
  for (const place of order) {
    if (left-- <= 0) break;
    floors[place][1] += 1;
  }
  return floors.map(([name, floor]) => [name, floor]);
}
