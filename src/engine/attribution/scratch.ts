/** Arrays that are handed out again and again, by what they are for: fresh memory costs more than the work on it. */
export class Scratch {
  readonly #arrays = new Map<string, Float32Array>();

  /** `length` numbers that hold what they last held; good until the same use asks again. */
  floats(use: string, length: number): Float32Array {
    let array = this.#arrays.get(use);
    if (!array || array.length < length) {
      array = new Float32Array(length);
      this.#arrays.set(use, array);
    }
    return array.subarray(0, length);
  }
}
