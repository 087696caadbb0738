/** How positions turn into rotations of queries and keys, as config.json says it. */
export type Rope = {
  readonly theta: number;
  readonly scaling:
    | { readonly type: 'default' }
    | { readonly type: 'linear'; readonly factor: number }
    | {
        readonly type: 'llama3';
        readonly factor: number;
        readonly lowFrequencyFactor: number;
        readonly highFrequencyFactor: number;
        readonly originalPositions: number;
      }
    | {
        readonly type: 'yarn';
        readonly factor: number;
        readonly originalPositions: number;
        readonly betaFast: number;
        readonly betaSlow: number;
        readonly truncate: boolean;
        /** Multiplies cosines and sines. */
        readonly attentionFactor: number;
      };
};

export type RopeTable = { readonly cos: Float32Array; readonly sin: Float32Array };

/**
 * Cosines and sines [pos, dHead/2] of positions from … from + nPos − 1. Frequencies and angles are rounded to float32
 * where the models' own code rounds them, so that long prompts turn by the same angles.
 */
export function ropeTable(rope: Rope, dHead: number, from: number, nPos: number): RopeTable {
  const half = dHead / 2;
  const frequencies = inverseFrequencies(rope, dHead);
  const factor = rope.scaling.type === 'yarn' ? rope.scaling.attentionFactor : 1;
  const cos = new Float32Array(nPos * half);
  const sin = new Float32Array(nPos * half);
  for (let pos = 0; pos < nPos; pos++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround((from + pos) * frequencies[i]!);
      cos[pos * half + i] = Math.cos(angle) * factor;
      sin[pos * half + i] = Math.sin(angle) * factor;
    }
  }
  return { cos, sin };
}

/** θ^(−2i/dHead) for i < dHead/2, changed by the scaling. */
function inverseFrequencies(rope: Rope, dHead: number): Float32Array {
  const half = dHead / 2;
  const { scaling, theta } = rope;
  const plain = Float32Array.from({ length: half }, (_, i) => theta ** ((-2 * i) / dHead));
  switch (scaling.type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3':
      return plain.map((frequency) => {
        const wavelength = (2 * Math.PI) / frequency;
        const turns = scaling.originalPositions / wavelength;
        if (turns > scaling.highFrequencyFactor) return frequency;
        if (turns < scaling.lowFrequencyFactor) return frequency / scaling.factor;
        const smooth =
          (turns - scaling.lowFrequencyFactor) / (scaling.highFrequencyFactor - scaling.lowFrequencyFactor);
        return ((1 - smooth) * frequency) / scaling.factor + smooth * frequency;
      });
    case 'yarn': {
      const [low, high] = yarnRange(scaling, theta, dHead);
      return plain.map((frequency, i) => {
        const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
        return (frequency / scaling.factor) * ramp + frequency * (1 - ramp);
      });
    }
  }
}

/** Between which dimensions YaRN (Peng et al. 2023, section 3.2) passes from extrapolation to interpolation. */
function yarnRange(
  scaling: Extract<Rope['scaling'], { type: 'yarn' }>,
  theta: number,
  dHead: number,
): [number, number] {
  const dimensionOf = (turns: number): number =>
    (dHead * Math.log(scaling.originalPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  let low = dimensionOf(scaling.betaFast);
  let high = dimensionOf(scaling.betaSlow);
  if (scaling.truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  [low, high] = [Math.max(low, 0), Math.min(high, dHead - 1)];
  return low === high ? [low, high + 0.001] : [low, high];
}
