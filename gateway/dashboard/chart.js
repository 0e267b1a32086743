// chart.js: drawing on canvas: sparklines, lines and stacked areas over the last ten minutes, a ring of shares.
//
// Charts only read rings of model.js. They draw at most once a frame, and not while the page is hidden.

const SPANS_S = [60, 120, 300, 600];
const GAP_S = 5; // samples further apart are not joined
const PAD = { left: 48, right: 8, top: 8, bottom: 18 };

let colours = new Map();

/** The colour that --NAME stands for now; light-dark() is resolved by asking an element. */
export function colour(name) {
  if (!colours.has(name)) {
    const probe = document.documentElement.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    colours.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return colours.get(name);
}

const drawings = new Set();
let asked = false;

function drawAll() {
  asked = false;
  if (!document.hidden) for (const draw of drawings) draw();
}

/** Draw everything in the next frame. */
export function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(drawAll);
}

/** The colours are others now. */
export function forgetColours() {
  colours = new Map();
  redraw();
}

addEventListener("resize", redraw);
document.addEventListener("visibilitychange", redraw);

/** A context whose unit is a CSS pixel, cleared. */
function begin(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = "11px system-ui, sans-serif";
  return { c, width, height };
}

/** The least round number that is not below n. */
function roundUp(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 4, 5, 8, 10].find((m) => m * power >= n * 0.9999) * power;
}

/** The greatest of what `value(i)` gives for all samples. */
function greatest(ring, value) {
  let max = 0;
  for (let i = 0; i < ring.length; i++) {
    const v = value(i);
    if (v > max) max = v;
  }
  return max;
}

/** How much time a drawing shows: as little as holds all samples. */
function span(ring) {
  const held = ring.length ? ring.last("t") - ring.get("t", 0) : 0;
  return SPANS_S.find((s) => s >= held) ?? SPANS_S[SPANS_S.length - 1];
}

/** Runs of samples without a gap, as [first, last]. */
function runs(ring, name) {
  const out = [];
  let first = -1;
  for (let i = 0; i < ring.length; i++) {
    const broken = i > 0 && ring.get("t", i) - ring.get("t", i - 1) > GAP_S;
    const missing = Number.isNaN(ring.get(name, i));
    if (first >= 0 && (broken || missing)) {
      out.push([first, i - 1]);
      first = -1;
    }
    if (first < 0 && !missing) first = i;
  }
  if (first >= 0) out.push([first, ring.length - 1]);
  return out;
}

/** A line with what is below it, filling a small canvas. */
export function spark(canvas, ring, name, tone) {
  drawings.add(() => {
    const { c, width, height } = begin(canvas);
    if (!ring.length) return;
    const end = ring.last("t");
    const max = greatest(ring, (i) => ring.get(name, i)) || 1;
    const shown = span(ring);
    const x = (i) => width - ((end - ring.get("t", i)) / shown) * width;
    const y = (i) => height - 1.5 - (ring.get(name, i) / max) * (height - 4);
    c.strokeStyle = c.fillStyle = colour(tone);
    c.lineWidth = 1.5;
    c.lineJoin = "round";
    for (const [first, last] of runs(ring, name)) {
      c.beginPath();
      for (let i = first; i <= last; i++) c.lineTo(x(i), y(i));
      if (first === last) c.lineTo(x(first) + 1, y(first));
      c.stroke();
      c.lineTo(x(last), height);
      c.lineTo(x(first), height);
      c.globalAlpha = 0.13;
      c.fill();
      c.globalAlpha = 1;
    }
  });
}

function drawGrid(c, box, { max, format, seconds }) {
  c.strokeStyle = colour("grid");
  c.fillStyle = colour("faint");
  c.lineWidth = 1;
  c.textBaseline = "middle";
  c.textAlign = "right";
  for (let k = 0; k <= 2; k++) {
    const y = Math.round(box.bottom - ((box.bottom - box.top) * k) / 2) + 0.5;
    c.beginPath();
    c.moveTo(box.left, y);
    c.lineTo(box.right, y);
    c.stroke();
    c.fillText(format((max * k) / 2), box.left - 6, Math.min(Math.max(y, 7), box.bottom - 2));
  }
  c.textBaseline = "alphabetic";
  for (const part of [1, 0.5, 0]) {
    const ago = seconds * part;
    c.textAlign = part === 1 ? "left" : part === 0 ? "right" : "center";
    c.fillText(!part ? "now" : ago < 60 ? `−${ago} s` : `−${ago / 60} min`, box.right - part * (box.right - box.left), box.bottom + 14);
  }
}

/** Moments at which the gateway came up anew. */
function drawRestarts(c, box, ring, x) {
  c.strokeStyle = colour("warn");
  c.setLineDash([2, 3]);
  for (let i = 0; i < ring.length; i++) {
    if (ring.get("restart", i) !== 1) continue;
    c.beginPath();
    c.moveTo(x(i), box.top);
    c.lineTo(x(i), box.bottom);
    c.stroke();
  }
  c.setLineDash([]);
}

