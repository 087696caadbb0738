import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { percent } from '../graph/percent.ts';
import type { ModelPair, Prediction, Prompt, Token } from '../protocol/engine.ts';
import type { Segment } from './editor/placedText.ts';

/** Where a traced prompt stood: the document and, for stretches of the prompt's text, their places in it. */
export type TraceSource = { readonly uri: string; readonly segments: readonly Segment[] };

/** What is known of a trace beside its graph: enough to list it, run it again and find its prompt in the editor. */
export type TraceRecord = {
  /** Names the trace's files; letters, digits and dashes. */
  readonly id: string;
  /** The user's own name for it; empty: the prompt is shown. */
  readonly title: string;
  readonly promptText: string;
  readonly prompt: Prompt;
  readonly tokens: readonly Token[];
  /** The model's most likely next tokens, most likely first. */
  readonly predictions: readonly Prediction[];
  readonly modelName: string;
  /** The transcoder set as graphs name it. */
  readonly scan: string;
  /** Null when the model is not known on this machine, as for files of other tools. */
  readonly pair: ModelPair | null;
  readonly device: string;
  /** Null when the file does not say. */
  readonly milliseconds: number | null;
  readonly createdAt: string | null;
  readonly warnings: readonly string[];
  readonly unexpandedInfluence: number;
  readonly droppedEdgeWeight: number;
  readonly source: TraceSource | null;
};

/** What a graph file that was not traced here says of itself; its predictions are its logit nodes. */
export function recordOfGraph(id: string, title: string, graph: CircuitGraph, pair: ModelPair | null): TraceRecord {
  const { metadata } = graph;
  const ids = metadata.promptTokenIds;
  return {
    id,
    title,
    promptText: metadata.prompt,
    prompt: ids === null ? { type: 'text', text: metadata.prompt } : { type: 'tokens', ids },
    tokens: metadata.promptTokens.map((text, pos) => ({ id: ids?.[pos] ?? -1, text, range: null })),
    predictions: graph.nodes
      .filter((node) => node.kind === 'logit')
      .map((node) => ({ id: node.feature ?? -1, text: node.label, probability: node.probability ?? 0 }))
      .sort((a, b) => b.probability - a.probability),
    modelName: metadata.modelName,
    scan: metadata.scan,
    pair,
    device: '',
    milliseconds: null,
    createdAt: metadata.createdAt,
    warnings: [],
    unexpandedInfluence: 0,
    droppedEdgeWeight: 0,
    source: null,
  };
}

/** The name shown for a trace: its title or the end of its prompt, where prompts differ. */
export function traceName(record: Pick<TraceRecord, 'title' | 'promptText'>, longest = 60): string {
  const title = oneLine(record.title);
  if (title === '') return endOf(record.promptText, longest);
  return title.length <= longest ? title : `${title.slice(0, longest - 1)}…`;
}

/** The end of a text in one line of at most `longest` letters, cut between words where that leaves most of it. */
export function endOf(text: string, longest: number): string {
  const line = oneLine(text);
  if (line.length <= longest) return line;
  const end = line.slice(1 - longest);
  const word = end.indexOf(' ') + 1;
  return `…${word > 0 && word < longest / 2 ? end.slice(word) : end}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** The model's answer as shown, such as `Austin 99.9 %`; empty when none is known. */
export function answerOf(record: TraceRecord): string {
  const [top] = record.predictions;
  return top === undefined ? '' : `${top.text.trim() || JSON.stringify(top.text)} ${percent(top.probability, 1)}`;
}

/** A record from a file of ours; null when it is not one, as after a crash in mid-write or an edit by hand. */
export function readRecord(json: string): TraceRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const record = value as Partial<Record<keyof TraceRecord, unknown>>;
  const isText = (key: keyof TraceRecord): boolean => typeof record[key] === 'string';
  const isList = (key: keyof TraceRecord): boolean => Array.isArray(record[key]);
  const isWhole =
    isText('id') &&
    /^[\w-]{1,80}$/.test(record.id as string) &&
    isText('title') &&
    isText('promptText') &&
    isText('modelName') &&
    isText('device') &&
    isList('tokens') &&
    isList('predictions') &&
    isList('warnings') &&
    typeof record.prompt === 'object' &&
    record.prompt !== null;
  return isWhole ? (value as TraceRecord) : null;
}
