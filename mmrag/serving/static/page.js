// The search form, the address bar, and the search request.

import { describeResponse, redraw, showResponse } from "./results.js";

const $ = (id) => document.getElementById(id);
const maxBytes = Number(document.body.dataset.uploadBytes);
const defaultTop = document.body.dataset.top;
const pageTitle = document.title;
const textHint = $("text").placeholder;
let queryImage = null; // {id, url, title} of an image that the server knows, or {file, url, title}
let abortController = null;

/** Search for what the form says; a search in progress is aborted. */
async function search({ addToHistory = true } = {}) {
  abortController?.abort();
  const mine = (abortController = new AbortController());
  const rerank = $("rerank").checked;
  const searchedImage = queryImage;
  let latest = null;
  showStatus("Searching …", true);
  $("results").classList.add("stale");
  try {
    for await (const response of responses(rerank, mine.signal)) {
      if (searchedImage && queryImage === searchedImage) setImageId(response.query);
      if (addToHistory && link() !== location.pathname + location.search) history.pushState(null, "", link());
      addToHistory = false;
      updateTitle();
      const pending = rerank && latest === null && response.results.length > 0;
      latest = response;
      showResponse(response, pending, { searchLike, addFilter });
      showStatus(describeResponse(response) + (pending ? " The vision LLM is looking …" : ""), pending);
      if (response.degraded && response.stage === "retrieved") {
        showError(`The order is that of retrieval: ${response.failures[0]}`);
      }
    }
  } catch (error) {
    if (mine.signal.aborted) return;
    if (latest) showResponse(latest, false, { searchLike, addFilter }); // what is shown waits no longer
    showError(error.message);
    showStatus("");
  }
}

/** Keep the id under which the server knows the image, so that a link can name it. */
function setImageId({ image_id: id, image_url: url }) {
  Object.assign(queryImage, { id, file: null, url: queryImage.url || url });
  setQueryImage(queryImage);
}

/** Send the request; yield each response as it comes. */
async function* responses(rerank, signal) {
  const form = new FormData();
  for (const name of ["text", "filter", "top"]) form.set(name, $(name).value.trim());
  form.set("rerank", rerank);
  if (queryImage?.file) form.set("image", queryImage.file);
  else if (queryImage) form.set("image_id", queryImage.id);
  const headers = { Accept: "application/x-ndjson" };
  const disconnected = () => {
    throw new Error("The server does not answer: look whether mmrag serve still runs.");
  };
  const response = await fetch("/search", { method: "POST", body: form, headers, signal }).catch(disconnected);
  if (!response.ok) throw new Error(await errorMessage(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read().catch(disconnected);
    const lines = (rest + (value ?? "")).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
    if (done) return;
  }
}

async function errorMessage(response) {
  const seconds = response.headers.get("Retry-After");
  const body = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  return body.error + (seconds ? ` (in about ${seconds} s)` : "");
}

/** Take an indexed image as the next query image: "more like this, but …". */
function searchLike({ id, path, title }) {
  setQueryImage({ id, url: path, title });
  $("text").focus();
  $("text").select();
  $("search-form").scrollIntoView({ block: "nearest" });
  showStatus(`The query's image is now: ${title}. Say what should be different, and press Enter.`);
}

/** Add a condition to the filter, and search again. */
function addFilter(key, value) {
  const literal = typeof value === "string" ? JSON.stringify(value) : String(value);
  const before = $("filter").value.trim();
  const condition = `${key} == ${literal}`;
  $("filter").value = before ? `(${before}) and ${condition}` : condition;
  search();
}

/** Set the image of the query, or remove it by null. */
function setQueryImage(image) {
  if (queryImage?.url.startsWith("blob:") && queryImage !== image) URL.revokeObjectURL(queryImage.url);
  queryImage = image;
  const element = $("query-image");
  $("drop").classList.toggle("filled", image !== null);
  $("remove").hidden = image === null;
  $("text").placeholder = image ? "like this, but …" : textHint;
  element.hidden = !image?.url;
  $("pick-hint").hidden = image !== null;
  $("pick-name").hidden = !image || !element.hidden;
  $("pick-name").textContent = image?.title ?? "";
  if (image?.url && element.getAttribute("src") !== image.url) element.src = image.url;
  element.alt = image ? `The query's image: ${image.title}` : "";
}

/** Take a file of the user as the query image, unless it is no image or too large. */
function addFile(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) {
    return showError(`${file.name} is no image: choose a JPEG, PNG, WebP, GIF, BMP or TIFF.`);
  }
  if (file.size > maxBytes) {
    return showError(`${file.name} is larger than ${(maxBytes / 1e6).toFixed(0)} MB: choose a smaller one.`);
  }
  showError("");
  setQueryImage({ file, url: URL.createObjectURL(file), title: file.name });
  showStatus("Now say what you want with this image, or just press Enter.");
  $("text").focus();
}

