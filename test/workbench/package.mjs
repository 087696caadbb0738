// Stages what ships and packages it for one platform: `node test/workbench/package.mjs [linux-x64 | darwin-arm64 | …]`.
// The native runtime is the only thing that differs between platforms; its other platforms' binaries would add 270 MB.
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { remove, root, run } from './setup.mjs';

const shipped = ['README.md', 'LICENSE', 'CHANGELOG.md', 'media', 'dist'];
const leftOut = [
  path.join('media', 'built-in-model', 'training'),
  path.join('media', 'screenshots'),
  path.join('dist', 'node_modules'),
];

/** Writes dist's package for the platform and resolves with its path. Needs `npm run build` first. */
export async function packageExtension(target = `${process.platform}-${process.arch}`) {
  const [os, arch] = target.split('-');
  const binaries = path.join('onnxruntime-node', 'bin', 'napi-v6', os, arch);
  if (!existsSync(path.join(root, 'node_modules', binaries))) {
    throw new Error(`onnxruntime-node has no binary for ${target}.`);
  }
  const stage = path.join(root, 'stage', target);
  remove(stage);
  mkdirSync(stage, { recursive: true });
  for (const name of shipped) {
    cpSync(path.join(root, name), path.join(stage, name), {
      recursive: true,
      filter: (file) =>
        !leftOut.some((folder) => file === path.join(root, folder)) && !/\.(map|pyc)$|__pycache__/.test(file),
    });
  }
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  for (const key of ['scripts', 'dependencies', 'devDependencies', 'overrides', 'private', 'type', 'bin'])
    delete manifest[key];
  manifest.engines = { vscode: manifest.engines.vscode };
  writeFileSync(path.join(stage, 'package.json'), JSON.stringify(manifest, null, 2));

  // Below dist/, because vsce leaves out node_modules only at the top.
  const modules = path.join(stage, 'dist', 'node_modules');
  for (const name of ['onnxruntime-common', 'onnxruntime-node']) {
    for (const part of ['package.json', 'dist']) {
      cpSync(path.join(root, 'node_modules', name, part), path.join(modules, name, part), {
        recursive: true,
        filter: (file) => !/\.(map|d\.ts)$/.test(file) && !/[\\/]dist[\\/](esm|ort\.|.*\.min\.)/.test(file),
      });
    }
  }
  cpSync(path.join(root, 'node_modules', binaries), path.join(modules, binaries), { recursive: true });

  const file = path.join(root, `prompt-circuits-${target}.vsix`);
  const vsce = path.join(root, 'node_modules/@vscode/vsce/vsce');
  await run(
    process.execPath,
    [
      vsce,
      'package',
      '--no-dependencies',
      '--allow-missing-repository',
      '--no-rewrite-relative-links',
      '--target',
      target,
      '--out',
      file,
    ],
    {
      cwd: stage,
    },
  );
  return file;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = await packageExtension(process.argv[2]);
  console.log(`${file} (${(statSync(file).size / 1e6).toFixed(1)} MB)`);
}
