// Arrows from each retrieved card to the same image's reranked card, wherever the two stand.

const SVG = "http://www.w3.org/2000/svg";
const HEAD = 5;

/** Draw an arrow for each result, between two lists that stand one below or beside the other. */
export function drawMoves(svg, retrieved, reranked, results) {
  const frame = svg.getBoundingClientRect();
  const [from, to] = [retrieved, reranked].map((list) => list.getBoundingClientRect());
  const beside = to.left >= from.right;
  svg.replaceChildren(
    ...results.map((result) => {
      const start = end(retrieved.children[result.retrieval_rank - 1], frame, beside, true);
      const stop = end(reranked.children[result.rank - 1], frame, beside, false);
      return arrow(start, stop, beside, wayOf(result), result.id);
    }),
  );
}

/** Tell where a result went: "up", "down" or "same". */
export function wayOf({ rank, retrieval_rank }) {
  return rank < retrieval_rank ? "up" : rank > retrieval_rank ? "down" : "same";
}

/** Light one result's arrow and cards, or none. */
export function light(svg, lists, id) {
  svg.classList.toggle("lit", id !== null);
  for (const element of [...svg.children, ...lists.flatMap((list) => [...list.children])]) {
    element.classList.toggle("lit", id !== null && element.dataset.id === id);
  }
}

function end(card, frame, beside, leaves) {
  const whole = card.getBoundingClientRect();
  const tile = card.querySelector(".tile").getBoundingClientRect();
  if (beside) {
    return [(leaves ? whole.right + 3 : whole.left - 4) - frame.left, (tile.top + tile.bottom) / 2 - frame.top];
  }
  // arrows end above the heading of the list below
  const heading = card.closest(".row").getBoundingClientRect().top;
  const y = leaves ? card.closest(".row").getBoundingClientRect().bottom + 3 : heading - 4;
  return [(whole.left + whole.right) / 2 - frame.left, y - frame.top];
}

function arrow([x0, y0], [x1, y1], beside, way, id) {
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("class", way);
  group.dataset.id = id;
  const [xm, ym] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const tip = beside ? [x1 - HEAD, y1] : [x1, y1 - HEAD];
  const bend = beside ? `${xm} ${y0} ${xm} ${y1}` : `${x0} ${ym} ${x1} ${ym}`;
  const head = beside
    ? `M${x1} ${y1} l${-2 * HEAD} ${-HEAD} v${2 * HEAD} z`
    : `M${x1} ${y1} l${-HEAD} ${-2 * HEAD} h${2 * HEAD} z`;
  group.append(path(`M${x0} ${y0} C${bend} ${tip[0]} ${tip[1]}`), path(head, "head"));
  return group;
}

function path(d, name = "line") {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", d);
  element.setAttribute("class", name);
  return element;
}
