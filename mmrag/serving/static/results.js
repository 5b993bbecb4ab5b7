// Shows an answer. In: one line of POST /search. Out: cards, arrows, reason, times.

import { drawMoves, light, wayOf } from "./moves.js";

const $ = (id) => document.getElementById(id);
const SIGNS = { up: "▲", down: "▼", same: "=" };
let shown = null;

/** Show an answer, and whether `more` will come; `choose` is called with a result whose image was clicked, `narrow` with a field. */
export function showAnswer(answer, more, { choose, narrow }) {
  shown = answer;
  const reranked = answer.stage === "reranked";
  const both = reranked || more;
  $("start").hidden = true;
  $("results").hidden = false;
  $("results").classList.remove("stale");
  $("scroller").hidden = answer.results.length === 0;
  $("rows").style.setProperty("--n", Math.max(answer.results.length, 1));
  $("rows").classList.toggle("single", !both);
  $("reranked-row").hidden = !both;
  const card = (place) => (result) => cardOf(result, place, { choose, narrow });
  const retrieved = [...answer.results].sort((a, b) => a.retrieval_rank - b.retrieval_rank);
  if (!reranked || $("retrieved").childElementCount !== retrieved.length) {
    $("retrieved").replaceChildren(...retrieved.map(card("retrieval_rank")));
  }
  $("reranked").replaceChildren(...(reranked ? answer.results.map(card("rank")) : retrieved.map(waiting)));
  showNotes(answer, more);
  showTimes(answer.timings_ms);
  showLooks(answer.looks);
  redraw();
}

/** Draw the arrows again, after the cards have moved. */
export function redraw() {
  $("moves").replaceChildren();
  if (shown?.stage === "reranked") drawMoves($("moves"), $("retrieved"), $("reranked"), shown.results);
}

/** Say in one sentence what an answer holds. */
export function told(answer) {
  const n = answer.results.length;
  if (n === 0) return "Nothing found: loosen the filter, or ask for something else.";
  const found = `${n} ${n === 1 ? "image" : "images"} found`;
  if (answer.stage !== "reranked") return `${found}.`;
  const moved = answer.results.filter((result) => wayOf(result) !== "same").length;
  return `${found}; the vision LLM moved ${moved === 0 ? "none" : moved}. First: ${answer.results[0].title}.`;
}

function cardOf(result, place, { choose, narrow }) {
  const card = $("card").content.cloneNode(true).firstElementChild;
  const part = (name) => card.querySelector(name);
  const way = place === "rank" ? wayOf(result) : "same";
  const was = way === "same" ? "" : `, was ${result.retrieval_rank}`;
  card.dataset.id = result.id;
  part("img").src = result.path;
  part("img").alt = `${result[place]}: ${result.title}${was}`;
  part("img").addEventListener("error", () => part(".tile").classList.add("gone"));
  part(".tile").title = "More like this, but …";
  part(".tile").addEventListener("click", () => choose(result));
  part(".rank").textContent = result[place];
  part(".title").textContent = result.title;
  part(".title").setAttribute("aria-label", `About ${result.title}`);
  part(".title").addEventListener("click", () => showDetails(result, narrow));
  Object.assign(part(".score"), scoreOf(result, place));
  if (place === "rank") {
    const far = Math.abs(result.rank - result.retrieval_rank);
    part(".move").className = `move ${way}`;
    part(".move").textContent = SIGNS[way] + (far || "");
    part(".move").setAttribute("aria-label", far ? `${way} ${far}` : "did not move");
  }
  const lists = [$("retrieved"), $("reranked")];
  for (const [event, id] of [["pointerenter", result.id], ["focusin", result.id], ["pointerleave", null], ["focusout", null]]) {
    card.addEventListener(event, () => light($("moves"), lists, shown?.stage === "reranked" ? id : null));
  }
  return card;
}

function scoreOf(result, place) {
  const looked = place === "rank" && result.rerank_score !== null;
  const score = looked ? result.rerank_score : result.score;
  const textContent = Math.abs(score) < 0.0005 ? "0.000" : score.toFixed(3);
  return { textContent, title: looked ? "the reranker's score" : "cosine similarity" };
}

function waiting() {
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

function showNotes(answer, more) {
  const notes = [];
  if (answer.unknown_words.length) notes.push(`The encoder was never taught: ${answer.unknown_words.join(", ")}.`);
  if (answer.caption) notes.push(`It described the query's image as: ${answer.caption}`);
  if (answer.repairs.length) notes.push(`Repaired: ${answer.repairs.join("; ")}`);
  $("reason").textContent = answer.reason;
  $("notes").textContent = notes.join("\n");
  $("verdict").hidden = !answer.reason && notes.length === 0;
  const { encode = 0, search = 0 } = answer.timings_ms;
  const total = Object.values(answer.timings_ms).reduce((a, b) => a + b, 0);
  $("retrieved-note").textContent = `nearest vectors, ${time(encode + search)}`;
  $("reranked-note").textContent =
    answer.stage === "reranked" ? `by looking, ${time(total - encode - search)}` : more ? "the model is looking …" : "";
}

function showTimes(timings) {
  const total = Math.max(1e-9, Object.values(timings).reduce((a, b) => a + b, 0));
  $("times").replaceChildren(
    ...Object.entries(timings).map(([stage, ms]) => {
      const line = document.createElement("div");
      line.style.setProperty("--share", `${(100 * ms) / total}%`);
      line.append(text("dt", stage), text("dd", time(ms)));
      return line;
    }),
  );
}

function showLooks(looks) {
  $("see").hidden = looks.length === 0;
  $("looks").replaceChildren(
    ...looks.flatMap((look) => {
      const composite = document.createElement("img");
      composite.src = look.url;
      composite.alt = "The composite image: the query, and the candidates with their numbers";
      composite.loading = "lazy";
      const answer = look.answer ? [text("h3", "It answered"), text("pre", look.answer)] : [];
      return [composite, text("h3", "It was asked"), text("pre", look.prompt), ...answer];
    }),
  );
}

function showDetails(result, narrow) {
  const dialog = $("details");
  $("details-title").textContent = result.title;
  $("details-image").src = `${result.path}?size=large`;
  $("details-image").alt = result.title;
  $("details-description").textContent = result.description;
  const facts = [["similarity", result.score.toFixed(4)], ["id", result.id]];
  if (result.rerank_score !== null) facts.unshift(["reranker's score", result.rerank_score.toFixed(4)]);
  $("details-facts").replaceChildren(
    ...Object.entries(result.metadata).flatMap(([key, value]) => {
      const cell = document.createElement("dd");
      const button = text("button", String(value));
      button.type = "button";
      button.addEventListener("click", () => (dialog.close(), narrow(key, value)));
      cell.append(button);
      return [text("dt", key), cell];
    }),
    ...facts.flatMap(([name, value]) => [text("dt", name), text("dd", value)]),
  );
  dialog.showModal();
}

function text(tag, words) {
  const element = document.createElement(tag);
  element.textContent = words;
  return element;
}

function time(ms) {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
