import { createSession, type Provider, type Session } from '../runtime/session.ts';

/** Compiled graphs of one model by a text that tells their variants apart: each is made when it is first needed. */
export class SessionPool {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #provider: Provider;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  get(key: string, encode: () => Uint8Array): Promise<Session> {
    let session = this.#sessions.get(key);
    if (!session) {
      session = createSession(encode(), { provider: this.#provider });
      this.#sessions.set(key, session);
    }
    return session;
  }

  /** Frees every session; one that failed to compile has nothing to free. */
  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) {
      session.then(
        (compiled) => compiled[Symbol.dispose](),
        () => {},
      );
    }
    this.#sessions.clear();
  }
}
