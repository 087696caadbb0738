/** What a button under an error does. */
export type RemedyAction = {
  readonly title: string;
  readonly command: string;
  readonly arguments?: readonly unknown[];
};

const openSettings = (setting: string): RemedyAction => ({
  title: 'Open Settings',
  command: 'workbench.action.openSettings',
  arguments: [setting],
});

const setHubToken: RemedyAction = { title: 'Set Access Token', command: 'promptCircuits.setHubToken' };

const byCode: readonly (readonly [prefix: string, action: RemedyAction])[] = [
  ['engine.version', { title: 'Reload Window', command: 'workbench.action.reloadWindow' }],
  ['engine.', { title: 'Restart', command: 'promptCircuits.restartEngine' }],
  ['settings.', openSettings('promptCircuits.')],
  ['device.', openSettings('promptCircuits.device')],
  ['hub.unauthorized', setHubToken],
  ['hub.gated', setHubToken],
  ['hub.forbidden', setHubToken],
  ['hub.offline', openSettings('promptCircuits.offline')],
  ['model.', { title: 'Choose Model', command: 'promptCircuits.chooseModel' }],
  ['transcoders.', { title: 'Choose Model', command: 'promptCircuits.chooseModel' }],
  ['weights.', { title: 'Choose Model', command: 'promptCircuits.chooseModel' }],
  ['safetensors.', { title: 'Choose Model', command: 'promptCircuits.chooseModel' }],
];

/** The button that helps with an error of this code; null where only the words can. The first matching prefix decides. */
export function remedyFor(code: string): RemedyAction | null {
  return byCode.find(([prefix]) => code.startsWith(prefix))?.[1] ?? null;
}
