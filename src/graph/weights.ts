/** Which version of some weights: enough to tell whether two graphs, or a graph and a folder, speak of the same ones. */
export type WeightStamp = {
  /** The commit of the hub's repository that the files are of; null for files that are in no hub cache. */
  readonly revision: string | null;
  /** 16 hexadecimal digits made from the files' names, sizes and samples of their content. */
  readonly fingerprint: string;
};

/** The weights that a graph was made with. */
export type GraphWeights = { readonly model: WeightStamp; readonly transcoders: WeightStamp | null };

/** A stamp as files and people read it: the commit, else the fingerprint. */
export function revisionText({ revision, fingerprint }: WeightStamp): string {
  return revision ?? `sha256:${fingerprint}`;
}

/** A stamp in a few letters, for a line of a panel. */
export function shortRevision({ revision, fingerprint }: WeightStamp): string {
  return (revision ?? fingerprint).slice(0, 7);
}

/** Both in a line: "model 3f2a91b, transcoders 0c44e1d". */
export function weightsText({ model, transcoders }: GraphWeights): string {
  const set = transcoders === null ? '' : `, transcoders ${shortRevision(transcoders)}`;
  return `model ${shortRevision(model)}${set}`;
}

/** How the weights of now differ from those of then, as the middle of a sentence; null when they are the same. */
export function weightsDifference(then: GraphWeights, now: GraphWeights): string | null {
  const parts = [
    differs(then.model, now.model) ? `the model is ${shortRevision(now.model)}, not ${shortRevision(then.model)}` : '',
    differs(then.transcoders, now.transcoders)
      ? `the transcoder set is ${nameOf(now.transcoders)}, not ${nameOf(then.transcoders)}`
      : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? null : parts.join(' and ');
}

function nameOf(stamp: WeightStamp | null): string {
  return stamp === null ? 'none' : shortRevision(stamp);
}

/** The content decides: the same files may lie in a hub cache here and in a plain folder there. */
function differs(a: WeightStamp | null, b: WeightStamp | null): boolean {
  return a?.fingerprint !== b?.fingerprint;
}
