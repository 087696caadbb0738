// Writes every state of the panel in every theme as a page to open by hand: node test/screens/pages.ts
// The states that a test reaches by clicking open as they are before the clicks.
import { comparisonStates } from './comparisonStates.ts';
import { dialogStates } from './dialogStates.ts';
import { writePage } from './page.ts';
import { states } from './states.ts';
import { themes } from './themes.ts';

for (const theme of themes) {
  for (const state of [...states, ...comparisonStates, ...dialogStates]) console.log(writePage({ ...state, theme }));
}
