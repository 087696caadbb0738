import type { NodeId, Site } from './node.ts';

/** Ids as circuit-tracer spells them, but for errors, whose spelling there can be that of a layer-0 feature. */
export function featureId(site: Site): NodeId {
  return `${site.layer}_${site.feature}_${site.pos}` as NodeId;
}

export function errorId(layer: number, pos: number): NodeId {
  return `${layer}_error_mlp_${pos}` as NodeId;
}

export function tokenId(vocabularyId: number, pos: number): NodeId {
  return `E_${vocabularyId}_${pos}` as NodeId;
}

/** @param vocabularyId custom targets have vocabulary size + i */
export function logitId(nLayers: number, vocabularyId: number, pos: number): NodeId {
  return `${nLayers + 1}_${vocabularyId}_${pos}` as NodeId;
}
