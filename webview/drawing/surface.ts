import type { Shape } from './glyphs.ts';
import { corners } from './glyphs.ts';

export type Stroke = { readonly color: string; readonly width: number; readonly isDashed?: boolean };
export type TextStyle = {
  readonly color: string;
  readonly size: number;
  readonly family: string;
  readonly isBold?: boolean;
  readonly align?: 'left' | 'center' | 'right';
  /** Colour of a line around the letters that keeps them readable over edges. */
  readonly halo?: string;
};

/** What pictures are drawn on: the screen's canvas, or an SVG document. One painter serves both. */
export type Surface = {
  readonly setOpacity: (opacity: number) => void;
  /** A curve that leaves and arrives vertically. */
  readonly curve: (x1: number, y1: number, x2: number, y2: number, stroke: Stroke) => void;
  readonly line: (x1: number, y1: number, x2: number, y2: number, stroke: Stroke) => void;
  readonly glyph: (
    shape: Shape,
    x: number,
    y: number,
    radius: number,
    fill: string | null,
    stroke: Stroke | null,
  ) => void;
  readonly box: (
    x: number,
    y: number,
    width: number,
    height: number,
    corner: number,
    fill: string | null,
    stroke: Stroke | null,
  ) => void;
  readonly text: (text: string, x: number, y: number, style: TextStyle) => void;
};

/** Draws on a canvas whose transform is already set to one unit a CSS pixel. */
export function canvasSurface(context: CanvasRenderingContext2D): Surface {
  const applyStroke = (stroke: Stroke) => {
    context.strokeStyle = stroke.color;
    context.lineWidth = stroke.width;
    context.setLineDash(stroke.isDashed ? dashes(stroke.width) : []);
    context.stroke();
  };
  const finish = (fill: string | null, stroke: Stroke | null) => {
    if (fill) {
      context.fillStyle = fill;
      context.fill();
    }
    if (stroke) applyStroke(stroke);
  };
  return {
    setOpacity: (opacity) => {
      context.globalAlpha = opacity;
    },
    curve(x1, y1, x2, y2, stroke) {
      const middle = (y1 + y2) / 2;
      context.beginPath();
      context.moveTo(x1, y1);
      context.bezierCurveTo(x1, middle, x2, middle, x2, y2);
      applyStroke(stroke);
    },
    line(x1, y1, x2, y2, stroke) {
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
      applyStroke(stroke);
    },
    glyph(shape, x, y, radius, fill, stroke) {
      context.beginPath();
      if (shape === 'circle' || shape === 'ring') {
        context.arc(x, y, radius, 0, 2 * Math.PI);
        if (shape === 'ring') return applyStroke(stroke ?? { color: fill ?? '', width: 1.5 });
      } else {
        for (const [dx, dy] of corners[shape]) context.lineTo(x + dx * radius, y + dy * radius);
        context.closePath();
      }
      finish(fill, stroke);
    },
    box(x, y, width, height, corner, fill, stroke) {
      context.beginPath();
      context.roundRect(x, y, width, height, corner);
      finish(fill, stroke);
    },
    text(text, x, y, style) {
      context.font = `${style.isBold ? '600 ' : ''}${style.size}px ${style.family}`;
      context.textAlign = style.align ?? 'left';
      context.textBaseline = 'middle';
      if (style.halo) {
        context.strokeStyle = style.halo;
        context.lineWidth = 3.5;
        context.lineJoin = 'round';
        context.setLineDash([]);
        context.strokeText(text, x, y);
      }
      context.fillStyle = style.color;
      context.fillText(text, x, y);
    },
  };
}

export type SvgSurface = Surface & { readonly document: () => string };

/** Collects an SVG document; all text is escaped. */
export function svgSurface(width: number, height: number, background: string): SvgSurface {
  const parts: string[] = [];
  let opacity = 1;
  const put = (tag: string, attributes: Readonly<Record<string, string | number | null>>, text?: string) => {
    const all = Object.entries(opacity < 1 ? { ...attributes, opacity: round(opacity) } : attributes)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => ` ${name}="${escapeText(String(value))}"`)
      .join('');
    parts.push(text === undefined ? `<${tag}${all}/>` : `<${tag}${all}>${escapeText(text)}</${tag}>`);
  };
  const paint = (fill: string | null, stroke: Stroke | null) => ({
    fill: fill ?? 'none',
    stroke: stroke?.color ?? null,
    'stroke-width': stroke ? round(stroke.width) : null,
    'stroke-dasharray': stroke?.isDashed ? dashes(stroke.width).map(round).join(' ') : null,
  });
  return {
    setOpacity: (value) => {
      opacity = value;
    },
    curve(x1, y1, x2, y2, stroke) {
      const middle = round((y1 + y2) / 2);
      const [a, b, c, d] = [x1, y1, x2, y2].map(round);
      put('path', { d: `M${a} ${b}C${a} ${middle} ${c} ${middle} ${c} ${d}`, ...paint(null, stroke) });
    },
    line: (x1, y1, x2, y2, stroke) =>
      put('path', { d: `M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}`, ...paint(null, stroke) }),
    glyph(shape, x, y, radius, fill, stroke) {
      if (shape === 'circle' || shape === 'ring') {
        const style = shape === 'ring' ? paint(null, stroke ?? { color: fill ?? '', width: 1.5 }) : paint(fill, stroke);
        put('circle', { cx: round(x), cy: round(y), r: round(radius), ...style });
        return;
      }
      const points = corners[shape].map(([dx, dy]) => `${round(x + dx * radius)},${round(y + dy * radius)}`);
      put('polygon', { points: points.join(' '), ...paint(fill, stroke) });
    },
    box: (x, y, boxWidth, boxHeight, corner, fill, stroke) =>
      put('rect', {
        x: round(x),
        y: round(y),
        width: round(boxWidth),
        height: round(boxHeight),
        rx: corner,
        ...paint(fill, stroke),
      }),
    text(text, x, y, style) {
      put(
        'text',
        {
          x: round(x),
          y: round(y),
          fill: style.color,
          'font-size': style.size,
          'font-family': style.family,
          'font-weight': style.isBold ? 600 : null,
          'text-anchor': { left: 'start', center: 'middle', right: 'end' }[style.align ?? 'left'],
          'dominant-baseline': 'central',
          ...(style.halo
            ? { stroke: style.halo, 'stroke-width': 3.5, 'stroke-linejoin': 'round', 'paint-order': 'stroke' }
            : {}),
        },
        text,
      );
    },
    document: () =>
      `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" viewBox="0 0 ${round(width)} ${round(height)}">` +
      `<rect width="100%" height="100%" fill="${escapeText(background)}"/>${parts.join('')}</svg>`,
  };
}

/** Text for an XML or HTML document. */
export function escapeText(text: string): string {
  return (
    text
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
      .replace(/"/g, '&quot;')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are exactly what XML forbids.
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
  );
}

function dashes(width: number): number[] {
  return [Math.max(3, width * 2.2), Math.max(3, width * 1.8)];
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
