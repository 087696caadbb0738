import type { TraceCheck, TraceDraft, TraceSetup } from '../src/protocol/traceDialog.ts';
import type { Update } from './store.ts';

/** The trace dialog while it is open. */
export type TraceDialogState = {
  readonly setup: TraceSetup;
  readonly draft: TraceDraft;
  /** Counts the drafts, so that an answer to an older one is known. */
  readonly number: number;
  /** What was last said of a draft; null: nothing yet. */
  readonly check: TraceCheck | null;
  /** The trace was asked for and has not been answered. */
  readonly isStarting: boolean;
  /** Counts refused starts: each brings the first field that is wrong into view. */
  readonly refusals: number;
};

/** Opens the dialog, or gives it what was written in it before the page was made anew. */
export function openTraceDialog(setup: TraceSetup): Update {
  const start = { check: null, isStarting: false, refusals: 0 };
  return (state) => ({ ...state, dialog: { ...start, setup, draft: setup.draft, number: 1 } });
}

export const closeTraceDialog: Update = (state) => (state.dialog === null ? state : { ...state, dialog: null });

/** Changes fields of the draft. */
export function writeDraft(change: Partial<TraceDraft>): Update {
  return (state) => {
    if (state.dialog === null) return state;
    const { draft, number } = state.dialog;
    return { ...state, dialog: { ...state.dialog, draft: { ...draft, ...change }, number: number + 1 } };
  };
}

/** Writes one of the tokens to explain. */
export function writeToken(place: number, text: string): Update {
  return (state) => {
    const tokens = state.dialog?.draft.tokens.with(place, text);
    return tokens === undefined ? state : writeDraft({ tokens })(state);
  };
}

/** Puts a token where there is room: into the first empty line, or a new one. */
export function addToken(text: string): Update {
  return (state) => {
    if (state.dialog === null) return state;
    const { tokens } = state.dialog.draft;
    const empty = tokens.indexOf('');
    if (text !== '' && tokens.includes(text)) return state;
    return writeDraft({ tokens: empty >= 0 && text !== '' ? tokens.with(empty, text) : [...tokens, text] })(state);
  };
}

export function removeToken(place: number): Update {
  return (state) => {
    if (state.dialog === null) return state;
    const left = state.dialog.draft.tokens.filter((_, other) => other !== place);
    return writeDraft({ tokens: left.length > 0 ? left : [''] })(state);
  };
}

/** Takes a suggested token into the side of the difference that is empty, or else replaces the second. */
export function suggestForDifference(text: string): Update {
  return (state) => (state.dialog?.draft.a === '' ? writeDraft({ a: text }) : writeDraft({ b: text }))(state);
}

/** What was said of a draft. Of an older one only the estimate and the pieces that still fit are of use: it waits. */
export function withCheck(check: TraceCheck, isRefused: boolean): Update {
  return (state) => {
    if (state.dialog === null || check.number < (state.dialog.check?.number ?? 0)) return state;
    const refusals = state.dialog.refusals + (isRefused ? 1 : 0);
    return {
      ...state,
      dialog: { ...state.dialog, check, refusals, isStarting: state.dialog.isStarting && !isRefused },
    };
  };
}

export const starting: Update = (state) =>
  state.dialog === null ? state : { ...state, dialog: { ...state.dialog, isStarting: true } };
