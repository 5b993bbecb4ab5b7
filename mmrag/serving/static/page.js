// The search page: what a visitor asks with, the address bar, and the search itself.

import { redraw, showAnswer, told } from "./results.js";

const $ = (id) => document.getElementById(id);
const most = Number(document.body.dataset.uploadBytes);
const usual = document.body.dataset.top;
const name = document.title;
const hint = $("text").placeholder;
let picture = null; // {id, url, title} of one that the server knows, or {file, url, title}
let running = null;

/** Search for what the form says; what comes before is given up. */
async function search({ remember = true } = {}) {
  running?.abort();
  const mine = (running = new AbortController());
  const rerank = $("rerank").checked;
  const asked = picture;
  let latest = null;
  say("Searching …", true);
  $("results").classList.add("stale");
  try {
    for await (const answer of answers(rerank, mine.signal)) {
      if (asked && picture === asked) named(answer.query);
      if (remember && link() !== location.pathname + location.search) history.pushState(null, "", link());
      remember = false;
      entitle();
      latest = answer;
      const more = rerank && answer.stage === "retrieved" && answer.results.length > 0;
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

/** Remember under which id the server knows the picture, so that a link can name it. */
function named({ picture: id, picture_url: url }) {
  Object.assign(picture, { id, file: null, url: picture.url || url });
  hold(picture);
}

/** Send the question; yield each answer as it comes. */
async function* answers(rerank, signal) {
  const form = new FormData();
  for (const name of ["text", "filter", "top"]) form.set(name, $(name).value.trim());
  form.set("rerank", rerank);
  if (picture?.file) form.set("image", picture.file);
  else if (picture) form.set("picture", picture.id);
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

/** Take an indexed picture as the next query: "more like this, but …". */
function choose({ id, url, title }) {
  hold({ id, url, title });
  $("text").focus();
  $("text").select();
  $("ask").scrollIntoView({ block: "nearest" });
  say(`The query's picture is now: ${title}. Say what should be different, and press Enter.`);
}

/** Add a condition to the filter, and search again. */
function narrow(key, value) {
  const written = typeof value === "string" ? JSON.stringify(value) : String(value);
  const before = $("filter").value.trim();
  const condition = `${key} == ${written}`;
  $("filter").value = before ? `(${before}) and ${condition}` : condition;
  search();
}

/** Hold a picture as part of the query, or none. */
function hold(held) {
  if (picture?.url.startsWith("blob:") && picture !== held) URL.revokeObjectURL(picture.url);
  picture = held;
  const image = $("query-picture");
  $("drop").classList.toggle("filled", held !== null);
  $("remove").hidden = held === null;
  $("text").placeholder = held ? "like this, but …" : hint;
  image.hidden = !held?.url;
  $("pick-hint").hidden = held !== null;
  $("pick-name").hidden = !held || !image.hidden;
  $("pick-name").textContent = held?.title ?? "";
  if (held?.url && image.getAttribute("src") !== held.url) image.src = held.url;
  image.alt = held ? `The query's picture: ${held.title}` : "";
}

/** Take a file of the visitor's as the query's picture, unless it cannot be one. */
function bring(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return fail(`${file.name} is no picture: choose a JPEG, PNG, WebP, GIF, BMP or TIFF.`);
  if (file.size > most) return fail(`${file.name} is larger than ${(most / 1e6).toFixed(0)} MB: choose a smaller one.`);
  fail("");
  hold({ file, url: URL.createObjectURL(file), title: file.name });
  say("Now say what you want with this picture, or just press Enter.");
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
  if (picture?.id) query.set("picture", picture.id);
  if ($("filter").value.trim()) query.set("filter", $("filter").value.trim());
  if ($("top").value !== usual) query.set("top", $("top").value);
  if (!$("rerank").checked) query.set("rerank", "no");
  return `/?${query}`;
}

/** Tell tabs and the entries of the history apart. */
function entitle() {
  const words = $("text").value.trim().slice(0, 60) || (picture ? "by picture" : "");
  document.title = words ? `${words} · ${name.replace(/^Search /, "")}` : name;
}

/** Read the query out of the address, and search when there is one. */
function open() {
  const query = new URLSearchParams(location.search);
  const id = query.get("picture");
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
  tile.addEventListener("click", () => choose({ id, title, url: `/images/${encodeURIComponent(id)}` }));
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
    else fail("That is no file: save the picture first, or copy it and paste it here.");
  });
}
$("query-picture").addEventListener("error", () => {
  if (!picture) return;
  picture.url = ""; // no browser shows a TIFF; once it was searched with, the server shows it
  hold(picture);
});
addEventListener("popstate", open);
new ResizeObserver(redraw).observe($("rows"));
open();