function drawLine(c, ring, series, x, y) {
  c.strokeStyle = colour(series.tone);
  c.lineWidth = series.width ?? 1.5;
  c.setLineDash(series.dash ?? []);
  c.lineJoin = "round";
  for (const [first, last] of runs(ring, series.name)) {
    c.beginPath();
    for (let i = first; i <= last; i++) c.lineTo(x(i), y(ring.get(series.name, i)));
    if (first === last) c.lineTo(x(first) + 1.5, y(ring.get(series.name, first)));
    c.stroke();
  }
  c.setLineDash([]);
}

/** One layer of a stack: from the sum of the layers below to that with it. */
function drawLayer(c, ring, layers, k, x, y) {
  const upTo = (i, n) => layers.slice(0, n).reduce((a, s) => a + (ring.get(s.name, i) || 0), 0);
  c.fillStyle = colour(layers[k].tone);
  for (const [first, last] of runs(ring, layers[k].name)) {
    c.beginPath();
    for (let i = first; i <= last; i++) c.lineTo(x(i), y(upTo(i, k + 1)));
    for (let i = last; i >= first; i--) c.lineTo(x(i), y(upTo(i, k)));
    c.closePath();
    c.fill();
  }
}

/** The legend: a swatch, a name and a value for each series, made once. */
function makeLegend(legend, series) {
  return series.map((s) => {
    const item = document.createElement("span");
    const swatch = document.createElement("i");
    const value = document.createElement("b");
    swatch.className = `swatch tone-${s.tone}`;
    item.append(swatch, `${s.label} `, value);
    legend.append(item);
    return value;
  });
}

/**
 * A chart over time. {canvas, legend, ring, series: [{name, label, tone, width, dash}], stacked, max, format, axis}: max is
 * the least height of the scale, axis formats its numbers. Where the pointer is, the legend shows that moment's values, otherwise the last.
 */
export function chart({ canvas, legend, ring, series, stacked = false, max = 0, format, axis = format }) {
  const values = legend ? makeLegend(legend, series) : [];
  let pointer = -1;
  const point = (e) => {
    pointer = e ? e.offsetX : -1;
    redraw();
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerleave", () => point(null));
  const top = (i) => {
    const all = series.map((s) => ring.get(s.name, i) || 0);
    return stacked ? all.reduce((a, b) => a + b, 0) : Math.max(...all);
  };
  drawings.add(() => {
    const { c, width, height } = begin(canvas);
    const box = { left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: height - PAD.bottom };
    const scale = Math.max(max, roundUp(greatest(ring, top)));
    const end = ring.last("t");
    const seconds = span(ring);
    const x = (i) => box.right - ((end - ring.get("t", i)) / seconds) * (box.right - box.left);
    const y = (v) => box.bottom - (v / scale) * (box.bottom - box.top);
    drawGrid(c, box, { max: scale, format: axis, seconds });
    c.save();
    c.beginPath();
    c.rect(box.left, 0, box.right - box.left + 2, height);
    c.clip();
    series.forEach((s, k) => (stacked ? drawLayer(c, ring, series, k, x, y) : drawLine(c, ring, s, x, y)));
    drawRestarts(c, box, ring, x);
    const shown = pointer < 0 ? ring.length - 1 : nearest(ring, x, pointer);
    if (pointer >= 0 && shown >= 0) drawCursor(c, box, x(shown));
    c.restore();
    series.forEach((s, k) => values[k] && (values[k].textContent = shown < 0 ? "–" : format(ring.get(s.name, shown))));
  });
}

function nearest(ring, x, pointer) {
  let best = -1;
  for (let i = 0; i < ring.length; i++)
    if (best < 0 || Math.abs(x(i) - pointer) < Math.abs(x(best) - pointer)) best = i;
  return best;
}

function drawCursor(c, box, x) {
  c.strokeStyle = colour("ink");
  c.globalAlpha = 0.5;
  c.beginPath();
  c.moveTo(Math.round(x) + 0.5, box.top);
  c.lineTo(Math.round(x) + 0.5, box.bottom);
  c.stroke();
  c.globalAlpha = 1;
}

/** A ring of shares: `parts()` gives [{share, tone, is_up}]. What is down is drawn thin. */
export function ringOfShares(canvas, parts) {
  drawings.add(() => {
    const { c, width, height } = begin(canvas);
    const r = Math.min(width, height) / 2 - 8;
    const all = parts().filter((part) => part.share > 0); // a gateway that does not tell shares has no ring
    let from = -Math.PI / 2;
    for (const part of all) {
      const to = from + part.share * 2 * Math.PI;
      const gap = all.length > 1 ? 0.025 : 0;
      c.beginPath();
      c.arc(width / 2, height / 2, r, from + gap, Math.max(from + gap, to - gap));
      c.strokeStyle = colour(part.is_up ? part.tone : "bad");
      c.lineWidth = part.is_up ? 13 : 3;
      if (!part.is_up) c.setLineDash([3, 3]);
      c.stroke();
      c.setLineDash([]);
      from = to;
    }
    c.fillStyle = colour("ink");
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.font = "600 18px system-ui, sans-serif";
    if (all.length) c.fillText(`${all.filter((p) => p.is_up).length}/${all.length}`, width / 2, height / 2 - 6);
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = colour("faint");
    if (all.length) c.fillText("up", width / 2, height / 2 + 11);
  });
}
