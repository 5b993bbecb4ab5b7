// Arrows from each retrieved card to the reranked card of the same image, wherever the two stand.

const SVG = "http://www.w3.org/2000/svg";
const HEAD = 5;

/** Draw an arrow for each result, between two lists that stand one below or beside the other. */
export function drawArrows(svg, retrieved, reranked, results) {
  const frame = svg.getBoundingClientRect();
  const [from, to] = [retrieved, reranked].map((list) => list.getBoundingClientRect());
  const beside = to.left >= from.right;
  svg.replaceChildren(
    ...results.map((result) => {
      const start = endpoint(retrieved.children[result.retrieval_rank - 1], frame, beside, true);
      const end = endpoint(reranked.children[result.rank - 1], frame, beside, false);
      return arrow(start, end, beside, direction(result), result.id);
    }),
  );
}

/** Return the direction of a result's rank change: "up", "down" or "same". */
export function direction({ rank, retrieval_rank: before }) {
  return rank < before ? "up" : rank > before ? "down" : "same";
}

/** Highlight the arrow and the cards of one result; null highlights none. */
export function highlight(svg, lists, id) {
  svg.classList.toggle("highlighted", id !== null);
  for (const element of [...svg.children, ...lists.flatMap((list) => [...list.children])]) {
    element.classList.toggle("highlighted", id !== null && element.dataset.id === id);
  }
}

function endpoint(card, frame, beside, isStart) {
  const whole = card.getBoundingClientRect();
  const tile = card.querySelector(".tile").getBoundingClientRect();
  if (beside) {
    return [(isStart ? whole.right + 3 : whole.left - 4) - frame.left, (tile.top + tile.bottom) / 2 - frame.top];
  }
  // arrows end above the heading of the list below
  const heading = card.closest(".row").getBoundingClientRect().top;
  const y = isStart ? card.closest(".row").getBoundingClientRect().bottom + 3 : heading - 4;
  return [(whole.left + whole.right) / 2 - frame.left, y - frame.top];
}

function arrow([x0, y0], [x1, y1], beside, className, id) {
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("class", className);
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

function path(d, className = "line") {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", d);
  element.setAttribute("class", className);
  return element;
}
