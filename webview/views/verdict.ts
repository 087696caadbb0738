import type { Claim, VerifiedClaim } from '../../src/protocol/engine.ts';
import { claimKey } from '../claims.ts';
import { make } from '../dom.ts';
import type { ViewState } from '../store.ts';
import { shortNumber } from '../words.ts';

/** The small mark beside a claim that was tested: ✓ or ✗ and, on hover, both numbers. Null while untested. */
export function verdictBadge(state: ViewState, claim: Claim | null): HTMLElement | null {
  const measured = claim ? state.verification.verdicts.get(claimKey(claim)) : undefined;
  if (!measured) return null;
  const { verdict } = measured;
  return make('span', {
    class: `verdict ${verdict}`,
    text: verdict === 'verified' ? '✓' : '✗',
    title: verdictText(measured),
    attributes: { role: 'img', 'aria-label': verdictText(measured) },
  });
}

/** "Verified: turned off, its target should move by −1.2; it moved by −1.1, and by −1.2 with all else frozen." */
export function verdictText({ verdict, predicted, frozen, free }: VerifiedClaim): string {
  const word = verdict === 'verified' ? 'Verified' : 'Contradicted';
  return `${word}: turned off, its target should move by ${shortNumber(predicted)}; it moved by ${shortNumber(free)}, and by ${shortNumber(frozen)} with all else frozen.`;
}
