import path from 'node:path';
import * as vscode from 'vscode';
import { CircuitTests } from './host/circuitTests.ts';
import { chooseModel } from './host/commands/chooseModel.ts';
import { compareTraces, openMergedGraph } from './host/commands/compareTraces.ts';
import { createCircuitTest } from './host/commands/createCircuitTest.ts';
import { addIntervention, runInterventions, takeFromTrace } from './host/commands/editInterventions.ts';
import { exportGraph, openShareLink, saveGraphAs } from './host/commands/exportGraph.ts';
import {
  createSupernode,
  groupFeaturesBy,
  openCard,
  removeSupernode,
  renameFeature,
  renameSupernode,
  searchFeatures,
  togglePin,
} from './host/commands/features.ts';
import { findExamples } from './host/commands/findExamples.ts';
import { inspectActivations } from './host/commands/inspectActivations.ts';
import { ablateFeature } from './host/commands/intervene.ts';
import {
  applyModel,
  cancelDownload,
  deleteModel,
  downloadModel,
  forgetModel,
  pauseDownload,
  resumeDownload,
  revealModel,
  setHubToken,
} from './host/commands/manageModels.ts';
import { deleteTrace, openGraph, pickTrace, renameTrace } from './host/commands/manageTraces.ts';
import { traceAgain, traceAgainWithOptions, tracePrompt, traceWithOptions } from './host/commands/trace.ts';
import { pairForGraph } from './host/config.ts';
import { type LensPlace, PromptLenses } from './host/editor/promptLenses.ts';
import { SelectedTokens } from './host/editor/selectedTokens.ts';
import { TokenDecorations } from './host/editor/tokenDecorations.ts';
import { EngineProcess } from './host/engineProcess.ts';
import { FeatureCards } from './host/featureCards.ts';
import { GraphFiles } from './host/graphFiles.ts';
import { HostedExamples } from './host/hostedExamples.ts';
import { InterventionRuns } from './host/interventionRuns.ts';
import { createLog } from './host/log.ts';
import { ModelLibrary } from './host/modelLibrary.ts';
import { NeuronpediaExamples } from './host/neuronpediaExamples.ts';
import { OwnExampleStore } from './host/ownExampleStore.ts';
import { OwnLabels } from './host/ownLabels.ts';
import { CircuitEditor } from './host/panel/circuitEditor.ts';
import { ComparisonPanels } from './host/panel/comparisonPanels.ts';
import { GraphPanels } from './host/panel/graphPanels.ts';
import { Jobs } from './host/runJob.ts';
import { showError } from './host/showError.ts';
import type { TraceRecord } from './host/traceRecord.ts';
import { TraceStore } from './host/traceStore.ts';
import { Traces } from './host/traces.ts';
import { type FeatureRow, FeaturesView } from './host/views/featuresView.ts';
import { InterventionsView } from './host/views/interventionsView.ts';
import { type ModelRow, ModelsView } from './host/views/modelsView.ts';
import { StatusBar } from './host/views/statusBar.ts';
import { TracesView } from './host/views/tracesView.ts';

