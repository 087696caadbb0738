/** Values are told apart by the first bits of their float32 form: sizes within about 3 % of each other are one class. */
const droppedBits = 18;
const nClasses = 1 << (31 - droppedBits);
const withoutSign = 0x7fffffff;

/** What is left of a row's effects when the smallest go. */
export type Cut = {
  /** Smaller ones go; 0 when none has to. */
  readonly least: number;
  /** How many are left. Effects that are 0 go always. */
  readonly count: number;
};

/** Finds how many of the smallest of many values may go, without sorting them. */
export class SizeClasses {
  readonly #sums = new Float64Array(nClasses);
  readonly #counts = new Uint32Array(nClasses);

  /**
   * The smallest classes of size go that hold at most `mostDropped` together, by |value|. One reading of the values.
   * What goes is never more than that, and where a class straddles the line it stays.
   */
  cutAtSum(values: Float32Array, mostDropped: number): Cut {
    const sums = this.#sums.fill(0);
    const counts = this.#counts.fill(0);
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let place = 0; place < values.length; place++) {
      const size = (bits[place] & withoutSign) >>> droppedBits;
      sums[size] += Math.abs(values[place]);
      counts[size]++;
    }
    let first = 0;
    let dropped = 0;
    let count = values.length;
    while (first < nClasses && dropped + sums[first] <= mostDropped) {
      dropped += sums[first];
      count -= counts[first++];
    }
    return { least: first === nClasses ? Number.POSITIVE_INFINITY : smallestOf(first), count };
  }

  /** The smallest size of which at most `most` values are larger. Only the class where the cut falls is sorted. */
  cutAtCount(values: Float32Array, most: number): number {
    const counts = this.#counts.fill(0);
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let place = 0; place < values.length; place++) counts[(bits[place] & withoutSign) >>> droppedBits]++;
    let above = 0;
    let last = nClasses - 1;
    while (last >= 0 && above + counts[last] <= most) above += counts[last--];
    if (last < 0) return 0;
    const candidates = new Float32Array(counts[last]);
    let next = 0;
    for (let place = 0; place < values.length; place++) {
      if ((bits[place] & withoutSign) >>> droppedBits === last) candidates[next++] = Math.abs(values[place]);
    }
    candidates.sort();
    return candidates[candidates.length - 1 - (most - above)];
  }
}

function smallestOf(sizeClass: number): number {
  return new Float32Array(new Uint32Array([sizeClass << droppedBits]).buffer)[0];
}
