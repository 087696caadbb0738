import { fromWire, toWire, UserError, type WireError } from './errors.ts';

/** What each call of a table takes, gives and reports; the client and the server are typed from it. */
export type CallTable<Calls> = {
  readonly [Method in keyof Calls]: { params: unknown; result: unknown; progress: unknown };
};

/** One end of a channel that carries plain data in order. `send` may throw when the channel is closed. */
export type Port = {
  readonly send: (message: unknown) => void;
  readonly onMessage: (listener: (message: unknown) => void) => void;
};

type ToServer =
  | { readonly type: 'hello'; readonly version: number }
  | { readonly type: 'call'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly type: 'cancel'; readonly id: number };

type ToClient =
  | { readonly type: 'hello'; readonly version: number }
  | { readonly type: 'progress'; readonly id: number; readonly progress: unknown }
  | { readonly type: 'result'; readonly id: number; readonly result: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: WireError };

export type CallOptions<ProgressOf> = {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ProgressOf) => void;
};

export type Client<Calls extends CallTable<Calls>> = {
  /**
   * Makes one call. Settles exactly once: with the result, with the server's error, with an AbortError as soon as
   * `signal` is aborted, or with the reason given to `end`.
   */
  readonly call: <Method extends keyof Calls & string>(
    method: Method,
    params: Calls[Method]['params'],
    options?: CallOptions<Calls[Method]['progress']>,
  ) => Promise<Calls[Method]['result']>;
  /** Fails every pending call, and each later one, with the reason. */
  readonly end: (reason: Error) => void;
};

export type ClientOptions = {
  /** Milliseconds that a cancel may stay unanswered before `onUnansweredCancel` is called, once for each. */
  readonly cancelPatience: number;
  readonly onUnansweredCancel: () => void;
};

type Pending = {
  readonly resolve: (result: never) => void;
  readonly reject: (reason: Error) => void;
  readonly onProgress: ((progress: never) => void) | undefined;
};

/** Connects to a server that speaks the same version of the same table. The first message is the version. */
export function connect<Calls extends CallTable<Calls>>(
  port: Port,
  version: number,
  options: ClientOptions,
): Client<Calls> {
  const pending = new Map<number, Pending>();
  const unanswered = new Map<number, ReturnType<typeof setTimeout>>();
  let nextId = 1;
  let ended: Error | null = null;

  const end = (reason: Error): void => {
    if (ended !== null) return;
    ended = reason;
    for (const timer of unanswered.values()) clearTimeout(timer);
    unanswered.clear();
    const calls = [...pending.values()];
    pending.clear();
    for (const call of calls) call.reject(reason);
  };

  port.onMessage((raw) => {
    const message = raw as ToClient;
    if (ended !== null) return;
    if (message.type === 'hello') {
      if (message.version !== version) end(versionMismatch(version, message.version));
      return;
    }
    const call = pending.get(message.id);
    if (message.type === 'progress') {
      call?.onProgress?.(message.progress as never);
      return;
    }
    clearTimeout(unanswered.get(message.id));
    unanswered.delete(message.id);
    pending.delete(message.id);
    if (message.type === 'result') call?.resolve(message.result as never);
    else call?.reject(fromWire(message.error));
  });

  try {
    port.send({ type: 'hello', version } satisfies ToServer);
  } catch (error) {
    end(error instanceof Error ? error : new Error(String(error)));
  }

  return {
    end,
    call: (method, params, { signal, onProgress } = {}) =>
      new Promise((resolve, reject) => {
        if (ended !== null) return reject(ended);
        if (signal?.aborted) return reject(fromWire({ type: 'cancelled' }));
        const id = nextId++;
        const cancel = (): void => {
          if (!pending.delete(id)) return;
          reject(fromWire({ type: 'cancelled' }));
          unanswered.set(
            id,
            setTimeout(() => {
              unanswered.delete(id);
              options.onUnansweredCancel();
            }, options.cancelPatience),
          );
          try {
            port.send({ type: 'cancel', id } satisfies ToServer);
          } catch {
            // The channel is closed: its owner calls `end` with the reason.
          }
        };
        const settled = (): void => signal?.removeEventListener('abort', cancel);
        pending.set(id, {
          resolve: (result) => {
            settled();
            resolve(result);
          },
          reject: (reason) => {
            settled();
            reject(reason);
          },
          onProgress,
        });
        signal?.addEventListener('abort', cancel, { once: true });
        try {
          port.send({ type: 'call', id, method, params } satisfies ToServer);
        } catch (error) {
          const call = pending.get(id);
          pending.delete(id);
          call?.reject(error instanceof Error ? error : new Error(String(error)));
        }
      }),
  };
}

export type Handlers<Calls extends CallTable<Calls>> = {
  readonly [Method in keyof Calls]: (
    params: Calls[Method]['params'],
    context: { readonly signal: AbortSignal; readonly onProgress: (progress: Calls[Method]['progress']) => void },
  ) => Promise<Calls[Method]['result']>;
};

/** Answers calls until the channel closes. Each call gets one answer; a cancelled one that ends anyway is still answered. */
export function serve<Calls extends CallTable<Calls>>(port: Port, version: number, handlers: Handlers<Calls>): void {
  const running = new Map<number, AbortController>();
  let spoken: number | null = null;

  const answer = async (
    id: number,
    method: string,
    params: unknown,
    controller: AbortController,
  ): Promise<ToClient> => {
    try {
      if (spoken !== version) throw versionMismatch(spoken, version);
      if (!Object.hasOwn(handlers, method)) throw new Error(`There is no call named ${method}.`);
      const handler = handlers[method as keyof Calls];
      const result = await handler(params as never, {
        signal: controller.signal,
        onProgress: (progress) => port.send({ type: 'progress', id, progress } satisfies ToClient),
      });
      return { type: 'result', id, result };
    } catch (error) {
      return { type: 'error', id, error: toWire(error) };
    }
  };

  port.onMessage((raw) => {
    const message = raw as ToServer;
    if (message.type === 'hello') {
      spoken = message.version;
      port.send({ type: 'hello', version } satisfies ToClient);
    } else if (message.type === 'cancel') {
      running.get(message.id)?.abort();
    } else if (message.type === 'call' && !running.has(message.id)) {
      const { id } = message;
      const controller = new AbortController();
      running.set(id, controller);
      void answer(id, message.method, message.params, controller).then((reply) => {
        running.delete(id);
        try {
          port.send(reply);
        } catch (error) {
          // A result that cannot be sent must not leave its caller waiting.
          port.send({ type: 'error', id, error: toWire(error) } satisfies ToClient);
        }
      });
    }
  });
}

function versionMismatch(client: number | null, server: number | null): UserError {
  return new UserError(
    'engine.version',
    `The window speaks version ${client} of the engine's protocol, the engine version ${server}.`,
    'Reload the window.',
  );
}
