/** The sixteen values of a 4-bit float with 2 exponent bits and 1 fraction bit (OCP Microscaling Formats 1.0). */
const fp4Values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/**
 * MXFP4 to float32: blocks of 32 values share one scale 2^(scale − 127); of two values in a byte the low half is first.
 * @param blocks [row, block, 16]  bytes of two values each
 * @param scales [row, block]
 * @param target [row, block · 32]
 */
export function widenMicroscaled(blocks: Uint8Array, scales: Uint8Array, target: Float32Array): void {
  if (blocks.length !== scales.length * 16 || target.length !== scales.length * 32) {
    throw new Error(
      `${scales.length} blocks of MXFP4 given ${blocks.length} bytes and room for ${target.length} values`,
    );
  }
  const values = Float32Array.from(fp4Values);
  const scaled = new Float32Array(16);
  let at = 0;
  for (let block = 0; block < scales.length; block++) {
    const scale = 2 ** (scales[block]! - 127);
    for (let i = 0; i < 16; i++) scaled[i] = values[i]! * scale;
    for (let i = block * 16; i < block * 16 + 16; i++) {
      const byte = blocks[i]!;
      target[at++] = scaled[byte & 15]!;
      target[at++] = scaled[byte >> 4]!;
    }
  }
}
