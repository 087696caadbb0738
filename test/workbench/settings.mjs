/** User settings of a workbench that does nothing but what it is told: no tips, no updates, no other features. */
export const quietSettings = {
  'security.workspace.trust.enabled': false,
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.editor.enablePreview': false,
  'chat.disableAIFeatures': true,
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'update.showReleaseNotes': false,
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'git.enabled': false,
  'npm.autoDetect': 'off',
  'files.hotExit': 'off',
  'editor.minimap.enabled': false,
  'editor.codeLens': true,
  'window.confirmBeforeClose': 'never',
  // An address that names a file to open would otherwise open nothing else, after a reload of the window too.
  'window.restoreWindows': 'preserve',
};

export const serverArguments = [
  '--auth',
  'none',
  '--disable-telemetry',
  '--disable-update-check',
  '--disable-workspace-trust',
  '--disable-getting-started-override',
  '--disable-proxy',
];

/** The environment for a workbench of its own: nothing of the caller's editor, npm run or test runner leaks in. */
export function workbenchEnvironment(extra) {
  const environment = { ...process.env, EXTENSIONS_GALLERY: '{"serviceUrl":""}', ...extra };
  for (const key of Object.keys(environment)) {
    if (/^(XDG_|VSCODE_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|ELECTRON_|npm_)/.test(key)) delete environment[key];
  }
  return environment;
}
