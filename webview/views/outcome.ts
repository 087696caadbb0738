import type { InterveneResult, Prediction } from '../../src/protocol/engine.ts';
import type { InterventionRun } from '../../src/protocol/panel.ts';
import { make } from '../dom.ts';
import { kindNames } from '../drawing/glyphs.ts';
import { tokenChanges } from '../steeringState.ts';
import { hover, select } from '../updates.ts';
import { percent, quoteToken, shortNumber, showToken } from '../words.ts';
import type { SteeringDerived } from './steering.ts';
import type { Changes } from './view.ts';

const mostTokens = 8;
const mostChanges = 12;

/** What came of the last run: the answer before and after, both texts, and the features that changed most. */
export function outcomeOf(
  { result, streamed, isRunning }: InterventionRun,
  derived: SteeringDerived,
  intents: Changes,
): HTMLElement[] {
  const isStreaming = isRunning && streamed.before.length + streamed.after.length > 0;
  if (!result) return isStreaming ? generated(streamed.before, streamed.after) : [];
  const texts = isStreaming
    ? generated(streamed.before.length > 0 ? streamed.before : result.generatedBefore, streamed.after)
    : generated(result.generatedBefore, result.generatedAfter);
  return [
    headline(result),
    tokenTable(result),
    ...texts,
    ...changedFeatures(derived, result.changed, intents),
    make('p', { class: 'muted', text: `${Math.round(result.milliseconds)} ms` }),
  ];
}

function headline({ before, after }: InterveneResult): HTMLElement {
  const [was, is] = [before[0], after[0]];
  return make(
    'p',
    { class: 'outcome-headline' },
    make('span', { class: 'muted', text: was ? `${quoteToken(was.text)} ${percent(was.probability)}` : '' }),
    make('span', { class: 'muted', text: '→', attributes: { role: 'img', 'aria-label': 'becomes' } }),
    make('strong', { text: is ? quoteToken(is.text) : '' }),
    make('span', { text: is ? percent(is.probability) : '' }),
  );
}

function tokenTable(result: InterveneResult): HTMLElement {
  const changes = tokenChanges(result).slice(0, mostTokens);
  const most = Math.max(...changes.map((change) => Math.max(change.before, change.after)), 1e-9);
  const heads = ['Token', 'Before', 'After', 'Change', ''];
  return make(
    'table',
    { class: 'changes' },
    make('caption', { class: 'visually-hidden', text: 'Probability of the next token before and after' }),
    make('thead', {}, make('tr', {}, ...heads.map((text) => make('th', { text, attributes: { scope: 'col' } })))),
    make(
      'tbody',
      {},
      ...changes.map(({ text, before, after }) =>
        make(
          'tr',
          {},
          make('th', { class: 'prediction-text', text: showToken(text), attributes: { scope: 'row' } }),
          make('td', { text: percent(before) }),
          make('td', { text: percent(after) }),
          make('td', { text: points(after - before) }),
          make(
            'td',
            { class: 'change-bars' },
            make('span', { class: 'bar before', style: { '--part': `${(100 * before) / most}%` } }),
            make('span', { class: 'bar after', style: { '--part': `${(100 * after) / most}%` } }),
          ),
        ),
      ),
    ),
  );
}

/** A change of a probability in percentage points. */
function points(change: number): string {
  const size = Math.abs(100 * change);
  if (size < 0.05) return '0';
  return `${change > 0 ? '+' : '−'}${size.toFixed(size < 10 ? 1 : 0)}`;
}

function generated(before: readonly Prediction[], after: readonly Prediction[]): HTMLElement[] {
  if (before.length === 0 && after.length === 0) return [];
  const text = (title: string, tokens: readonly Prediction[]) =>
    make(
      'div',
      {},
      make('h3', { text: title }),
      make(
        'p',
        { class: 'generated' },
        ...tokens.map((token) =>
          make('span', { text: token.text, title: `${showToken(token.text)} ${percent(token.probability)}` }),
        ),
      ),
    );
  return [make('div', { class: 'side-by-side' }, text('Without the edits', before), text('With them', after))];
}

function changedFeatures(
  { index, nameOf }: SteeringDerived,
  changed: InterveneResult['changed'],
  intents: Changes,
): HTMLElement[] {
  if (changed.length === 0) return [];
  const { nodes, metadata } = index.graph;
  const nodeAt = new Map(
    nodes.flatMap(({ kind, layer, pos, feature }, node) =>
      kind === 'feature' ? [[`${layer} ${pos} ${feature}`, node] as const] : [],
    ),
  );
  return [
    make('h3', { text: 'Changed most' }),
    make(
      'ul',
      { class: 'changed-features' },
      ...changed.slice(0, mostChanges).map(({ layer, pos, feature, before, after }) => {
        const node = nodeAt.get(`${layer} ${pos} ${feature}`);
        const name = node === undefined ? `${kindNames.feature} ${feature} · layer ${layer}` : nameOf(node);
        const content = [
          make('span', { class: 'connection-name', text: name, title: name }),
          make('span', { class: 'muted', text: quoteToken(metadata.promptTokens[pos] ?? '') }),
          make('span', {
            class: 'connection-share',
            text: `${shortNumber(before)} → ${shortNumber(after)}`,
          }),
        ];
        if (node === undefined) return make('li', { class: 'changed-feature' }, ...content);
        return make(
          'li',
          {},
          make(
            'button',
            {
              class: 'changed-feature',
              attributes: { type: 'button' },
              on: {
                click: () => intents.apply(select(node)),
                pointerenter: () => intents.apply(hover(node)),
                pointerleave: () => intents.apply(hover(null)),
              },
            },
            ...content,
          ),
        );
      }),
    ),
  ];
}
