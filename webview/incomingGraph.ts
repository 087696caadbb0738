import { graphFromBytesSteps } from '../src/graph/graphBytes.ts';
import { inSlices } from '../src/graph/steps.ts';
import type { ToPanel } from '../src/protocol/panel.ts';
import type { Activity } from './activity.ts';
import { indexSteps } from './graphIndex.ts';
import { receive, showIndexed } from './messageUpdates.ts';
import type { Store } from './store.ts';

type Coming = Extract<ToPanel, { readonly type: 'graphComing' }>;

/** Said of the page and not of its graph: heard at once, whatever is on its way. */
const aboutPage: ReadonlySet<ToPanel['type']> = new Set(['progress', 'preview', 'remembered', 'failed']);

/**
 * Takes messages from the extension. Ordinary ones change the state at once. A large graph comes in parts; it is put
 * together and indexed in slices, and what is said of it meanwhile waits until it is there.
 */
export function createReceiver(store: Store, activity: Activity): (message: ToPanel) => void {
  let current: { readonly coming: Coming; readonly bytes: Uint8Array<ArrayBuffer>; readonly end: () => void } | null =
    null;
  let received = 0;
  let waiting: ToPanel[] = [];

  const forget = () => {
    current?.end();
    current = null;
    waiting = [];
  };
  const begin = (coming: Coming) => {
    forget();
    current = { coming, bytes: new Uint8Array(coming.size), end: activity.begin() };
    received = 0;
    tellProgress('receive', 0, coming.size);
  };
  const tellProgress = (phase: 'receive' | 'index', done: number, total: number) =>
    store.apply(receive({ type: 'progress', title: 'Opening the graph', phase, done, total }));
  const take = (message: Extract<ToPanel, { readonly type: 'graphPart' }>) => {
    if (current === null || current.coming.trace.id !== message.id) return;
    current.bytes.set(message.bytes, message.offset);
    received += message.bytes.length;
    if (received < current.bytes.length) tellProgress('receive', received, current.bytes.length);
    else void prepare(current);
  };
  const prepare = async (whole: NonNullable<typeof current>) => {
    const isWanted = () => current === whole;
    tellProgress('index', 0, 1);
    const { trace, foreign } = whole.coming;
    const graph = await inSlices(graphFromBytesSteps(whole.bytes), isWanted);
    const index = graph && (await inSlices(indexSteps({ ...graph, foreign }), isWanted));
    if (index === null || !isWanted()) return;
    const said = waiting;
    forget();
    store.apply(showIndexed({ ...trace, graph: index.graph }, index));
    for (const message of said) store.apply(receive(message));
  };

  return (message) => {
    if (message.type === 'graphComing') return begin(message);
    if (message.type === 'graphPart') return take(message);
    if (message.type === 'showGraph' || message.type === 'nothing') forget();
    if (current !== null && !aboutPage.has(message.type)) waiting.push(message);
    else store.apply(receive(message));
  };
}
