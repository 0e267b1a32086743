// format.js: numbers as people read them. Every function takes what may be missing and gives a short text.

const NONE = "–";

/** A count or a rate: 0.42, 8.3, 1,204, 31.4k, 2.1M. */
export function count(n) {
  if (!Number.isFinite(n)) return NONE;
  const size = Math.abs(n);
  if (size >= 1e9) return (n / 1e9).toFixed(1) + "G";
  if (size >= 1e6) return (n / 1e6).toFixed(1) + "M";
  if (size >= 1e5) return (n / 1e3).toFixed(0) + "k";
  if (size >= 1e4) return (n / 1e3).toFixed(1) + "k";
  if (size >= 1e3) return Math.round(n).toLocaleString("en");
  if (Number.isInteger(n)) return String(n);
  return size >= 100 ? n.toFixed(0) : size >= 1 ? n.toFixed(1) : n.toFixed(2);
}

/** Seconds as a duration of a request: 8 µs, 0.42 ms, 12.3 ms, 1.20 s. */
export function latency(s) {
  if (!Number.isFinite(s)) return NONE;
  const ms = s * 1000;
  if (ms >= 10000) return (ms / 1000).toFixed(1) + " s";
  if (ms >= 1000) return (ms / 1000).toFixed(2) + " s";
  if (ms >= 100) return ms.toFixed(0) + " ms";
  if (ms < 0.1) return (ms * 1000).toFixed(0) + " µs";
  return ms.toFixed(ms >= 10 ? 1 : 2) + " ms";
}

/** The same for a scale: 0, 2 ms, 1.5 s. */
export function latencyShort(s) {
  if (s === 0) return "0";
  const [n, unit] = s >= 1 ? [s, "s"] : s >= 0.001 ? [s * 1e3, "ms"] : [s * 1e6, "µs"];
  return `${Number(n.toPrecision(2))} ${unit}`;
}

/** A part of one as percent: 0 %, 0.04 %, 12.3 %. */
export function percent(part) {
  if (!Number.isFinite(part)) return NONE;
  const p = part * 100;
  if (p === 0) return "0 %";
  return (p >= 99.95 ? "100" : p >= 1 ? p.toFixed(1) : p >= 0.01 ? p.toFixed(2) : "<0.01") + " %";
}

export function bytes(n) {
  if (!Number.isFinite(n)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return (i === 0 || n >= 100 ? n.toFixed(0) : n.toFixed(1)) + " " + units[i];
}

/** Seconds as a span of life: 42 s, 5 min 3 s, 3 h 20 min, 12 d 4 h. */
export function age(s) {
  if (!Number.isFinite(s)) return NONE;
  s = Math.max(0, Math.floor(s));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** The time of day of Unix seconds, in this browser's zone. */
export function clock(unix, withMs = false) {
  if (!Number.isFinite(unix)) return NONE;
  const d = new Date(unix * 1000);
  const two = (n) => String(n).padStart(2, "0");
  const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return withMs ? `${text}.${String(d.getMilliseconds()).padStart(3, "0")}` : text;
}

/** "breaker_open" as words. */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

/** One noun or its plural: "1 server", "3 servers". */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}
