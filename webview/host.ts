import type { FromPanel, ToPanel } from '../src/protocol/panel.ts';
import type { Remembered } from './store.ts';

/** The channel to the extension. */
export type Host = {
  post(message: FromPanel): void;
  onMessage(listener: (message: ToPanel) => void): void;
  /** What this page kept when it was last hidden. */
  remembered(): Remembered | null;
  remember(state: Remembered): void;
  /** Address of the layout worker's source, in the page's configuration. */
  readonly elkWorker: string;
};

/** Connects to the extension that made this page. Call once: VS Code hands the channel out a single time. */
export function connectHost(): Host {
  const api = acquireVsCodeApi<Remembered>();
  const config = readConfig();
  return {
    post: (message) => api.postMessage(message),
    onMessage(listener) {
      window.addEventListener('message', (event: MessageEvent<unknown>) => {
        if (isMessage(event.data)) listener(event.data);
      });
    },
    remembered: () => api.getState() ?? null,
    remember: (state) => {
      api.setState(state);
    },
    elkWorker: config.elkWorker,
  };
}

/** The extension is our own code, but other frames could post here too: only typed objects get through. */
function isMessage(data: unknown): data is ToPanel {
  return typeof data === 'object' && data !== null && 'type' in data && typeof data.type === 'string';
}

function readConfig(): { elkWorker: string } {
  const text = document.getElementById('prompt-circuits-config')?.textContent ?? '{}';
  const config: unknown = JSON.parse(text);
  const isKnown = typeof config === 'object' && config !== null && 'elkWorker' in config;
  return { elkWorker: isKnown && typeof config.elkWorker === 'string' ? config.elkWorker : '' };
}
