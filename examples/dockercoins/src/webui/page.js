// The page: reads the totals each second, the instances every two, and draws.
"use strict";

const SPAN = 120; // seconds in the graph
const SMOOTH = 5; // seconds over which a rate is measured
const GAP = 3; // seconds without a sample that interrupt the line
const LEFT = 44, TOP = 14, WIDTH = 842, HEIGHT = 216;

const samples = [];
const element = id => document.getElementById(id);
const say = (id, text) => { element(id).textContent = text; };
const rounded = value => value.toLocaleString("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

// --- reading

async function read(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function readTotals() {
  try {
    if (samples.length === 0) samples.push(...await read("history"));
    samples.push(await read("json"));
    samples.splice(0, samples.findIndex(sample => sample.now > newest() - SPAN - 2 * SMOOTH));
    say("state", "");
    showTotals();
  } catch (error) {
    say("state", error.message || "webui does not answer");
  }
  setTimeout(readTotals, 1000);
}

async function readInstances() {
  try {
    showInstances(await read("instances"));
  } catch (error) {
    say("counts", error.message || "webui does not answer");
  }
  setTimeout(readInstances, 2000);
}

// --- showing

const newest = () => samples[samples.length - 1].now;

// The points of a line: each the rate over the last seconds. Null where samples are missing, or where redis lost its data.
function rates(key) {
  let from = 0;
  return samples.map((sample, at) => {
    if (at > 0 && (sample.now - samples[at - 1].now > GAP || sample[key] < samples[at - 1][key])) from = at;
    while (sample.now - samples[from].now > SMOOTH) from += 1;
    const seconds = sample.now - samples[from].now;
    const rate = seconds >= 1 ? (sample[key] - samples[from][key]) / seconds : null;
    return { now: sample.now, rate };
  });
}

function showTotals() {
  const hashes = rates("hashes"), coins = rates("coins");
  const last = samples[samples.length - 1];
  say("hashes", last.hashes.toLocaleString("en"));
  say("coins", last.coins.toLocaleString("en"));
  const rate = hashes[hashes.length - 1].rate;
  say("hash-rate", rate === null ? "–" : rounded(rate));
  say("coin-rate", rate === null ? "–" : rounded(coins[coins.length - 1].rate));
  const highest = Math.max(1, ...hashes.map(point => point.rate || 0));
  const scale = niceAbove(highest);
  drawGrid(scale);
  element("hash-line").setAttribute("d", line(hashes, scale));
  element("coin-line").setAttribute("d", line(coins, scale));
  say("graph-title", `Hashes per second: ${rate === null ? "unknown" : rounded(rate)} now, at most ${rounded(highest)} in the last two minutes`);
}

// The next of 1, 2, 3, 4, 6, 8, 10, 20, ...
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 6, 8, 10].map(step => step * power).find(step => step >= value);
}

const x = now => LEFT + WIDTH * (1 - (newest() - now) / SPAN);
const y = (rate, scale) => TOP + HEIGHT * (1 - rate / scale);

function line(points, scale) {
  let path = "", command = "M";
  for (const { now, rate } of points) {
    if (rate === null) command = "M";
    else if (now > newest() - SPAN) {
      path += `${command}${x(now).toFixed(1)},${y(rate, scale).toFixed(1)}`;
      command = "L";
    }
  }
  return path;
}

function drawGrid(scale) {
  const parts = [];
  for (let step = 0; step <= 4; step += 1) {
    const rate = scale * step / 4, at = y(rate, scale);
    parts.push(make("line", { x1: LEFT, x2: LEFT + WIDTH, y1: at, y2: at }));
    parts.push(make("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, rate.toLocaleString("en")));
  }
  for (let ago = 0; ago <= SPAN; ago += 30) {
    const anchor = ago === 0 ? "end" : "middle";
    parts.push(make("text", { x: LEFT + WIDTH * (1 - ago / SPAN), y: TOP + HEIGHT + 22, "text-anchor": anchor }, ago === 0 ? "now" : `${-ago} s`));
  }
  element("grid").replaceChildren(...parts);
}

function make(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// A webui that does not know the instances has none to show.
function showInstances(instances) {
  element("known").hidden = instances.length === 0;
  const counts = new Map();
  for (const { service } of instances) counts.set(service, (counts.get(service) || 0) + 1);
  say("counts", [...counts].map(([service, count]) => `${count} × ${service}`).join(", ") || "none");
  element("instances").replaceChildren(...instances.map(row));
}

function row({ service, address, node, status, answer }) {
  const made = document.createElement("tr");
  for (const text of [service, address, node, status, answer]) {
    made.append(Object.assign(document.createElement("td"), { textContent: text }));
  }
  made.children[3].className = status;
  return made;
}

readTotals();
readInstances();
