// Measures every frame's page as it was laid out, and writes the faults as JSON into <pre>.

const FEWEST_LETTERS = 9; // to a line of a cell that takes three lines or more
const LEAST_CONTRAST = 4.5; // WCAG 2.2, level AA
const LEAST_TEXT = 7.5; // pixels high, also in a drawing that is scaled down

function texts(root) {
  const walker = root.ownerDocument.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const isText = walker.currentNode.data.trim() && element.tagName !== "STYLE";
    if (isText && element.checkVisibility()) found.push(walker.currentNode);
  }
  return found;
}

function rectangles(node, start, end) {
  const range = node.ownerDocument.createRange();
  range.setStart(node, start);
  range.setEnd(node, end);
  return [...range.getClientRects()].filter((each) => each.width > 0);
}

function count(parts) {
  let [lines, end] = [0, -Infinity];
  for (const each of parts.sort((one, other) => one.top - other.top)) {
    if ((each.top + each.bottom) / 2 > end) lines += 1;
    end = Math.max(end, each.bottom);
  }
  return lines;
}

function channels(colour) {
  return (colour.match(/[\d.]+/g) || []).map(Number);
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((each) => {
    const share = each / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function background(element) {
  for (let each = element; each; each = each.parentElement) {
    const [r, g, b, alpha = 1] = channels(getComputedStyle(each).backgroundColor);
    if (alpha > 0) return [r, g, b];
  }
  return [255, 255, 255];
}

function contrast(element) {
  const style = getComputedStyle(element);
  const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
  const lights = [channels(colour).slice(0, 3), background(element)].map(luminance);
  return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
}

function faults(page, width) {
  const found = new Set();
  const root = page.documentElement;
  if (root.scrollWidth > width) {
    const over = (each) => each.getBoundingClientRect().right > width && !each.closest(".scroll");
    const last = [...page.body.querySelectorAll("*")].filter(over).at(-1);
    found.add(`the page is ${root.scrollWidth} pixels wide for ${last?.outerHTML.slice(0, 80)}`);
  }
  for (const part of page.querySelectorAll(".scroll")) {
    if (part.scrollWidth > part.clientWidth + 1) {
      const heads = [...part.querySelectorAll("thead th")].map((each) => each.innerText.trim());
      found.add(`a table is cut, of ${heads.join(" | ")}`);
    }
  }
  for (const cell of page.querySelectorAll("td, th, dd, dt, figcaption, p")) {
    const parts = [];
    let letters = 0;
    for (const node of texts(cell)) {
      parts.push(...rectangles(node, 0, node.length));
      letters += node.data.trim().length;
      for (const word of node.data.matchAll(/[^\s,.=/\\-]+/g)) {
        const lines = new Set(
          rectangles(node, word.index, word.index + word[0].length).map((each) => each.top),
        );
        const isWord = word[0].length <= 30 && !cell.closest("dl") && !/^\p{N}/u.test(word[0]);
        if (lines.size > 1 && isWord) found.add(`the word ${word[0]} is broken`);
      }
    }
    const lines = count(parts);
    if (lines > 2 && letters / lines < FEWEST_LETTERS) {
      found.add(`${lines} lines for "${cell.innerText.trim().replace(/\s+/g, " ")}"`);
    }
  }
  for (const node of texts(page.body)) {
    const element = node.parentElement;
    const lines = rectangles(node, 0, node.length);
    const clear = contrast(element);
    const words = node.data.trim().slice(0, 30);
    if (clear < LEAST_CONTRAST) found.add(`contrast ${clear.toFixed(1)} of "${words}"`);
    if (lines.length && lines[0].height < LEAST_TEXT) found.add(`"${words}" is too small to read`);
  }
  for (const figures of page.querySelectorAll(".figures")) {
    const last = figures.lastElementChild.getBoundingClientRect();
    const gap = figures.getBoundingClientRect().right - last.right;
    if (gap > 2) found.add(`the last row of figures ends ${Math.round(gap)} pixels early`);
    const sizes = [...figures.children].map((each) => each.getBoundingClientRect().width);
    if (Math.max(...sizes) > 2.1 * Math.min(...sizes)) found.add("one figure dwarfs the others");
    const first = figures.firstElementChild;
    first.querySelector("summary").click();
    const missing = figures.clientWidth - first.getBoundingClientRect().width;
    if (missing > 2) found.add("a click on a figure does not enlarge it");
  }
  return [...found];
}

onload = () => {
  const all = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const name = `${frame.dataset.name} at ${frame.clientWidth}`;
    all[name] = faults(frame.contentDocument, frame.clientWidth);
  }
  document.querySelector("pre").textContent = JSON.stringify(all);
};