function showStatus(message, busy = false) {
  if (busy) showError("");
  $("status").textContent = message;
  document.body.classList.toggle("busy", busy);
}

function showError(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

/** Return the query as an address that opens on every machine that reaches this server. */
function link() {
  const query = new URLSearchParams();
  if ($("text").value.trim()) query.set("q", $("text").value.trim());
  if (queryImage?.id) query.set("image_id", queryImage.id);
  if ($("filter").value.trim()) query.set("filter", $("filter").value.trim());
  if ($("top").value !== defaultTop) query.set("top", $("top").value);
  if (!$("rerank").checked) query.set("rerank", "no");
  return `/?${query}`;
}

/** Name the tab and the entry of the history after the query. */
function updateTitle() {
  const query = $("text").value.trim().slice(0, 60) || (queryImage ? "by image" : "");
  document.title = query ? `${query} · ${pageTitle.replace(/^Search /, "")}` : pageTitle;
}

/** Read the query from the address, and search if there is one. */
function loadFromAddress() {
  const query = new URLSearchParams(location.search);
  const id = query.get("image_id");
  $("text").value = query.get("q") ?? "";
  $("filter").value = query.get("filter") ?? "";
  $("top").value = query.get("top") ?? defaultTop;
  $("rerank").checked = $("rerank").defaultChecked && query.get("rerank") !== "no";
  setQueryImage(id ? { id, url: "", title: "as in the link" } : null);
  updateTitle();
  if (id || $("text").value) return search({ addToHistory: false });
  abortController?.abort();
  showError("");
  showStatus("");
  $("results").hidden = true;
  $("start").hidden = false;
}

$("search-form").addEventListener("submit", (event) => (event.preventDefault(), search()));
$("file").addEventListener("change", () => (addFile($("file").files[0]), ($("file").value = "")));
$("remove").addEventListener("click", () => (setQueryImage(null), $("file").focus()));
$("show-calls").addEventListener("click", () => $("calls-dialog").showModal());
$("share").addEventListener("click", async () => {
  const shared = new URL(link(), location.href).href;
  try {
    await navigator.clipboard.writeText(shared); // allowed on this machine and over https only
    showStatus("The link is copied.");
  } catch {
    showStatus(`The link: ${shared}`);
  }
});
for (const tile of document.querySelectorAll(".samples .tile")) {
  const { id, title } = tile.dataset;
  tile.addEventListener("click", () => searchLike({ id, title, path: `/images/${encodeURIComponent(id)}` }));
}
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (file) event.preventDefault(), addFile(file);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    const { files, types } = event.dataTransfer;
    if (!types.includes("Files") && event.target.matches?.("input[type=text]")) return; // text, into a field
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind !== "drop") return;
    if (files.length) addFile(files[0]);
    else showError("That is no file: save the image first, or copy it and paste it here.");
  });
}
$("query-image").addEventListener("error", () => {
  if (!queryImage) return;
  queryImage.url = ""; // no browser shows a TIFF; after the search, the server shows it
  setQueryImage(queryImage);
});
addEventListener("popstate", loadFromAddress);
new ResizeObserver(redraw).observe($("rows"));
loadFromAddress();
