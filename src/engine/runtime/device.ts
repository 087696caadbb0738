import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { DeviceChoice } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { GraphBuilder } from './onnxModel.ts';
import { createSession, floatsOf, floatTensor, libraryFolder, type Provider, supportedProviders } from './session.ts';

/** Where the engine computes, and why there. */
export type Device = { readonly provider: Provider; readonly reason: string };

/** In order of preference. */
const accelerators: readonly Provider[] = ['cuda', 'webgpu', 'dml', 'coreml'];
const names: Readonly<Record<Provider, string>> = {
  cuda: 'CUDA',
  webgpu: 'WebGPU',
  dml: 'DirectML',
  coreml: 'CoreML',
  cpu: 'CPU',
};

/** The largest difference from the CPU's product, as a share of its largest entry, that float32 arithmetic explains. */
const sameProduct = 1e-4;

/**
 * Chooses where to compute. 'auto' takes the first accelerator that is faster than the CPU at a product of matrices and
 * gives the same numbers: software adapters, which are accepted silently elsewhere, are slower and so refused. A device
 * that is named is taken as it is. UserError when a named device can't be used, with what is missing.
 */
export async function chooseDevice(choice: DeviceChoice): Promise<Device> {
  if (choice === 'cpu') return { provider: 'cpu', reason: 'The CPU was chosen in the settings.' };
  const supported = supportedProviders();
  if (choice !== 'auto') {
    const trial = supported.includes(choice) ? await tryProvider(choice) : { failure: 'this platform has none' };
    if ('failure' in trial) {
      throw new UserError(
        'device.unavailable',
        `${names[choice]} can't be used: ${trial.failure}.`,
        'Set Device to Auto or CPU.',
      );
    }
    return { provider: choice, reason: `${names[choice]} was chosen in the settings.` };
  }
  const refused: string[] = [];
  for (const provider of accelerators.filter((candidate) => supported.includes(candidate))) {
    const trial = await tryProvider(provider);
    if ('failure' in trial) {
      refused.push(`${names[provider]}: ${trial.failure}`);
      continue;
    }
    const verdict = await compare(trial.product);
    if (verdict.isFaster) return { provider, reason: `${names[provider]}: ${verdict.text}.` };
    refused.push(`${names[provider]}: ${verdict.text}`);
  }
  const reason = refused.length > 0 ? refused.join('; ') : 'this platform has no accelerator that can be used';
  return { provider: 'cpu', reason: `CPU: ${reason}.` };
}

type Product = (nRows: number) => Promise<{ readonly values: Float32Array; readonly milliseconds: number }>;

async function tryProvider(provider: Provider): Promise<{ readonly product: Product } | { readonly failure: string }> {
  try {
    // Asked without them, ONNX Runtime would write to the log what is said here.
    if (provider === 'cuda' && lacksCudaLibrary()) throw new Error('no library');
    const product = await createProduct(provider);
    await product(smallRows);
    return { product };
  } catch (error) {
    return { failure: provider === 'cuda' ? missingForCuda(error) : firstSentence(error) };
  }
}

/** Rows of a product that even a software adapter finishes soon, and of one like those of a prompt. */
const smallRows = 4;
const largeRows = 64;
const width = 2048;

async function compare(product: Product): Promise<{ readonly isFaster: boolean; readonly text: string }> {
  const cpu = await createProduct('cpu');
  await cpu(smallRows);
  const [small, smallOnCpu] = [await product(smallRows), await cpu(smallRows)];
  const difference = largestDifference(small.values, smallOnCpu.values);
  if (!(difference <= sameProduct)) {
    return { isFaster: false, text: `its products differ from the CPU's by ${difference.toExponential(1)}` };
  }
  // A card may lose on so little, but not by this much.
  if (small.milliseconds > 20 * smallOnCpu.milliseconds + 20) return verdict(small, smallOnCpu);
  await product(largeRows);
  return verdict(await product(largeRows), await cpu(largeRows));
}

function verdict(
  { milliseconds: own }: { readonly milliseconds: number },
  { milliseconds: cpu }: { readonly milliseconds: number },
): { readonly isFaster: boolean; readonly text: string } {
  const isFaster = own < cpu;
  const compared = `${own.toFixed(1)} ms against the CPU's ${cpu.toFixed(1)} ms for a product of matrices`;
  return { isFaster, text: isFaster ? compared : `${compared}, so it is a software adapter or no gain` };
}

/** [rows, 2048] times [2048, 2048], the matrix handed over each time, as the engine hands over weights. */
async function createProduct(provider: Provider): Promise<Product> {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['rows', width]);
  graph.input('w', 'float32', [width, width]);
  graph.node('Gemm', ['x', 'w'], { transB: 1 }, 'y');
  graph.output('y');
  const session = await createSession(graph.encode(), { provider });
  const w = floatTensor(waves(width * width, 1 / Math.sqrt(width)), [width, width]);
  return async (nRows) => {
    const started = performance.now();
    const { y } = await session.run({ x: floatTensor(waves(nRows * width, 1), [nRows, width]), w });
    return { values: floatsOf(y).slice(), milliseconds: performance.now() - started };
  };
}

/** Numbers without a pattern that a faulty product could get right by chance. */
function waves(count: number, size: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => size * Math.sin(i * 12.9898));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let [difference, largest] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    const own = Math.abs(a[i] - b[i]);
    if (!(own <= difference)) difference = own;
    largest = Math.max(largest, Math.abs(b[i]));
  }
  return difference / largest;
}

/** What CUDA lacks: ONNX Runtime's own libraries for it, or those that they need in turn. */
function missingForCuda(error: unknown): string {
  if (process.platform !== 'linux') return firstSentence(error);
  if (lacksCudaLibrary()) {
    return `libonnxruntime_providers_cuda.so is not in ${libraryFolder()} (the onnxruntime-node package's install script, or the onnxruntime-gpu wheel of the same version, has it)`;
  }
  try {
    const lines = execFileSync('ldd', [cudaLibrary()], { encoding: 'utf8' }).split('\n');
    const missing = lines.filter((line) => line.includes('not found')).map((line) => line.trim().split(' ')[0]);
    if (missing.length > 0) return `these libraries are missing: ${missing.join(', ')}`;
  } catch {
    // No ldd: the loader's own message has to do.
  }
  return firstSentence(error);
}

function cudaLibrary(): string {
  return path.join(libraryFolder(), 'libonnxruntime_providers_cuda.so');
}

function lacksCudaLibrary(): boolean {
  return process.platform === 'linux' && !fs.existsSync(cudaLibrary());
}

function firstSentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const said = /was false\. (.*)/s.exec(text)?.[1] ?? text;
  return said.split('\n')[0].trim().slice(0, 300).replace(/\.$/, '');
}
