import type { PanelTrace } from '../../protocol/panel.ts';
import type { OpenTrace } from '../traces.ts';

/** A trace as pages get it. */
export function panelTrace({ record, graph }: OpenTrace): PanelTrace {
  return {
    id: record.id,
    graph,
    predictions: record.predictions,
    warnings: record.warnings,
    unexpandedInfluence: record.unexpandedInfluence,
    droppedEdgeWeight: record.droppedEdgeWeight,
    device: record.device,
    milliseconds: record.milliseconds ?? 0,
    hasModel: record.pair !== null,
  };
}
