import fs from 'node:fs';
import path from 'node:path';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { edgesCsv, nodesCsv } from '../graph/csv.ts';
import { neuronpediaProblems, toCircuitTracer, toNeuronpedia, withGraphInIndex } from '../graph/exportGraph.ts';
import { markdownSummary } from '../graph/markdown.ts';
import { shareLink } from '../graph/shareLink.ts';
import { Options } from './options.ts';
import { readGraphFile } from './readGraphFile.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits export FILE --to FORMAT [--out PATH] [OPTIONS]

  Writes a graph in another form, to --out or to the terminal.

  circuit-tracer   for circuit-tracer's viewer; --out may be its graph folder,
                   whose list of graphs is kept up to date
      --scan REF         the transcoder set's reference (default: the graph's)
  neuronpedia      for an upload to Neuronpedia
      --model-id ID      Neuronpedia's name of the model
      --source-set NAME  Neuronpedia's name of the transcoder set
  link             a link that opens a graph that is there already, with this view
      --viewer ADDRESS   of the viewer; --model-id ID for Neuronpedia
  nodes-csv, edges-csv   tables
  markdown         a summary for a pull request
`;

const optionKinds = {
  to: 'text',
  out: 'text',
  scan: 'text',
  'model-id': 'text',
  'source-set': 'text',
  viewer: 'text',
} as const;

export async function exportCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, optionKinds, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  const [file, ...others] = options.positionals;
  if (file === undefined || others.length > 0) throw options.wrong('Name one graph file.');
  const write = writer(options, terminal);
  const graph = readGraphFile(file, terminal);
  const text = write(graph);
  const out = options.text('out');
  if (out === null) terminal.out(text);
  else if (options.text('to') === 'circuit-tracer' && isFolder(out)) writeIntoFolder(out, graph, text);
  else {
    fs.mkdirSync(path.dirname(path.resolve(out)), { recursive: true });
    fs.writeFileSync(out, text);
  }
  return 0;
}

/** The function that makes the text; options are checked before the graph is read. */
function writer(options: Options, terminal: Terminal): (graph: CircuitGraph) => string {
  const modelId = options.text('model-id');
  switch (options.text('to')) {
    case 'circuit-tracer':
      return (graph) => toCircuitTracer(graph, options.text('scan') ?? graph.metadata.scan);
    case 'neuronpedia':
      if (modelId === null) throw options.wrong('--to neuronpedia needs --model-id, such as gemma-2-2b.');
      return (graph) => {
        for (const problem of neuronpediaProblems(graph)) terminal.err(`Note: ${problem}\n`);
        return toNeuronpedia(graph, modelId, options.text('source-set'));
      };
    case 'link': {
      const viewer = options.text('viewer');
      if (viewer === null) throw options.wrong('--to link needs --viewer ADDRESS.');
      return (graph) => `${shareLink(graph, viewer, modelId)}\n`;
    }
    case 'nodes-csv':
      return nodesCsv;
    case 'edges-csv':
      return edgesCsv;
    case 'markdown':
      return markdownSummary;
    case null:
      throw options.wrong('--to says which format.');
    default:
      throw options.wrong(`There is no format ${JSON.stringify(options.text('to'))}.`);
  }
}

function isFolder(place: string): boolean {
  return place.endsWith('/') || (fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/** A file named by its slug, and the list of graphs that circuit-tracer's viewer shows. */
function writeIntoFolder(folder: string, graph: CircuitGraph, text: string): void {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, `${graph.metadata.slug}.json`), text);
  const index = path.join(folder, 'graph-metadata.json');
  const before = fs.existsSync(index) ? fs.readFileSync(index, 'utf8') : null;
  fs.writeFileSync(index, withGraphInIndex(before, text));
}
