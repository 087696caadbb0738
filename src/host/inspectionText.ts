import type { Inspection } from '../protocol/engine.ts';
import { visibleToken } from './featureTree.ts';
import { percent } from './traceRecord.ts';

const columns = [
  'layer',
  'would say',
  'residual',
  'attention',
  'MLP',
  'error',
  'active',
  'strongest features',
] as const;
const textColumns: ReadonlySet<number> = new Set([1, 7]);

/**
 * What each layer does at one token, as a table for a text editor: lengths of the residual stream, of what attention and
 * the MLP add and of what the transcoder leaves unexplained; what the model would say if it stopped there; features.
 */
export function inspectionText({ token, pos, layers }: Inspection, prompt: string): string {
  const rows = layers.map((layer) => [
    String(layer.layer),
    layer.lens
      .slice(0, 3)
      .map(({ text, probability }) => `${visibleToken(text)} ${percent(probability)}`)
      .join(', '),
    layer.residNorm.toFixed(2),
    layer.attentionNorm.toFixed(2),
    layer.mlpNorm.toFixed(2),
    layer.errorNorm === null ? '–' : layer.errorNorm.toFixed(2),
    String(layer.activeFeatures),
    layer.features
      .slice(0, 5)
      .map(({ feature, activation, label }) => `${label || `#${feature}`} ${activation.toPrecision(3)}`)
      .join(', '),
  ]);
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (textColumns.has(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    `Token ${pos}: ${visibleToken(token.text)}`,
    `Prompt: ${prompt.replace(/\s+/g, ' ').trim()}`,
    '',
    line(columns),
    line(widths.map((width) => '─'.repeat(width))),
    ...rows.map(line),
    '',
    'would say: the most likely next tokens if the model stopped after the layer.',
    'residual: length of the residual stream as the layer reads it. attention, MLP: of what each adds.',
    'error: of what the transcoder leaves unexplained of the MLP.',
    '',
  ].join('\n');
}
