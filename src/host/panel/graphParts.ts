import { attentionFields } from '../../graph/attentionResults.ts';
import { graphToBytes } from '../../graph/graphBytes.ts';
import type { PanelTrace, ToPanel } from '../../protocol/panel.ts';

/** Bytes of a graph in one message: small enough that no process on its way stops to read it. */
const partSize = 1 << 20;

/**
 * Sends a large graph to a page piece by piece, each after the one before has arrived, so that whatever else is said on
 * the way is heard in between.
 * @param post      resolves when the message has arrived
 * @param isWanted  asked before each piece: false ends it
 */
export async function postInParts(
  { graph, ...trace }: PanelTrace,
  post: (message: ToPanel) => PromiseLike<unknown>,
  isWanted: () => boolean,
): Promise<void> {
  const bytes = graphToBytes(graph);
  await post({ type: 'graphComing', trace, foreign: attentionFields(graph.foreign), size: bytes.length });
  for (let offset = 0; offset < bytes.length && isWanted(); offset += partSize) {
    // A copy: of a view, the way to the page would take all that it looks into.
    await post({ type: 'graphPart', id: trace.id, offset, bytes: bytes.slice(offset, offset + partSize) });
  }
}
