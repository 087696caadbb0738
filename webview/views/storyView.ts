import { revisionText, weightsText } from '../../src/graph/weights.ts';
import { groupClaim } from '../claims.ts';
import { iconButton } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { togglePosition } from '../filters.ts';
import type { ViewState } from '../store.ts';
import type { StoryGroup } from '../story.ts';
import { clearPins, dismiss, group, hover, mark, select, setFilters, setPanels } from '../updates.ts';
import { logitText, percent, plural, quoteToken, shortNumber, showToken } from '../words.ts';
import { icon } from './icons.ts';
import { verdictBadge } from './verdict.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

/** With less influence than this on features that were not attributed the picture stays as it is: adaptive traces aim at it. */
const sureBelow = 0.02;

/** The first answer: the prompt, what the model says, which groups got it there, how much of it the picture explains. */
export function createStoryView(intents: Intents): View {
  const prompt = make('div', { class: 'prompt', attributes: { role: 'group', 'aria-label': 'Prompt tokens' } });
  const says = make('section', { class: 'says', attributes: { 'aria-label': 'What the model says' } });
  const because = make('section', { class: 'because', attributes: { 'aria-label': 'Groups of features behind it' } });
  const explains = make('section', {
    class: 'explains',
    attributes: { 'aria-label': 'How much the picture explains' },
  });
  const columns = make('div', { class: 'story-columns' }, says, because, explains);
  const brief = make('strong', { class: 'brief' });
  const fold = iconButton('up', 'Show less of the summary', () =>
    intents.apply((state) => setPanels({ isStoryOpen: !state.panels.isStoryOpen })(state)),
  );
  const top = make('div', { class: 'story-top' }, prompt, brief, fold);
  const element = make('header', { class: 'story' }, top, columns);
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      const { preview, trace, filters, view, marked } = state;
      const { isStoryOpen } = state.panels;
      const isPinned = view.pinned.length > 0;
      const causes = [preview, trace, derived?.story, derived?.isCutDown, filters.positions, isPinned, marked];
      if (!isNew(...causes, state.verification, isStoryOpen)) return;
      columns.hidden = !isStoryOpen;
      brief.hidden = isStoryOpen;
      fold.classList.toggle('turned', !isStoryOpen);
      fold.setAttribute('aria-expanded', String(isStoryOpen));
      const [best] = derived?.story.predictions ?? preview?.predictions ?? [];
      brief.textContent = best ? `→ ${quoteToken(best.text)} ${percent(best.probability)}` : '';
      element.hidden = preview === null && trace === null;
      fill(prompt, ...promptTokens(state, derived, intents));
      fill(says, ...predictions(state, derived));
      fill(because, ...(derived ? groups(state, derived, intents) : []));
      const open = Array.from(explains.querySelectorAll('details[open]'), ({ className }) => className);
      fill(explains, ...(derived ? explained(state, derived) : []));
      for (const details of explains.querySelectorAll('details')) details.open = open.includes(details.className);
    },
  };
}

function promptTokens(state: ViewState, derived: Derived | null, intents: Intents): HTMLElement[] {
  const tokens = state.preview?.tokens ?? [];
  const shares = derived?.story.tokenShares;
  const most = shares ? Math.max(...shares, 1e-9) : 1;
  const { positions } = state.filters;
  return tokens.map((token, position) => {
    const share = shares?.[position] ?? 0;
    const isChosen = positions?.includes(position) ?? false;
    return make('button', {
      class: `prompt-token${isChosen ? ' chosen' : ''}${positions && !isChosen ? ' left-out' : ''}`,
      text: showToken(token),
      title: shares
        ? `Token ${position}: ${percent(share)} of the answer starts here. Click to show only this column.`
        : `Token ${position}`,
      attributes: { type: 'button', 'aria-pressed': String(isChosen) },
      style: { '--share': String(Math.sqrt(share / most)) },
      on: { click: () => intents.apply(setFilters((filters) => togglePosition(filters, position))) },
    });
  });
}

