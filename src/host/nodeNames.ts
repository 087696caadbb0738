import type { GraphNode } from '../graph/node.ts';

/** A feature by number, such as `L2 #117`; the kind's own words for other nodes. */
export function featureName(node: GraphNode): string {
  switch (node.kind) {
    case 'feature':
    case 'attention':
      return node.feature === null ? `Layer ${node.layer}` : `L${node.layer} #${node.feature}`;
    case 'error':
      return `Error of layer ${node.layer}`;
    case 'token':
      return 'Token';
    case 'logit':
      return 'Output';
    default:
      return node.kind;
  }
}
