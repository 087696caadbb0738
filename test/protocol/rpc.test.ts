import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isAbort, UserError } from '../../src/protocol/errors.ts';
import { type Client, connect, type Handlers, type Port, serve } from '../../src/protocol/rpc.ts';

type Calls = {
  double: { params: { readonly value: number }; result: number; progress: { readonly done: number } };
  refuse: { params: { readonly code: string }; result: never; progress: never };
};

/** Two joined ports. What is sent waits until `deliver` is called: tests choose the order of everything. */
function channel(): { client: Port; server: Port; deliver: () => boolean } {
  const listeners: { client: (message: unknown) => void; server: (message: unknown) => void } = {
    client: () => {},
    server: () => {},
  };
  const queue: { to: 'client' | 'server'; message: unknown }[] = [];
  const port = (own: 'client' | 'server', other: 'client' | 'server'): Port => ({
    send: (message) => queue.push({ to: other, message: structuredClone(message) }),
    onMessage: (listener) => {
      listeners[own] = listener;
    },
  });
  return {
    client: port('client', 'server'),
    server: port('server', 'client'),
    deliver: () => {
      const next = queue.shift();
      if (next !== undefined) listeners[next.to](next.message);
      return next !== undefined;
    },
  };
}

const patience = { cancelPatience: 60_000, onUnansweredCancel: () => {} };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function deliverAll(deliver: () => boolean): Promise<void> {
  for (let quiet = 0; quiet < 2; quiet++) {
    while (deliver()) quiet = 0;
    await turn();
  }
}

const handlers: Handlers<Calls> = {
  double: async ({ value }, { onProgress }) => {
    onProgress({ done: 1 });
    onProgress({ done: 2 });
    return 2 * value;
  },
  refuse: async ({ code }) => {
    throw new UserError(code, 'The model needs 9 GB; 8 GB are free.', 'Choose a smaller model.');
  },
};

test('a call carries its progress in order and then its result', async () => {
  const { client, server, deliver } = channel();
  serve<Calls>(server, 1, handlers);
  const calls = connect<Calls>(client, 1, patience);
  const seen: number[] = [];
  const result = calls.call('double', { value: 21 }, { onProgress: ({ done }) => seen.push(done) });
  await deliverAll(deliver);
  assert.equal(await result, 42);
  assert.deepEqual(seen, [1, 2]);
});

test("a user's error arrives with its code, message and remedy", async () => {
  const { client, server, deliver } = channel();
  serve<Calls>(server, 1, handlers);
  const result = connect<Calls>(client, 1, patience).call('refuse', { code: 'model.tooLarge' });
  const failed = assert.rejects(result, (error: unknown) => {
    assert.ok(error instanceof UserError);
    assert.deepEqual([error.code, error.remedy], ['model.tooLarge', 'Choose a smaller model.']);
    return true;
  });
  await deliverAll(deliver);
  await failed;
});

test('another version is refused by both sides with the advice to reload', async () => {
  const { client, server, deliver } = channel();
  serve<Calls>(server, 2, handlers);
  const calls = connect<Calls>(client, 1, patience);
  const refused = assert.rejects(calls.call('double', { value: 1 }), { code: 'engine.version' });
  await deliverAll(deliver);
  await refused;
  await assert.rejects(calls.call('double', { value: 1 }), { code: 'engine.version' });
});

test('a server that never heard a version answers no call with a result', async () => {
  const { client, server, deliver } = channel();
  serve<Calls>(server, 1, handlers);
  const replies: unknown[] = [];
  client.onMessage((message) => replies.push(message));
  client.send({ type: 'call', id: 1, method: 'double', params: { value: 1 } });
  await deliverAll(deliver);
  assert.partialDeepStrictEqual(replies, [{ type: 'error', id: 1, error: { code: 'engine.version' } }]);
});

