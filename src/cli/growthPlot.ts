import type { Axis, GrowthPoint } from './benchGrowth.ts';

/** Sizes of one chart, of the room around it, and of the whole. */
const chart = { width: 260, height: 170, left: 62, top: 44, gap: 84, rowGap: 66 };
const colours = { measured: '#1f5fbf', limit: '#b5541c', axis: '#444444', grid: '#dddddd', text: '#222222' };

const axes: readonly { readonly axis: Axis; readonly title: string }[] = [
  { axis: 'tokens', title: 'tokens' },
  { axis: 'features', title: 'attributed features' },
  { axis: 'layers', title: 'layers' },
];

type Line = { readonly name: string; readonly colour: string; readonly isDashed: boolean; readonly values: number[] };

/** Time (above) and memory (below) over tokens, features and layers, all scales logarithmic, as an SVG picture. */
export function growthPlot(points: readonly GrowthPoint[]): string {
  const parts: string[] = [];
  axes.forEach(({ axis, title }, column) => {
    const own = points.filter((point) => point.axis === axis);
    if (own.length === 0) return;
    const x = own.map(({ value }) => value);
    const left = chart.left + column * (chart.width + chart.gap);
    const line = (name: string, values: number[], isDashed = false): Line => ({
      name,
      values,
      isDashed,
      colour: isDashed ? colours.limit : colours.measured,
    });
    const seconds = own.map((point) => point.seconds);
    const limits = own.map(({ limit }) => limit);
    parts.push(
      oneChart(left, chart.top, `seconds, by ${title}`, x, [
        line('measured', seconds),
        line('matrix products alone', limits, true),
      ]),
    );
    const megabytes = own.map(({ bytes }) => bytes / 1e6);
    const top = chart.top + chart.height + chart.rowGap;
    parts.push(oneChart(left, top, `megabytes at the peak, by ${title}`, x, [line('measured', megabytes)]));
  });
  const width = chart.left + 3 * chart.width + 2 * chart.gap + 24;
  const height = chart.top + 2 * chart.height + chart.rowGap + 40;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" role="img">`,
    '<title>How the time and memory of a trace grow</title>',
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function oneChart(left: number, top: number, title: string, x: readonly number[], lines: readonly Line[]): string {
  const { width, height } = chart;
  const across = scale(x, left, left + width);
  const values = lines.flatMap((line) => line.values).filter((value) => value > 0);
  const marks = decades(values);
  const up = scale([...values, ...marks], top + height, top);
  const text = (px: number, py: number, content: string, anchor: string, colour = colours.text) =>
    `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${content}</text>`;
  const parts = [`<text x="${left}" y="${top - 22}" font-weight="bold" fill="${colours.text}">${title}</text>`];
  for (const mark of marks) {
    const y = up(mark);
    parts.push(
      `<line x1="${left}" x2="${left + width}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" stroke="${colours.grid}"/>`,
    );
    parts.push(text(left - 6, y + 4, mark.toLocaleString('en', { maximumSignificantDigits: 1 }), 'end'));
  }
  for (const value of x) parts.push(text(across(value), top + height + 16, value.toLocaleString('en'), 'middle'));
  parts.push(`<path d="M${left} ${top}V${top + height}H${left + width}" fill="none" stroke="${colours.axis}"/>`);
  lines.forEach(({ name, colour, isDashed, values: own }, index) => {
    const places = own.map((value, i) => [across(x[i]).toFixed(1), up(value).toFixed(1)]);
    const dash = isDashed ? ' stroke-dasharray="5 4"' : '';
    parts.push(
      `<polyline points="${places.map((place) => place.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
    );
    for (const [cx, cy] of places) parts.push(`<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`);
    parts.push(text(left + index * 84, top - 8, name, 'start', colour));
  });
  return `<g>\n${parts.join('\n')}\n</g>`;
}

/** A logarithmic scale from the smallest to the largest value. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  return (value) => (high === low ? (from + to) / 2 : from + ((Math.log(value) - low) / (high - low)) * (to - from));
}

/** Powers of ten, with 2 and 5 times them where there are few, from just below the smallest value to just above the largest. */
function decades(values: readonly number[]): number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const marks: number[] = [];
  const steps = high / low > 100 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const step of steps) marks.push(Number((step * 10 ** power).toPrecision(1)));
  }
  const first = marks.findLastIndex((mark) => mark <= low);
  const last = marks.findIndex((mark) => mark >= high);
  return marks.slice(Math.max(0, first), last < 0 ? marks.length : last + 1);
}
