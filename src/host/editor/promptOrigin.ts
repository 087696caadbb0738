import * as vscode from 'vscode';
import type { Prompt } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { type FoundPrompt, findPrompt, promptOfFile, promptOfSelection, type SourceDocument } from './findPrompt.ts';
import { joined, type PlacedText } from './placedText.ts';
import { fillPlaceholders } from './placeholders.ts';
import type { LensPlace } from './promptLenses.ts';

/** Where *Trace Prompt* was called. What the menu gives may be missing: the command is in the palette too. */
export type PromptOrigin =
  | { readonly type: 'editor' }
  | { readonly type: 'place'; readonly place: LensPlace | undefined }
  | { readonly type: 'cell'; readonly cell: vscode.NotebookCell | undefined }
  | { readonly type: 'file'; readonly file: vscode.Uri | undefined };

/** A prompt that is complete, and where it stood. */
export type ChosenPrompt = {
  readonly prompt: Prompt;
  /** All text of the prompt, messages one after another, with its places in the document. */
  readonly placed: PlacedText;
  readonly uri: string | null;
};

/**
 * The prompt at the origin with its placeholders asked for; null when the user closed a question.
 * Without a selection the found prompt is selected, so that it is seen.
 * @throws UserError where there is no prompt
 */
export async function choosePrompt(origin: PromptOrigin, memory: vscode.Memento): Promise<ChosenPrompt | null> {
  const place = await placeOf(origin);
  if (place === null) {
    throw new UserError('prompt.noEditor', 'No text is open.', 'Open a file with a prompt and select it.');
  }
  const document = 'selection' in place ? place.document : place;
  const found = 'selection' in place ? foundInEditor(place) : promptOfFile(sourceOf(document));
  if (found === null) {
    throw new UserError(
      'prompt.none',
      `There is no prompt in ${vscode.workspace.asRelativePath(document.uri)}.`,
      'Write one, or select some text.',
    );
  }
  const values = await askForValues(found, document.uri, memory);
  if (values === null) return null;
  const parts = found.parts.map(({ role, content, placeholders }) => ({
    role,
    content: fillPlaceholders(content, placeholders, values),
  }));
  return {
    prompt: promptOf(parts),
    placed: joined(parts.flatMap(({ content }, i) => (i === 0 ? [content] : [breakBefore(content), content]))),
    uri: document.uri.toString(),
  };
}

async function placeOf(origin: PromptOrigin): Promise<vscode.TextEditor | vscode.TextDocument | null> {
  if (origin.type === 'cell') {
    const editor = vscode.window.activeNotebookEditor;
    const cell = origin.cell ?? editor?.notebook.cellAt(editor.selection.start);
    return cell?.document ?? null;
  }
  if (origin.type === 'file' && origin.file !== undefined) return vscode.workspace.openTextDocument(origin.file);
  if (origin.type === 'place' && origin.place !== undefined) {
    const uri = vscode.Uri.parse(origin.place.uri);
    const shown = vscode.window.visibleTextEditors.find(({ document }) => document.uri.toString() === uri.toString());
    const document = shown?.document ?? (await vscode.workspace.openTextDocument(uri));
    const editor = await vscode.window.showTextDocument(document, shown?.viewColumn);
    const at = document.positionAt(origin.place.offset);
    editor.selection = new vscode.Selection(at, at);
    return editor;
  }
  return vscode.window.activeTextEditor ?? null;
}

/** The empty line between two messages, where the plain text of a prompt is shown. */
function breakBefore({ places }: PlacedText): PlacedText {
  return { text: '\n\n', places: [places[0], places[0], places[0]] };
}

function promptOf(parts: readonly { readonly role: string | null; readonly content: PlacedText }[]): Prompt {
  if (parts.every((part) => part.role === null)) {
    return { type: 'text', text: parts.map((part) => part.content.text).join('') };
  }
  return {
    type: 'chat',
    messages: parts.map(({ role, content }) => ({ role: role ?? 'user', content: content.text })),
  };
}

function sourceOf(document: vscode.TextDocument): SourceDocument {
  return { text: document.getText(), languageId: document.languageId, fileName: document.fileName };
}

function foundInEditor(editor: vscode.TextEditor): FoundPrompt {
  const { document, selection } = editor;
  const start = document.offsetAt(selection.start);
  if (!selection.isEmpty) {
    const found = promptOfSelection(sourceOf(document), start, document.offsetAt(selection.end));
    if (found !== null) return found;
    throw new UserError('prompt.blank', 'The selection holds only white space.', 'Select the words of a prompt.');
  }
  const found = findPrompt(sourceOf(document), start);
  if (found === null) {
    throw new UserError(
      'prompt.none',
      `There is no prompt at line ${selection.start.line + 1}: no string, paragraph or prompt file.`,
      'Put the cursor into a prompt, or select it.',
    );
  }
  const range = new vscode.Range(document.positionAt(found.range[0]), document.positionAt(found.range[1]));
  editor.selection = new vscode.Selection(range.start, range.end);
  editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  return found;
}

/** Asks for each name once, with its last value at hand. Null: the user went away. Left empty: it stays as written. */
async function askForValues(
  found: FoundPrompt,
  uri: vscode.Uri,
  memory: vscode.Memento,
): Promise<Map<string, string> | null> {
  const names = [...new Set(found.parts.flatMap((part) => part.placeholders.map((placeholder) => placeholder.name)))];
  const values = new Map<string, string>();
  for (const [i, name] of names.entries()) {
    const key = `placeholder ${name} in ${uri.toString()}`;
    const value = await vscode.window.showInputBox({
      title: `Trace Prompt: Value for ${name}${names.length > 1 ? ` (${i + 1} of ${names.length})` : ''}`,
      prompt: 'Leave it empty to trace the placeholder as it is written.',
      value: memory.get<string>(key) ?? found.samples?.get(name) ?? '',
      ignoreFocusOut: true,
    });
    if (value === undefined) return null;
    if (value === '') continue;
    values.set(name, value);
    await memory.update(key, value);
  }
  return values;
}
