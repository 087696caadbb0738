import type { GraphIndex } from '../graphIndex.ts';
import type { Visible } from '../visible.ts';

/** The token × layer grid: one column a token, one row a layer; tokens at the bottom, outputs at the top. */
export type Grid = {
  /** [node] places in the grid's own units (pixels at scale 1); NaN for nodes that are not on screen. */
  readonly x: Float32Array;
  readonly y: Float32Array;
  /** [position + 1] left edges of the columns, and the right edge of the last. */
  readonly columns: Float32Array;
  readonly width: number;
  readonly height: number;
  readonly rowHeight: number;
  readonly nLayers: number;
};

const slot = 13;
const sidePadding = 14;
const minColumn = 34;
/** Room for a token's text below its column: about this much a letter, up to a limit. */
const letterWidth = 6.8;
const mostTextWidth = 82;
const minRow = 15;
const maxRow = 120;

/**
 * Places every visible node. Columns are as wide as their fullest cell needs and share what is left of the available
 * width; a grid that needs more than that is wider, and scrolls.
 * @param available width and height of the drawing area
 * @param least [position] columns are to be at least this wide; for grids that are drawn beside each other
 */
export function gridLayout(
  index: GraphIndex,
  visible: Visible,
  available: { width: number; height: number },
  least: Float32Array | null = null,
): Grid {
  const { nodes } = index.graph;
  const { nPositions, nLayers } = index;
  const rows = nLayers + 2;
  const cells = cellsOf(index, visible);
  const own = widthsOf(index, cells);
  const needed = least === null ? own : own.map((width, pos) => Math.max(width, least[pos] ?? 0));
  const natural = needed.reduce((sum, width) => sum + width, 0);
  const spare = Math.max(0, available.width - natural);
  const columns = new Float32Array(nPositions + 1);
  for (let pos = 0; pos < nPositions; pos++) {
    // Half of the spare width evenly, half by need: sparse prompts stay airy, full columns get room first.
    const extra = spare * (0.5 / nPositions + (0.5 * needed[pos]) / natural);
    columns[pos + 1] = columns[pos] + needed[pos] + extra;
  }
  const rowHeight = Math.min(maxRow, Math.max(minRow, available.height / rows));
  const x = new Float32Array(nodes.length).fill(Number.NaN);
  const y = new Float32Array(nodes.length).fill(Number.NaN);
  for (const [cell, members] of cells) {
    const pos = cell % nPositions;
    const row = Math.floor(cell / nPositions);
    const left = columns[pos] + sidePadding / 2;
    const width = columns[pos + 1] - columns[pos] - sidePadding;
    const step = Math.min(width / members.length, slot * 2.6);
    const first = left + (width - step * members.length) / 2 + step / 2;
    members.sort((a, b) => inCellOrder(index, a, b));
    members.forEach((node, order) => {
      x[node] = first + step * order;
      y[node] = (rows - 1 - row + 0.5) * rowHeight;
    });
  }
  return { x, y, columns, width: columns[nPositions], height: rows * rowHeight, rowHeight, nLayers };
}

/** [position] how wide each column has to be for what is shown in it. */
export function columnWidths(index: GraphIndex, visible: Visible): Float32Array {
  return widthsOf(index, cellsOf(index, visible));
}

/** Visible nodes by row and position. */
function cellsOf({ graph, nPositions, nLayers }: GraphIndex, visible: Visible): Map<number, number[]> {
  const cells = new Map<number, number[]>();
  for (const node of visible.nodes) {
    const { kind, layer, pos } = graph.nodes[node];
    const cell = rowOf(kind, layer, nLayers) * nPositions + pos;
    const members = cells.get(cell);
    if (members) members.push(node);
    else cells.set(cell, [node]);
  }
  return cells;
}

function widthsOf(
  { graph, nPositions, nLayers }: GraphIndex,
  cells: ReadonlyMap<number, readonly number[]>,
): Float32Array {
  const needed = Float32Array.from({ length: nPositions }, (_, pos) => {
    const letters = graph.metadata.promptTokens[pos]?.length ?? 0;
    return Math.max(minColumn, Math.min(mostTextWidth, letters * letterWidth + sidePadding));
  });
  for (const [cell, members] of cells) {
    const pos = cell % nPositions;
    const isOutputs = cell >= (nLayers + 1) * nPositions;
    // Outputs carry text beside their glyph; they may reach into the next column and are laid out closer.
    const width = members.length * (isOutputs ? slot * 1.4 : slot) + sidePadding;
    needed[pos] = Math.max(needed[pos], width);
  }
  return needed;
}

/** Row 0 holds tokens, rows 1…nLayers the layers, the top row the outputs. */
function rowOf(kind: string, layer: number, nLayers: number): number {
  if (kind === 'token') return 0;
  if (kind === 'logit') return nLayers + 1;
  return Math.min(Math.max(layer, 0), nLayers - 1) + 1;
}

/** Features by influence from the left, errors last; outputs as the model ranks them. */
function inCellOrder(index: GraphIndex, a: number, b: number): number {
  const { nodes } = index.graph;
  if (nodes[a].kind === 'logit') return (nodes[b].probability ?? 0) - (nodes[a].probability ?? 0) || a - b;
  const isErrorA = nodes[a].kind === 'error' ? 1 : 0;
  const isErrorB = nodes[b].kind === 'error' ? 1 : 0;
  return isErrorA - isErrorB || index.influence[b] - index.influence[a] || a - b;
}
