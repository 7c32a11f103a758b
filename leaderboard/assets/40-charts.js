// Small charts as SVG elements: intervals in cells, differences around zero, several models on one axis.
"use strict";

// Okabe and Ito's colours, told apart also by shape; the style sheet names them series-0 ...
BE.SERIES = 5;

BE.scale = ([low, high], left, right) => {
  const span = high - low || 1;
  return (value) => left + ((value - low) / span) * (right - left);
};

// Round numbers for an axis.
BE.ticks = ([low, high], about = 4) => {
  const raw = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
};

BE.padded = ([low, high], share = 0.04) => {
  const room = (high - low || Math.abs(high) || 1) * share;
  return [low - room, high + room];
};

const place = (x) => x.toFixed(1);

// In a cell of the overview: a bar from chance to the value, and the interval as a whisker.
BE.whisker = (column, cell) => {
  const x = BE.scale(BE.padded(column.domain, 0.05), 0, 100);
  const origin = column.chance === null ? x(Math.max(0, column.domain[0])) : x(column.chance);
  const value = x(cell.value);
  const parts = [BE.s("path", {
    class: (cell.value < (column.chance ?? -Infinity)) ? "bar under" : "bar",
    d: `M${place(origin)} 3H${place(value)}V9H${place(origin)}Z`,
  })];
  let line = `M${place(value)} 1V11`;
  if (column.chance !== null) line += [0, 4, 8].map((y) => `M${place(origin)} ${y}v2`).join("");  // no element of its own: they cost time
  if (BE.isNumber(cell.low) && BE.isNumber(cell.high)) {
    const [low, high] = [place(x(cell.low)), place(x(cell.high))];
    line += `M${low} 6H${high}M${low} 3.5V8.5M${high} 3.5V8.5`;
  }
  parts.push(BE.s("path", { class: "whisker", d: line }));
  return BE.s("svg", { class: "cellplot", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, parts);
};

// The shapes of the series, around 0.
const SHAPES = ["M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z", "M-4-4H4V4H-4Z", "M0-5L5 4H-5Z", "M0-5.5L5.5 0L0 5.5L-5.5 0Z", "M0 5L5-4H-5Z"];

BE.mark = (series, x, y) =>
  BE.s("path", { class: `mark series-${series}`, d: SHAPES[series % SHAPES.length], transform: `translate(${place(x)} ${place(y)})` });

BE.key = (series) => BE.s("svg", { class: "key", viewBox: "-7 -7 14 14", "aria-hidden": "true", focusable: "false" }, BE.mark(series, 0, 0));

// Charts with text are as wide as they are drawn, so that letters keep their size; what is too wide scrolls.
const WIDE = 300;
const chart = (width, height, attributes, ...parts) =>
  BE.s("svg", { class: "dots", width, height, viewBox: `0 0 ${width} ${height}`, focusable: "false", ...attributes }, parts);

// One row of a chart in a table: points with intervals of several series on the table's axis.
BE.dots = (domain, points, reference) => {
  const x = BE.scale(domain, 8, WIDE - 8);
  const height = 10 + 9 * points.length;
  const parts = [BE.s("path", { class: "axis", d: `M8 ${height - 0.5}H${WIDE - 8}` })];
  if (BE.isNumber(reference)) parts.push(BE.s("path", { class: "chance", d: `M${place(x(reference))} 0V${height}` }));
  points.forEach((point, i) => {
    if (!BE.isNumber(point.value)) return;
    const y = 9 + 9 * i;
    if (BE.isNumber(point.low) && BE.isNumber(point.high)) {
      parts.push(BE.s("path", { class: `interval series-${point.series}`, d: `M${place(x(point.low))} ${y}H${place(x(point.high))}` }));
    }
    parts.push(BE.mark(point.series, x(point.value), y));
  });
  return chart(WIDE, height, { "aria-hidden": "true" }, parts);
};

BE.axis = (domain, unit, width = WIDE) => {
  const x = BE.scale(domain, 8, width - 8);
  const { ticks, digits } = BE.ticks(domain, width / 55);
  const inside = (tick) => {  // else its label would be cut off
    const half = 3.3 * BE.fixed(tick, digits).length;
    return x(tick) >= half && x(tick) <= width - half;
  };
  return chart(width, 20, { class: "dots axisrow", role: "img", "aria-label": `axis in ${unit}` },
    ticks.filter(inside).map((tick) => [
      BE.s("path", { class: "axis", d: `M${place(x(tick))} 15V20` }),
      BE.s("text", { x: place(x(tick)), y: 11, "text-anchor": "middle" }, BE.fixed(tick, digits)),
    ]));
};

// A difference with its interval around zero; `verdict` decides its colour, the text beside it says the same.
BE.difference = (domain, row, verdict) => {
  const x = BE.scale(domain, 8, 192);
  const zero = place(x(0));
  const parts = [BE.s("path", { class: "chance", d: `M${zero} 0V22` })];
  const inside = (value) => Math.min(Math.max(value, domain[0]), domain[1]);
  if (BE.isNumber(row.low) && BE.isNumber(row.high)) {
    const [low, high] = [place(x(inside(row.low))), place(x(inside(row.high)))];
    parts.push(BE.s("path", { class: `interval ${verdict}`, d: `M${low} 11H${high}M${low} 7V15M${high} 7V15` }));
  }
  if (BE.isNumber(row.difference)) {
    parts.push(BE.s("path", { class: `mark ${verdict}`, d: SHAPES[3], transform: `translate(${place(x(inside(row.difference)))} 11)` }));
  }
  return BE.s("svg", { class: "difference", viewBox: "0 0 200 22", "aria-hidden": "true", focusable: "false" }, parts);
};

BE.differenceBar = (largest, value) => {
  const x = BE.scale([-largest, largest], 4, 196);
  return BE.s("svg", { class: "difference", viewBox: "0 0 200 14", "aria-hidden": "true", focusable: "false" },
    BE.s("path", { class: value > 0 ? "bar won" : "bar lost", d: `M${place(x(0))} 2H${place(x(value))}V12H${place(x(0))}Z` }),
    BE.s("path", { class: "chance", d: `M${place(x(0))} 0V14` }));
};

// Points in rows, one row for each condition; the mean as a tick.
BE.STRIP = 180;
BE.strip = (domain, points, mean, series) => {
  const x = BE.scale(domain, 8, BE.STRIP - 8);
  const parts = [BE.s("path", { class: "axis", d: `M8 17.5H${BE.STRIP - 8}` })];
  for (const point of points) if (BE.isNumber(point)) parts.push(BE.s("g", { class: "seed" }, BE.mark(series, x(point), 9)));
  if (BE.isNumber(mean)) parts.push(BE.s("path", { class: "mean", d: `M${place(x(mean))} 1V17` }));
  return chart(BE.STRIP, 18, { "aria-hidden": "true" }, parts);
};

// So wide that its smallest letters have as many pixels as those of the page's own charts.
const LETTERS = 11;
BE.figureWidth = (svg) => {
  const box = /viewBox="\S+ \S+ ([\d.]+)/.exec(svg);
  const sizes = [...svg.matchAll(/font-size="([\d.]+)/g)].map((found) => Number(found[1])).filter(Boolean);
  return box ? Math.round((Number(box[1]) * LETTERS) / Math.min(LETTERS, ...sizes)) : null;
};

// A figure made at build time. As an image it can neither run a script nor reach the page's styles.
BE.figure = (name, text) => {
  const figure = BE.payload.figures[name];
  if (!figure) return null;
  const url = URL.createObjectURL(new Blob([figure.svg], { type: "image/svg+xml" }));
  return BE.h("figure", { class: "built" },
    BE.scroller(figure.title, BE.h("img", { src: url, width: BE.figureWidth(figure.svg), alt: text || `${figure.title}. The numbers are in the tables of this page.` })),
    BE.h("figcaption", null, figure.title, " ",
      BE.h("button", {
        type: "button", class: "quiet", onclick: () => BE.download(`${name.replace(/[^\w-]+/g, "-")}.svg`, "image/svg+xml", figure.svg),
      }, "Save as SVG")));
};