/** Constructs the parts and connects them; what they do is theirs. */
export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const { extensionPath, extensionUri } = context;
  const log = createLog();
  const engine = new EngineProcess({
    modulePath: path.join(extensionPath, 'dist', 'engine.cjs'),
    version: context.extension.packageJSON.version,
    log: (level, line) => log[level](line),
  });
  const graphFiles = new GraphFiles(path.join(extensionPath, 'dist', 'graph-worker.cjs'));
  const store = new TraceStore(
    path.join((context.storageUri ?? context.globalStorageUri).fsPath, 'traces'),
    graphFiles,
  );
  const traces = new Traces(store, log);
  const jobs = new Jobs(log);
  const library = new ModelLibrary({ engine, log, secrets: context.secrets, memory: context.globalState });
  const kept = (name: string): string => path.join(context.globalStorageUri.fsPath, name);
  const cards = new FeatureCards({
    engine,
    hosted: new HostedExamples(library, kept('examples')),
    neuronpedia: new NeuronpediaExamples(library, kept('neuronpedia')),
    own: new OwnExampleStore(kept('own-examples')),
  });
  const runs = new InterventionRuns(engine, traces, log);
  const pageServices = { extensionPath, runs, extensionUri, engine, traces, log, cards, memory: context.globalState };
  const loaded = traces.load();
  const panels = new GraphPanels(pageServices, context.workspaceState, loaded);
  const comparisons = new ComparisonPanels(
    {
      ...{ extensionUri, engine, traces, log },
      openGraph: (id) => panels.open(id),
      openMerged: (left, right) => openMergedGraph(traces, panels, left, right),
    },
    loaded,
  );
  const circuitEditor = new CircuitEditor(pageServices, graphFiles, (graph) =>
    pairForGraph(extensionPath, graph, traces.records),
  );
  const features = new FeaturesView(traces, context.workspaceState);
  const memory = context.workspaceState;
  const models = { library };
  const ownLabels = new OwnLabels(context.globalState);
  const traceServices = { extensionPath, engine, traces, panels, jobs, log, memory, ownLabels };

  /** Every command of the manifest; a test holds the two lists equal. */
  const commands: Readonly<Record<string, (argument?: never) => unknown>> = {
    'promptCircuits.trace': () => tracePrompt(traceServices, { type: 'editor' }),
    'promptCircuits.traceAt': (place?: LensPlace) => tracePrompt(traceServices, { type: 'place', place }),
    'promptCircuits.traceFile': (file?: vscode.Uri) => tracePrompt(traceServices, { type: 'file', file }),
    'promptCircuits.traceCell': (cell?: vscode.NotebookCell) => tracePrompt(traceServices, { type: 'cell', cell }),
    // The editor's menu gives the file's address, the panel and the list of traces give a trace.
    'promptCircuits.traceWithOptions': (from?: TraceRecord | vscode.Uri) =>
      from !== undefined && 'promptText' in from
        ? traceAgainWithOptions(traceServices, from)
        : traceWithOptions(traceServices, { type: 'editor' }),
    'promptCircuits.traceAgain': async (record?: TraceRecord) => {
      const chosen = record ?? (await pickTrace(traces, 'Trace Again'));
      if (chosen !== undefined) await traceAgain(traceServices, chosen);
    },
    'promptCircuits.cancel': () => jobs.cancelAll(),
    'promptCircuits.restartEngine': () => engine.restart(),
    'promptCircuits.openGraph': (record?: TraceRecord) => openGraph(traces, panels, record),
    'promptCircuits.openGraphToSide': (record?: TraceRecord) => openGraph(traces, panels, record, true),
    'promptCircuits.renameTrace': (record?: TraceRecord) => renameTrace(traces, record),
    'promptCircuits.deleteTrace': (record?: TraceRecord) => deleteTrace(traces, record),
    'promptCircuits.saveGraphAs': (record?: TraceRecord) => saveGraphAs(traces, record),
    'promptCircuits.exportGraph': (record?: TraceRecord) => exportGraph(traces, record),
    'promptCircuits.openShareLink': () => openShareLink(traces, panels),
    'promptCircuits.createCircuitTest': (record?: TraceRecord) =>
      createCircuitTest({ extensionPath, engine, traces, jobs }, record),
    'promptCircuits.compareTraces': (record?: TraceRecord) => compareTraces(traces, comparisons, record),
    'promptCircuits.inspectActivations': (row?: FeatureRow) => inspectActivations(traces, panels, row),
    'promptCircuits.findExamples': () => findExamples({ engine, traces, jobs, cards }),
    'promptCircuits.groupFeatures': () => groupFeaturesBy(features),
    'promptCircuits.searchFeatures': () => searchFeatures(traces),
    'promptCircuits.pinFeature': (row?: FeatureRow) => togglePin(traces, row),
    'promptCircuits.unpinFeature': (row?: FeatureRow) => togglePin(traces, row),
    'promptCircuits.createSupernode': () => createSupernode(traces, features.selection),
    'promptCircuits.renameSupernode': (row?: FeatureRow) => renameSupernode(traces, row),
    'promptCircuits.removeSupernode': (row?: FeatureRow) => removeSupernode(traces, row),
    'promptCircuits.renameFeature': (row?: FeatureRow) => renameFeature(traces, row),
    'promptCircuits.ablateFeature': (row?: FeatureRow) => ablateFeature(engine, traces, jobs, row),
    'promptCircuits.addIntervention': (row?: FeatureRow) => addIntervention(traces, row),
    'promptCircuits.takeFromTrace': () => takeFromTrace(traces),
    'promptCircuits.runInterventions': () => runInterventions(traces, runs),
    'promptCircuits.openCard': (row?: FeatureRow) => openCard(traces, panels, row),
    'promptCircuits.chooseModel': () => chooseModel(models),
    'promptCircuits.applyModel': (row?: ModelRow) => applyModel(models, row),
    'promptCircuits.downloadModel': (row?: ModelRow) => downloadModel(models, row),
    'promptCircuits.pauseDownload': (row?: ModelRow) => pauseDownload(models, row),
    'promptCircuits.resumeDownload': (row?: ModelRow) => resumeDownload(models, row),
    'promptCircuits.cancelDownload': (row?: ModelRow) => cancelDownload(models, row),
    'promptCircuits.deleteModel': (row?: ModelRow) => deleteModel(models, row),
    'promptCircuits.forgetModel': (row?: ModelRow) => forgetModel(models, row),
    'promptCircuits.unloadModel': () => library.unload(),
    'promptCircuits.revealModel': (row?: ModelRow) => revealModel(row),
    'promptCircuits.setHubToken': () => setHubToken(models),
    'promptCircuits.refreshModels': () => library.refresh(),
    'promptCircuits.showLog': () => log.show(),
  };
  for (const [id, run] of Object.entries(commands)) {
    const guarded = async (argument?: never): Promise<void> => {
      try {
        await run(argument);
      } catch (error) {
        await showError(error, log);
      }
    };
    context.subscriptions.push(vscode.commands.registerCommand(id, guarded));
  }
  context.subscriptions.push(
    ...[log, engine, traces, jobs, panels, comparisons, circuitEditor, features],
    runs,
    new InterventionsView({ extensionPath, extensionUri, engine, traces, runs, log }),
    new TracesView(traces),
    library,
    new ModelsView(extensionPath, library, jobs),
    new StatusBar(extensionPath, engine, jobs, traces),
    new CircuitTests(extensionPath, engine, log),
    new TokenDecorations(traces),
    new SelectedTokens(traces),
    traces.onDidChange((change) => {
      const graph = change.type === 'view' ? traces.opened(change.id)?.graph : undefined;
      if (change.type === 'view' && graph !== undefined) void ownLabels.remember(graph, change.before);
    }),
    new PromptLenses(),
    cards,
    { dispose: () => void traces.flush() },
  );
  await loaded;
}
