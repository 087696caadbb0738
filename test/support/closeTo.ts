import assert from 'node:assert/strict';

/** Equal within a tolerance, relative for numbers above 1. */
export function closeTo(got: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(got - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: expected ${expected}, got ${got}`,
  );
}