function predictions(state: ViewState, derived: Derived | null): (HTMLElement | null)[] {
  const all = derived?.story.predictions ?? state.preview?.predictions ?? [];
  const [best, ...others] = all;
  if (!best) return [];
  // Below a thousandth a token says nothing about the prompt.
  const rows = others
    .filter(({ probability }) => probability >= 0.001)
    .slice(0, 4)
    .map(({ text, probability }) =>
      make(
        'li',
        {},
        make('span', { class: 'prediction-text', text: showToken(text), title: showToken(text) }),
        make('span', { class: 'bar', style: { '--part': percentage(probability) } }),
        make('span', { class: 'prediction-share', text: percent(probability) }),
      ),
    );
  return [
    make('h2', { text: 'The model would say' }),
    make(
      'p',
      { class: 'answer' },
      make('strong', { text: quoteToken(best.text), title: showToken(best.text) }),
      make('span', { class: 'answer-share', text: percent(best.probability) }),
    ),
    make('span', { class: 'bar answer-bar', style: { '--part': percentage(best.probability) } }),
    rows.length > 0
      ? make('ol', { class: 'predictions', attributes: { start: 2 } }, ...rows)
      : make('p', { class: 'muted small', text: others.length > 0 ? 'Every other token: under 0.1 %' : '' }),
    derived === null ? null : explainedTargets(derived, best.text),
  ];
}

/** What the graph is about, where that is not what the model would say: other tokens, a difference, a direction. */
function explainedTargets({ index }: Derived, answer: string): HTMLElement | null {
  const targets = index.graph.nodes.filter(({ kind }) => kind === 'logit').map(logitText);
  if (targets.length === 0 || targets.includes(answer)) return null;
  const names = targets.slice(0, 3).map((text) => quoteToken(text.replace(/\s+/g, ' ')));
  const more = targets.length > 3 ? ` and ${targets.length - 3} more` : '';
  return make('p', { class: 'small explained-target', text: `Explained here: ${names.join(', ')}${more}` });
}

function groups(state: ViewState, derived: Derived, intents: Intents): (HTMLElement | null)[] {
  const { groups: shown } = derived.story;
  if (shown.length === 0)
    return [make('h2', { text: 'Because of' }), make('p', { class: 'muted', text: 'No features in this graph.' })];
  const most = Math.max(...shown.map(({ share }) => share), 1e-9);
  return [
    make('h2', { text: 'Because of', title: 'Share of the answer that passes through each group' }),
    make('ul', { class: 'groups' }, ...shown.map((entry) => groupRow(state, derived, entry, most, intents))),
    state.view.pinned.length > 0
      ? make('button', {
          class: 'link clear-pins',
          text: 'Clear pins and groups',
          attributes: { type: 'button' },
          on: { click: () => intents.apply(clearPins()) },
        })
      : null,
  ];
}

function groupRow(state: ViewState, derived: Derived, entry: StoryGroup, most: number, intents: Intents): HTMLElement {
  const { id, name, members, share, type, color, reason } = entry;
  const isMarked = members.length === state.marked.length && members.every((node) => state.marked.includes(node));
  const count = plural(members.length, 'feature');
  return make(
    'li',
    { class: `group ${type}`, attributes: { 'data-color': (color % 6) + 1 } },
    make(
      'button',
      {
        class: 'group-name',
        title: `${name}: ${count}, ${percent(share)} of the answer passes through. ${reason}`,
        attributes: { type: 'button', 'aria-pressed': String(isMarked) },
        style: { '--part': percentage(share / most) },
        on: {
          click: () => intents.apply(members.length === 1 ? select(members[0]) : mark(isMarked ? [] : members)),
          pointerenter: () => intents.apply(hover(members[0])),
          pointerleave: () => intents.apply(hover(null)),
        },
      },
      make('span', { class: 'swatch' }),
      make('span', { class: 'group-label', text: name }),
      members.length > 1 ? make('span', { class: 'count', text: `×${members.length}` }) : null,
      make('span', { class: 'group-share' }, verdictBadge(state, groupClaim(derived.index, members)), percent(share)),
    ),
    type === 'proposed'
      ? make(
          'span',
          { class: 'group-actions' },
          iconButton('plus', `Keep the group “${name}”. ${reason}`, () => intents.apply(group(members, name))),
          iconButton('close', `Dismiss the proposed group “${name}”`, () => intents.apply(dismiss(id))),
        )
      : null,
  );
}

