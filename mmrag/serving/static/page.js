// The search page: what a visitor asks with, the address bar, and the search itself.

import { redraw, showAnswer, told } from "./results.js";

const $ = (id) => document.getElementById(id);
const most = Number(document.body.dataset.uploadBytes);
const usual = document.body.dataset.top;
const name = document.title;
const hint = $("text").placeholder;
let current = null; // {id, url, title} of one that the server knows, or {file, url, title}
let running = null;

/** Search for what the form says; what comes before is given up. */
async function search({ remember = true } = {}) {
  running?.abort();
  const mine = (running = new AbortController());
  const rerank = $("rerank").checked;
  const asked = current;
  let latest = null;
  say("Searching …", true);
  $("results").classList.add("stale");
  try {
    for await (const answer of answers(rerank, mine.signal)) {
      if (asked && current === asked) named(answer.query);
      if (remember && link() !== location.pathname + location.search) history.pushState(null, "", link());
      remember = false;
      entitle();
      latest = answer;
      const more = rerank && answer.stage === "retrieved" && !answer.degraded && answer.results.length > 0;
      showAnswer(answer, more, { choose, narrow });
      say(told(answer) + (more ? " The vision LLM is looking …" : ""), more);
      if (answer.error) fail(`The order is that of retrieval: ${answer.error}`);
    }
  } catch (error) {
    if (mine.signal.aborted) return;
    if (latest) showAnswer(latest, false, { choose, narrow }); // what is shown no longer waits
    fail(error.message);
    say("");
  }
}

/** Remember under which id the server knows the image, so that a link can name it. */
function named({ image_id: id, image_url: url }) {
  Object.assign(current, { id, file: null, url: current.url || url });
  hold(current);
}

/** Send the question; yield each answer as it comes. */
async function* answers(rerank, signal) {
  const form = new FormData();
  for (const name of ["text", "filter", "top"]) form.set(name, $(name).value.trim());
  form.set("rerank", rerank);
  if (current?.file) form.set("image", current.file);
  else if (current) form.set("image_id", current.id);
  const headers = { Accept: "application/x-ndjson" };
  const lost = () => {
    throw new Error("The server does not answer: look whether mmrag serve still runs.");
  };
  const response = await fetch("/search", { method: "POST", body: form, headers, signal }).catch(lost);
  if (!response.ok) throw new Error(await faultOf(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read().catch(lost);
    const lines = (rest + (value ?? "")).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
    if (done) return;
  }
}

async function faultOf(response) {
  const wait = response.headers.get("Retry-After");
  const fault = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  return fault.error + (wait ? ` (in about ${wait} s)` : "");
}

/** Take an indexed image as the next query: "more like this, but …". */
function choose({ id, path, title }) {
  hold({ id, url: path, title });
  $("text").focus();
  $("text").select();
  $("ask").scrollIntoView({ block: "nearest" });
  say(`The query's image is now: ${title}. Say what should be different, and press Enter.`);
}

/** Add a condition to the filter, and search again. */
function narrow(key, value) {
  const written = typeof value === "string" ? JSON.stringify(value) : String(value);
  const before = $("filter").value.trim();
  const condition = `${key} == ${written}`;
  $("filter").value = before ? `(${before}) and ${condition}` : condition;
  search();
}

/** Hold an image as part of the query, or none. */
function hold(held) {
  if (current?.url.startsWith("blob:") && current !== held) URL.revokeObjectURL(current.url);
  current = held;
  const image = $("query-image");
  $("drop").classList.toggle("filled", held !== null);
  $("remove").hidden = held === null;
  $("text").placeholder = held ? "like this, but …" : hint;
  image.hidden = !held?.url;
  $("pick-hint").hidden = held !== null;
  $("pick-name").hidden = !held || !image.hidden;
  $("pick-name").textContent = held?.title ?? "";
  if (held?.url && image.getAttribute("src") !== held.url) image.src = held.url;
  image.alt = held ? `The query's image: ${held.title}` : "";
}

/** Take a file of the visitor's as the query's image, unless it cannot be one. */
function bring(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return fail(`${file.name} is no image: choose a JPEG, PNG, WebP, GIF, BMP or TIFF.`);
  if (file.size > most) return fail(`${file.name} is larger than ${(most / 1e6).toFixed(0)} MB: choose a smaller one.`);
  fail("");
  hold({ file, url: URL.createObjectURL(file), title: file.name });
  say("Now say what you want with this image, or just press Enter.");
  $("text").focus();
}

function say(words, busy = false) {
  if (busy) fail("");
  $("status").textContent = words;
  document.body.classList.toggle("busy", busy);
}

function fail(words) {
  $("error").textContent = words;
  $("error").hidden = !words;
}

/** Write the query into an address that anybody can open who reaches this server. */
function link() {
  const query = new URLSearchParams();
  if ($("text").value.trim()) query.set("q", $("text").value.trim());
  if (current?.id) query.set("image_id", current.id);
  if ($("filter").value.trim()) query.set("filter", $("filter").value.trim());
  if ($("top").value !== usual) query.set("top", $("top").value);
  if (!$("rerank").checked) query.set("rerank", "no");
  return `/?${query}`;
}

/** Tell tabs and the entries of the history apart. */
function entitle() {
  const words = $("text").value.trim().slice(0, 60) || (current ? "by image" : "");
  document.title = words ? `${words} · ${name.replace(/^Search /, "")}` : name;
}

/** Read the query out of the address, and search when there is one. */
function open() {
  const query = new URLSearchParams(location.search);
  const id = query.get("image_id");
  $("text").value = query.get("q") ?? "";
  $("filter").value = query.get("filter") ?? "";
  $("top").value = query.get("top") ?? usual;
  $("rerank").checked = $("rerank").defaultChecked && query.get("rerank") !== "no";
  hold(id ? { id, url: "", title: "as in the link" } : null);
  entitle();
  if (id || $("text").value) return search({ remember: false });
  running?.abort();
  fail("");
  say("");
  $("results").hidden = true;
  $("start").hidden = false;
}

$("ask").addEventListener("submit", (event) => (event.preventDefault(), search()));
$("file").addEventListener("change", () => (bring($("file").files[0]), ($("file").value = "")));
$("remove").addEventListener("click", () => (hold(null), $("file").focus()));
$("see").addEventListener("click", () => $("looks-dialog").showModal());
$("share").addEventListener("click", async () => {
  const shared = new URL(link(), location.href).href;
  try {
    await navigator.clipboard.writeText(shared); // which only this machine and https may
    say("The link is copied.");
  } catch {
    say(`The link: ${shared}`);
  }
});
for (const tile of document.querySelectorAll(".samples .tile")) {
  const { id, title } = tile.dataset;
  tile.addEventListener("click", () => choose({ id, title, path: `/images/${encodeURIComponent(id)}` }));
}
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (file) event.preventDefault(), bring(file);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    const { files, types } = event.dataTransfer;
    if (!types.includes("Files") && event.target.matches?.("input[type=text]")) return; // words, into a field
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind !== "drop") return;
    if (files.length) bring(files[0]);
    else fail("That is no file: save the image first, or copy it and paste it here.");
  });
}
$("query-image").addEventListener("error", () => {
  if (!current) return;
  current.url = ""; // no browser shows a TIFF; once it was searched with, the server shows it
  hold(current);
});
addEventListener("popstate", open);
new ResizeObserver(redraw).observe($("rows"));
open();