test('a method of Object.prototype is not a call', async () => {
  const { client, server, deliver } = channel();
  serve<Calls>(server, 1, handlers);
  const calls = connect<Calls>(client, 1, patience) as unknown as Client<Record<string, Calls['double']>>;
  const refused = assert.rejects(calls.call('toString', { value: 1 }), /no call named toString/);
  await deliverAll(deliver);
  await refused;
});

test('a result that cannot be sent fails its call instead of leaving it waiting', async () => {
  const { client, server, deliver } = channel();
  serve<Calls>(server, 1, { ...handlers, double: async () => (() => 1) as unknown as number });
  const refused = assert.rejects(
    connect<Calls>(client, 1, patience).call('double', { value: 1 }),
    /could not be cloned/,
  );
  await deliverAll(deliver);
  await refused;
});

test('a cancel that nobody answers is reported once; an answered one is not', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { client, server, deliver } = channel();
  let stuck = 0;
  const calls = connect<Calls>(client, 1, { cancelPatience: 3000, onUnansweredCancel: () => stuck++ });
  const controller = new AbortController();
  const cancelled = assert.rejects(calls.call('double', { value: 1 }, { signal: controller.signal }), isAbort);
  controller.abort();
  await cancelled;
  context.mock.timers.tick(2999);
  assert.equal(stuck, 0);
  context.mock.timers.tick(1);
  assert.equal(stuck, 1);

  serve<Calls>(server, 1, handlers);
  const second = new AbortController();
  const again = assert.rejects(calls.call('double', { value: 1 }, { signal: second.signal }), isAbort);
  second.abort();
  await again;
  await deliverAll(deliver);
  context.mock.timers.tick(10_000);
  assert.equal(stuck, 1);
});

/** What happens next in a random run; numbers choose a call. */
const steps = fc.array(
  fc.oneof(
    fc.record({ type: fc.constantFrom('call', 'cancel', 'finish', 'fail'), which: fc.nat(9) }),
    fc.record({ type: fc.constantFrom('deliver', 'crash', 'turn'), which: fc.constant(0) }),
  ),
  { maxLength: 60 },
);

test('in any order of results, errors, cancels and a crash each call settles exactly once', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const { client, server, deliver } = channel();
      const waiting: { resolve: (value: number) => void; reject: (error: Error) => void }[] = [];
      serve<Calls>(server, 1, {
        ...handlers,
        double: ({ value }, { signal }) =>
          new Promise((resolve, reject) => {
            waiting.push({ resolve: () => resolve(2 * value), reject });
            signal.addEventListener('abort', () => reject(signal.reason));
          }),
      });
      const calls = connect<Calls>(client, 1, patience);
      const started: { value: number; outcomes: string[]; controller: AbortController }[] = [];
      for (const { type, which } of script) {
        if (type === 'call') {
          const entry = { value: started.length, outcomes: [] as string[], controller: new AbortController() };
          started.push(entry);
          calls.call('double', { value: entry.value }, { signal: entry.controller.signal }).then(
            (result) => entry.outcomes.push(result === 2 * entry.value ? 'result' : `wrong result ${result}`),
            (error: Error) => entry.outcomes.push(isAbort(error) ? 'cancelled' : error.message),
          );
        } else if (type === 'cancel') started[which]?.controller.abort();
        else if (type === 'finish') waiting[which]?.resolve(0);
        else if (type === 'fail') waiting[which]?.reject(new Error('failed'));
        else if (type === 'deliver') deliver();
        else if (type === 'crash') calls.end(new Error('The engine ended.'));
        else await turn();
      }
      calls.end(new Error('The engine ended.'));
      await deliverAll(deliver);
      for (const { outcomes, controller } of started) {
        assert.equal(outcomes.length, 1, `settled ${outcomes.length} times: ${outcomes}`);
        assert.match(outcomes[0], /^(result|cancelled|failed|The engine ended\.)$/);
        if (outcomes[0] === 'cancelled') assert.ok(controller.signal.aborted);
      }
    }),
    { numRuns: 300 },
  );
});