function explained({ trace }: ViewState, derived: Derived): (HTMLElement | null)[] {
  const { errorShare } = derived.story;
  const share = errorShare === null ? null : 1 - errorShare;
  const { nodes } = derived.index.graph;
  const cut = `This graph has ${plural(nodes.length, 'node')}. The most influential are shown; move the slider to the right for more.`;
  const warnings = [...(derived.isCutDown ? [cut] : []), ...(trace?.warnings ?? [])];
  const left = leftRows(trace);
  // What may change the picture is seen at once.
  const isSure = (trace?.unexpandedInfluence ?? 0) < sureBelow;
  const made = [...(isSure ? left : []), ...timeRows(trace), ...weightRows(derived)];
  return [
    make('h2', { text: 'This picture explains' }),
    share === null
      ? make('p', { class: 'muted', text: 'Not known: the graph has no errors and no scores.' })
      : make(
          'p',
          { class: 'answer' },
          make('strong', { text: percent(share) }),
          make('span', { class: 'answer-share', text: `${percent(1 - share)} in errors` }),
        ),
    share === null ? null : make('span', { class: 'bar answer-bar', style: { '--part': percentage(share) } }),
    rowList('scores', [...scoreRows(derived), ...(isSure ? [] : left)]),
    made.length > 0
      ? make('details', { class: 'made' }, make('summary', { text: 'How it was made' }), rowList('scores', made))
      : null,
    warnings.length > 0
      ? make(
          'details',
          { class: 'warnings' },
          make('summary', {}, icon('warning'), plural(warnings.length, 'note')),
          make('ul', {}, ...warnings.map((text) => make('li', { text }))),
        )
      : null,
  ];
}

function rowList(className: string, rows: readonly Row[]): HTMLElement {
  return make(
    'dl',
    { class: className },
    ...rows.map(([name, value, title]) =>
      make('div', { title }, make('dt', { text: name }), make('dd', { text: value })),
    ),
  );
}

type Row = readonly [name: string, value: string, title: string];

function scoreRows({ index }: Derived): Row[] {
  const { scores } = index.graph.metadata;
  if (!scores) return [['Scores', 'not in the file', 'The share above is taken from the nodes in this file']];
  const replacement =
    'Share of the influence on the outputs that starts at tokens and not at errors; whole graph, unpruned';
  const completeness = 'Influence-weighted share of each node’s input that is not error; whole graph, unpruned';
  return [
    ['Replacement', scores.replacement.toFixed(2), replacement],
    ['Completeness', scores.completeness.toFixed(2), completeness],
  ];
}

/** Which model and set: the same letters are the same weights. */
function weightRows({ index }: Derived): Row[] {
  const { weights } = index.graph.metadata;
  if (!weights) return [];
  const title = `Which weights the graph was made with: ${revisionText(weights.model)}${
    weights.transcoders ? `, ${revisionText(weights.transcoders)}` : ''
  }`;
  return [['Weights', weightsText(weights), title]];
}

/** How sure the picture is: what was left out of it. */
function leftRows(trace: ViewState['trace']): Row[] {
  const rows: Row[] = [];
  if (trace && trace.unexpandedInfluence > 0) {
    const title =
      'Influence that reaches active features which were not attributed; adaptive traces estimate where it comes from';
    rows.push(['Not expanded', percent(trace.unexpandedInfluence), title]);
  }
  if (trace && trace.droppedEdgeWeight > 0) {
    rows.push([
      'Edges left out',
      percent(trace.droppedEdgeWeight),
      'Weight of the edges that are not stored, as a share of all',
    ]);
  }
  return rows;
}

function timeRows(trace: ViewState['trace']): Row[] {
  if (!trace || trace.milliseconds <= 0) return [];
  const { milliseconds, device } = trace;
  const time = milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${shortNumber(milliseconds / 1000)} s`;
  return [['Traced in', device === '' ? time : `${time} on ${device}`, 'From the prompt to the pruned graph']];
}

function percentage(part: number): string {
  return `${Math.max(0, Math.min(1, part)) * 100}%`;
}
