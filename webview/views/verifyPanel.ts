import type { VerifyResult } from '../../src/protocol/engine.ts';
import { strongestClaims } from '../claims.ts';
import { button } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { percent, plural, quoteToken } from '../words.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

/** Tests what the graph claims against the model, all of the important claims at once, and says how faithful it is. */
export function createVerifyPanel(intents: Intents): View {
  const run = button('Test the strongest claims', () => intents.verify('strongest'), { icon: 'check' });
  const status = make('p', { class: 'muted' });
  const summary = make('div', { class: 'verify-summary', attributes: { 'aria-live': 'polite' } });
  const element = make(
    'section',
    { class: 'verify' },
    make('h3', { text: 'Is the picture true?' }),
    status,
    run,
    summary,
  );
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      element.hidden = !derived || !(state.trace?.hasModel ?? false);
      if (!derived || element.hidden) return;
      const { verification } = state;
      if (!isNew(verification, derived.visible, derived.story)) return;
      run.disabled = verification.isRunning;
      const count = strongestClaims(derived.index, derived.visible, derived.story.groups).length;
      status.textContent = `A graph is a set of claims. ${plural(count, 'claim')} of its groups and strongest edges can be tested by turning their sources off.`;
      fill(summary, ...(verification.summary ? summaryRows(verification.summary) : []));
    },
  };
}

function summaryRows(result: VerifyResult): (HTMLElement | null)[] {
  const { claims, rule, correlationFrozen, correlationFree, signAgreement, survival } = result;
  const verified = claims.filter(({ verdict }) => verdict === 'verified').length;
  const number = (value: number | null) => (value === null ? '–' : value.toFixed(3));
  const rows: (readonly [string, string, string])[] = [
    ['Verified', `${verified} of ${claims.length}`, rule],
    [
      'Right direction',
      signAgreement === null ? '–' : percent(signAgreement),
      'Claims whose target moves the way the graph says',
    ],
    [
      'All else frozen',
      number(correlationFrozen),
      'Correlation of predicted and measured change, as the method assumes',
    ],
    ['Nothing frozen', number(correlationFree), 'Correlation of predicted and measured change in the model as it is'],
  ];
  const left = survival
    ? `With only the pinned features on, ${quoteToken(survival.token.text)} keeps ${percent(survival.withKept)} of its ${percent(survival.token.probability)}; with none on, ${percent(survival.withNone)}.`
    : null;
  return [
    make(
      'dl',
      { class: 'figures-grid' },
      ...rows.flatMap(([name, value, title]) => [make('dt', { text: name, title }), make('dd', { text: value })]),
    ),
    left === null ? null : make('p', { text: left }),
    make('p', { class: 'muted small', text: `${rule.charAt(0).toUpperCase()}${rule.slice(1)}.` }),
  ];
}
