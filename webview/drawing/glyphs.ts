import type { NodeKind } from '../../src/graph/node.ts';

/** Every kind has its own outline, so that no meaning hangs on colour. */
export type Shape = 'circle' | 'diamond' | 'square' | 'hexagon' | 'triangle' | 'cross' | 'ring';

export const shapeOf: Readonly<Record<NodeKind, Shape>> = {
  feature: 'circle',
  error: 'diamond',
  token: 'square',
  logit: 'hexagon',
  attention: 'triangle',
  'attention error': 'diamond',
  bias: 'cross',
  unknown: 'ring',
};

export const kindNames: Readonly<Record<NodeKind, string>> = {
  feature: 'Feature',
  error: 'Error',
  token: 'Token',
  logit: 'Output',
  attention: 'Attention feature',
  'attention error': 'Attention error',
  bias: 'Bias',
  unknown: 'Unknown kind',
};

/** Corners of an outline of radius 1 around the origin, in order; circles and rings have none. Areas are near equal. */
export const corners: Readonly<Record<Exclude<Shape, 'circle' | 'ring'>, readonly (readonly [number, number])[]>> = {
  diamond: [
    [0, -1.2],
    [1.2, 0],
    [0, 1.2],
    [-1.2, 0],
  ],
  square: [
    [-0.9, -0.9],
    [0.9, -0.9],
    [0.9, 0.9],
    [-0.9, 0.9],
  ],
  hexagon: [
    [-0.55, -0.95],
    [0.55, -0.95],
    [1.1, 0],
    [0.55, 0.95],
    [-0.55, 0.95],
    [-1.1, 0],
  ],
  triangle: [
    [0, -1.15],
    [1.1, 0.8],
    [-1.1, 0.8],
  ],
  cross: [
    [-0.35, -1],
    [0.35, -1],
    [0.35, -0.35],
    [1, -0.35],
    [1, 0.35],
    [0.35, 0.35],
    [0.35, 1],
    [-0.35, 1],
    [-0.35, 0.35],
    [-1, 0.35],
    [-1, -0.35],
    [-0.35, -0.35],
  ],
};
