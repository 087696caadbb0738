import type { GraphView } from '../../graph/circuitGraph.ts';
import { readInterventions } from '../../graph/interventionsFile.ts';
import type { Site } from '../../graph/node.ts';
import type { Claim } from '../../protocol/engine.ts';
import type { FromPanel } from '../../protocol/panel.ts';
import { isDraft } from '../../protocol/traceDialog.ts';

const formats: readonly string[] = ['png', 'svg', 'html', 'csv', 'markdown'];
const linkTypes: readonly string[] = ['input', 'output', 'either', 'both'];

/** What a page keeps for the next one is a few numbers. */
const mostRemembered = 4000;

/** Each claim is two runs of the model. */
const mostClaims = 2000;

/** No page draws more nodes than this, so no view names more. */
const mostIds = 200_000;

/** A message from a page as its type, or null: a page shows text from anywhere and is not trusted. */
export function readMessage(raw: unknown): FromPanel | null {
  if (!isObject(raw)) return null;
  if (raw.type === 'interventionsChanged' && isObject(raw.interventions)) {
    return { type: 'interventionsChanged', interventions: readInterventions(raw.interventions) };
  }
  const isNodeOrNone = raw.node === null || typeof raw.node === 'string';
  const isKnown = ((): boolean => {
    switch (raw.type) {
      case 'ready':
      case 'cancel':
      case 'failedAction':
      case 'runInterventions':
      case 'addIntervention':
      case 'takeFromTrace':
      case 'copyCommandLine':
      case 'findExamples':
      case 'useNeuronpedia':
        return true;
      case 'selectNode':
      case 'hoverNode':
        return isNodeOrNone;
      case 'needCard':
        return isIndex(raw.layer) && isIndex(raw.feature);
      case 'inspect':
        return raw.first === null || isIndex(raw.first);
      case 'traceDialog':
        return raw.action === 'open' || raw.action === 'pickDirections' || raw.action === 'close';
      case 'checkTrace':
      case 'startTrace':
        return isIndex(raw.number) && isDraft(raw.draft);
      case 'viewChanged':
        return isView(raw.view);
      case 'verify':
        return (
          Array.isArray(raw.claims) &&
          raw.claims.length <= mostClaims &&
          raw.claims.every(isClaim) &&
          (raw.kept === null || (Array.isArray(raw.kept) && raw.kept.length <= mostIds && raw.kept.every(isSite)))
        );
      case 'export':
        return typeof raw.format === 'string' && formats.includes(raw.format) && typeof raw.data === 'string';
      case 'remember':
        return JSON.stringify(raw.state ?? null).length <= mostRemembered;
      case 'log':
        return (raw.level === 'info' || raw.level === 'error') && typeof raw.message === 'string';
      default:
        return false;
    }
  })();
  return isKnown ? (raw as unknown as FromPanel) : null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= mostIds && value.every((entry) => typeof entry === 'string');
}

function isView(value: unknown): value is GraphView {
  if (!isObject(value)) return false;
  const { pinned, supernodes, labels, clicked, linkType, pruningThreshold, places } = value;
  return (
    isTextList(pinned) &&
    Array.isArray(supernodes) &&
    supernodes.length <= mostIds &&
    supernodes.every((entry) => isObject(entry) && typeof entry.label === 'string' && isTextList(entry.members)) &&
    isObject(labels) &&
    Object.values(labels).every((label) => typeof label === 'string') &&
    (clicked === null || typeof clicked === 'string') &&
    typeof linkType === 'string' &&
    linkTypes.includes(linkType) &&
    (pruningThreshold === null || Number.isFinite(pruningThreshold)) &&
    isObject(places) &&
    Object.values(places).every((place) => Array.isArray(place) && place.length === 2 && place.every(Number.isFinite))
  );
}

function isSite(value: unknown): value is Site {
  return isObject(value) && isIndex(value.layer) && isIndex(value.pos) && isIndex(value.feature);
}

function isClaim(value: unknown): value is Claim {
  if (!isObject(value) || !isObject(value.target)) return false;
  const { sources, target, weight } = value;
  const isTarget = (target.type === 'feature' && isSite(target)) || (target.type === 'logit' && isIndex(target.id));
  const areSources = Array.isArray(sources) && sources.length > 0 && sources.length <= mostIds && sources.every(isSite);
  return areSources && isTarget && Number.isFinite(weight);
}
