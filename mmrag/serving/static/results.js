// The results of a response of POST /search: cards, arrows, reason, calls of the vision LLM, times.

import { direction, drawArrows, highlight } from "./arrows.js";

const $ = (id) => document.getElementById(id);
const ARROWS = { up: "▲", down: "▼", same: "=" };
let shown = null;

/** Show a response. While reranking is `pending`, its row shows empty cards. `searchLike` is called with a result
 *  whose image was clicked, `addFilter` with a metadata key and value. */
export function showResponse(response, pending, { searchLike, addFilter }) {
  shown = response;
  const reranked = response.stage === "reranked";
  const bothRows = reranked || pending;
  $("start").hidden = true;
  $("results").hidden = false;
  $("results").classList.remove("stale");
  $("scroller").hidden = response.results.length === 0;
  $("rows").style.setProperty("--n", Math.max(response.results.length, 1));
  $("rows").classList.toggle("single", !bothRows);
  $("reranked-row").hidden = !bothRows;
  const toCard = (rankKey) => (result) => createCard(result, rankKey, { searchLike, addFilter });
  const retrieved = [...response.results].sort((a, b) => a.retrieval_rank - b.retrieval_rank);
  if (!reranked || $("retrieved").childElementCount !== retrieved.length) {
    $("retrieved").replaceChildren(...retrieved.map(toCard("retrieval_rank")));
  }
  $("reranked").replaceChildren(...(reranked ? response.results.map(toCard("rank")) : retrieved.map(createEmptyCard)));
  showNotes(response, pending);
  showTimings(response.timings_ms);
  showCalls(response.calls);
  redraw();
}

/** Draw the arrows again, after the cards have moved. */
export function redraw() {
  $("arrows").replaceChildren();
  if (shown?.stage === "reranked") drawArrows($("arrows"), $("retrieved"), $("reranked"), shown.results);
}

/** Describe a response in one sentence. */
export function describeResponse(response) {
  const n = response.results.length;
  if (n === 0) return "Nothing found: loosen the filter, or ask for something else.";
  const found = `${n} ${n === 1 ? "image" : "images"} found`;
  if (response.stage !== "reranked") return `${found}.`;
  const moved = response.results.filter((result) => direction(result) !== "same").length;
  return `${found}; the vision LLM moved ${moved === 0 ? "none" : moved}. First: ${response.results[0].title}.`;
}

function createCard(result, rankKey, { searchLike, addFilter }) {
  const card = $("card").content.cloneNode(true).firstElementChild;
  const part = (selector) => card.querySelector(selector);
  const way = rankKey === "rank" ? direction(result) : "same";
  const before = way === "same" ? "" : `, was ${result.retrieval_rank}`;
  card.dataset.id = result.id;
  part("img").src = result.path;
  part("img").alt = `${result[rankKey]}: ${result.title}${before}`;
  part("img").addEventListener("error", () => part(".tile").classList.add("gone"));
  part(".tile").title = "More like this, but …";
  part(".tile").addEventListener("click", () => searchLike(result));
  part(".rank").textContent = result[rankKey];
  part(".title").textContent = result.title;
  part(".title").setAttribute("aria-label", `About ${result.title}`);
  part(".title").addEventListener("click", () => showDetails(result, addFilter));
  Object.assign(part(".score"), scoreOf(result, rankKey));
  if (rankKey === "rank") {
    const distance = Math.abs(result.rank - result.retrieval_rank);
    part(".change").className = `change ${way}`;
    part(".change").textContent = ARROWS[way] + (distance || "");
    part(".change").setAttribute("aria-label", distance ? `${way} ${distance}` : "did not move");
  }
  const lists = [$("retrieved"), $("reranked")];
  const events = { pointerenter: result.id, focusin: result.id, pointerleave: null, focusout: null };
  for (const [event, id] of Object.entries(events)) {
    card.addEventListener(event, () => highlight($("arrows"), lists, shown?.stage === "reranked" ? id : null));
  }
  return card;
}

function scoreOf(result, rankKey) {
  const isRerankScore = rankKey === "rank" && result.rerank_score !== null;
  const score = isRerankScore ? result.rerank_score : result.score;
  const textContent = Math.abs(score) < 0.0005 ? "0.000" : score.toFixed(3);
  return { textContent, title: isRerankScore ? "the reranker's score" : "cosine similarity" };
}

function createEmptyCard() {
  const card = $("card").content.cloneNode(true).firstElementChild;
  card.classList.add("waiting");
  card.setAttribute("aria-hidden", "true");
  card.querySelector(".tile").replaceChildren();
  card.querySelectorAll("button").forEach((button) => (button.disabled = true));
  card.querySelector(".rank").remove();
  card.querySelector(".title").textContent = "\u00a0";
  card.querySelector(".score").textContent = "\u00a0";
  return card;
}

function showNotes(response, pending) {
  const notes = [];
  if (response.unknown_words.length) notes.push(`The encoder does not know: ${response.unknown_words.join(", ")}.`);
  if (response.caption) notes.push(`It described the query's image as: ${response.caption}`);
  if (response.repairs.length) notes.push(`Repaired: ${response.repairs.join("; ")}`);
  $("reason").textContent = response.reason;
  $("notes").textContent = notes.join("\n");
  $("verdict").hidden = !response.reason && notes.length === 0;
  const { encode = 0, search = 0 } = response.timings_ms;
  const total = sum(response.timings_ms);
  $("retrieved-note").textContent = `nearest vectors, ${formatTime(encode + search)}`;
  $("reranked-note").textContent = pending ? "the model is looking …" : `by looking, ${formatTime(total - encode - search)}`;
}

function showTimings(timings) {
  const total = Math.max(1e-9, sum(timings));
  $("timings").replaceChildren(
    ...Object.entries(timings).map(([stage, ms]) => {
      const line = document.createElement("div");
      line.style.setProperty("--share", `${(100 * ms) / total}%`);
      line.append(createElement("dt", stage), createElement("dd", formatTime(ms)));
      return line;
    }),
  );
}

function showCalls(calls) {
  $("show-calls").hidden = calls.length === 0;
  $("calls").replaceChildren(
    ...calls.flatMap((call) => {
      const composite = document.createElement("img");
      composite.src = call.url;
      composite.alt = "The composite image: the query, and the candidates with their numbers";
      composite.loading = "lazy";
      const answer = call.answer ? [createElement("h3", "Answer"), createElement("pre", call.answer)] : [];
      return [composite, createElement("h3", "Prompt"), createElement("pre", call.prompt), ...answer];
    }),
  );
}

function showDetails(result, addFilter) {
  const dialog = $("details");
  $("details-title").textContent = result.title;
  $("details-image").src = `${result.path}?size=large`;
  $("details-image").alt = result.title;
  $("details-description").textContent = result.description;
  const scores = [["similarity", result.score.toFixed(4)], ["id", result.id]];
  if (result.rerank_score !== null) scores.unshift(["reranker's score", result.rerank_score.toFixed(4)]);
  $("details-metadata").replaceChildren(
    ...Object.entries(result.metadata).flatMap(([key, value]) => {
      const cell = document.createElement("dd");
      const button = createElement("button", String(value));
      button.type = "button";
      button.addEventListener("click", () => (dialog.close(), addFilter(key, value)));
      cell.append(button);
      return [createElement("dt", key), cell];
    }),
    ...scores.flatMap(([name, value]) => [createElement("dt", name), createElement("dd", value)]),
  );
  dialog.showModal();
}

function createElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function sum(timings) {
  return Object.values(timings).reduce((a, b) => a + b, 0);
}

function formatTime(ms) {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
