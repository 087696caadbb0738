import type { Inspection, LayerInspection } from '../../src/protocol/engine.ts';
import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import { columnOf, type LayerCell } from '../inspector.ts';
import { select } from '../updates.ts';
import { percent, plural, quoteToken, shortNumber, showToken } from '../words.ts';
import type { Intents } from './view.ts';

/** What one layer does at one token: lengths, what it would say, and its strongest features, which lead to their nodes. */
export function layerDetails(
  inspection: Inspection,
  chosen: LayerCell | null,
  derived: Derived,
  intents: Intents,
): HTMLElement[] {
  const column = chosen && columnOf(inspection, chosen.pos);
  const cell = column?.[chosen?.layer ?? -1];
  if (!column || !cell || !chosen) return [];
  const token = quoteToken(inspection.tokens[chosen.pos]?.text ?? '');
  return [
    lengths(cell, column, `Layer ${cell.layer} at ${token}`),
    says(cell),
    features(cell, chosen, derived, intents),
  ];
}

function lengths(cell: LayerInspection, column: readonly LayerInspection[], title: string): HTMLElement {
  // One scale for all bars, so that what is added compares with what is there.
  const most = Math.max(...column.map(({ residNorm }) => residNorm), cell.attentionNorm, cell.mlpNorm, 1e-9);
  const rows = [
    ['Residual', cell.residNorm, 'Length of the residual stream as the layer reads it'],
    ['Attention', cell.attentionNorm, 'Length of what attention adds'],
    ['MLP', cell.mlpNorm, 'Length of what the MLP adds'],
    ['Error', cell.errorNorm, 'Length of what the transcoder leaves unexplained of the MLP'],
  ] as const;
  return make(
    'section',
    { class: 'layer-lengths' },
    make('h3', { text: title }),
    make(
      'dl',
      {},
      ...rows.map(([name, value, what]) =>
        make(
          'div',
          { title: what },
          make('dt', { text: name }),
          make('dd', {}, bar((value ?? 0) / most), make('span', { text: value === null ? '–' : shortNumber(value) })),
        ),
      ),
    ),
  );
}

function says({ lens }: LayerInspection): HTMLElement {
  return make(
    'section',
    { class: 'layer-says' },
    make('h3', { text: 'Would say', title: 'The most likely next tokens if the model stopped after this layer' }),
    make(
      'ol',
      {},
      ...lens.map(({ text, probability }) =>
        make(
          'li',
          {},
          make('span', { class: 'prediction-text', text: showToken(text), title: showToken(text) }),
          bar(probability),
          make('span', { text: percent(probability) }),
        ),
      ),
    ),
  );
}

function features(cell: LayerInspection, { pos, layer }: LayerCell, derived: Derived, intents: Intents): HTMLElement {
  const { nodes } = derived.index.graph;
  const most = Math.max(...cell.features.map(({ activation }) => activation), 1e-9);
  const rows = cell.features.map(({ feature, activation, label }) => {
    const node = nodes.findIndex(
      (other) => other.kind === 'feature' && other.layer === layer && other.pos === pos && other.feature === feature,
    );
    const name = node >= 0 ? derived.nameOf(node) : label || `Feature ${feature}`;
    const title = node >= 0 ? `${name}: go to its node` : `${name}: not in this graph, it hardly bears on the answer`;
    return make(
      'li',
      {},
      make(
        'button',
        {
          class: 'connection none',
          title,
          attributes: { type: 'button', disabled: node < 0 },
          style: { '--part': `${(100 * Math.max(0, activation)) / most}%` },
          on: { click: () => intents.apply(select(node)) },
        },
        make('span', { class: 'connection-name', text: name }),
        make('span', { class: 'connection-token muted', text: `#${feature}` }),
        make('span', { class: 'connection-share', text: shortNumber(activation) }),
      ),
    );
  });
  return make(
    'section',
    { class: 'layer-features' },
    make('h3', { text: `Strongest of ${plural(cell.activeFeatures, 'active feature')}` }),
    rows.length === 0
      ? make('p', { class: 'muted', text: 'No features: a special token, or a model without transcoders.' })
      : make('ol', { class: 'connection-list' }, ...rows),
  );
}

function bar(part: number): HTMLElement {
  return make('span', { class: 'bar', style: { '--part': `${100 * Math.max(0, Math.min(1, part))}%` } });
}
