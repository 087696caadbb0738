import type { Derived } from '../derive.ts';
import type { Palette } from '../drawing/palette.ts';
import { escapeText } from '../drawing/surface.ts';
import { percent, plainName, quoteToken, shortNumber } from '../words.ts';

const mostTableRows = 500;

/** One page without scripts or outside files: picture, summary, table of nodes. */
export function graphAsHtml(derived: Derived, picture: string, palette: Palette): string {
  const { index, story } = derived;
  const { metadata } = index.graph;
  const prompt = metadata.promptTokens.join('').trim();
  const row = (cells: readonly string[], tag = 'td') =>
    `<tr>${cells.map((text) => `<${tag}>${escapeText(text)}</${tag}>`).join('')}</tr>`;
  const nodes = strongest(derived).map((node) => {
    const { pos, activation } = index.graph.nodes[node];
    return row([
      derived.nameOf(node),
      plainName(index, node),
      quoteToken(metadata.promptTokens[pos] ?? ''),
      activation === null ? '' : shortNumber(activation),
      percent(index.influence[node]),
    ]);
  });
  const style = `body{font:14px/1.5 ${safeStyle(palette.fontFamily)};color:${safeStyle(palette.foreground)};background:${safeStyle(palette.background)};margin:32px auto;max-width:1200px;padding:0 24px}table{border-collapse:collapse;margin:16px 0}td,th{padding:3px 16px 3px 0;text-align:left;border-bottom:1px solid ${safeStyle(palette.line)}}svg{max-width:100%;height:auto}h1{font-size:20px}small{color:${safeStyle(palette.muted)}}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>${escapeText(prompt)}</title><style>${style}</style></head>
<body><h1>${escapeText(prompt)}</h1>
<p>${escapeText(
    story.predictions
      .slice(0, 5)
      .map(({ text, probability }) => `${quoteToken(text)} ${percent(probability)}`)
      .join(', '),
  )}</p>
${picture}
<table>${row(['Group', 'Features', 'Share of the answer'], 'th')}${story.groups.map(({ name, members, share }) => row([name, String(members.length), percent(share)])).join('')}</table>
<table>${row(['Node', 'Which', 'Token', 'Activation', 'Influence'], 'th')}${nodes.join('')}</table>
<p><small>${escapeText(`${scoreLine(derived)} Model ${metadata.modelName}, transcoders ${metadata.scan}.`)}</small></p>
</body></html>
`;
}

function strongest({ index, visible }: Derived): number[] {
  return Array.from(visible.nodes)
    .filter((node) => index.graph.nodes[node].kind === 'feature')
    .sort((a, b) => index.influence[b] - index.influence[a] || a - b)
    .slice(0, mostTableRows);
}

function scoreLine({ index, story }: Derived): string {
  const { scores } = index.graph.metadata;
  if (scores) {
    return `Replacement score ${scores.replacement.toFixed(3)}, completeness score ${scores.completeness.toFixed(3)} (whole graph, unpruned).`;
  }
  return story.errorShare === null
    ? ''
    : `${percent(story.errorShare)} of the influence in this file starts at errors.`;
}

/** A theme's value inside a style sheet: nothing that could end it. */
function safeStyle(value: string): string {
  return value.replace(/[<>{};]/g, '');
}
