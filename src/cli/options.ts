import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { DeviceChoice } from '../protocol/engine.ts';

const devices: readonly DeviceChoice[] = ['cpu', 'auto', 'cuda', 'webgpu', 'dml', 'coreml'];

/** The command was called wrongly: what is wrong, and how it is called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly help: string;

  constructor(message: string, help: string) {
    super(message);
    this.help = help;
  }
}

type OptionKinds = Readonly<Record<string, 'text' | 'texts' | 'flag'>>;

/** The options of one call of a command, checked as they are asked for. */
export class Options {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly #help: string;

  /** UsageError for options that are not known, or lack their value. */
  constructor(args: readonly string[], kinds: OptionKinds, help: string) {
    const options: NonNullable<ParseArgsConfig['options']> = {};
    const all: OptionKinds = { ...kinds, help: 'flag' };
    for (const [name, kind] of Object.entries(all)) {
      options[name] = { type: kind === 'flag' ? 'boolean' : 'string', multiple: kind === 'texts' };
    }
    this.#help = help;
    try {
      const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
      this.#values = values;
      this.positionals = positionals;
    } catch (error) {
      throw new UsageError((error as Error).message, help);
    }
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | null {
    const value = this.#values[name];
    return typeof value === 'string' ? value : null;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  whole(name: string, fallback: number, least: number): number {
    const given = this.text(name);
    if (given === null) return fallback;
    if (/^\d+$/.test(given) && Number.isSafeInteger(Number(given)) && Number(given) >= least) return Number(given);
    throw this.wrong(`--${name} is ${JSON.stringify(given)}; it must be a whole number from ${least}.`);
  }

  /** A number above 0 and at most 1. */
  share(name: string, fallback: number): number {
    const given = this.text(name);
    if (given === null) return fallback;
    const value = Number(given);
    if (given.trim() !== '' && value > 0 && value <= 1) return value;
    throw this.wrong(`--${name} is ${JSON.stringify(given)}; it must be a number above 0 and at most 1.`);
  }

  /** Whole numbers separated by commas; null when the option is absent. */
  wholes(name: string): readonly number[] | null {
    const given = this.text(name);
    if (given === null) return null;
    const parts = given.split(',').map((part) => part.trim());
    if (parts.every((part) => /^\d+$/.test(part) && Number.isSafeInteger(Number(part)))) return parts.map(Number);
    throw this.wrong(`--${name} is ${JSON.stringify(given)}; it must be whole numbers separated by commas.`);
  }

  device(): DeviceChoice {
    const given = this.text('device') ?? 'cpu';
    const known = devices.find((device) => device === given);
    if (known) return known;
    throw this.wrong(`--device is ${JSON.stringify(given)}; it must be one of ${devices.join(', ')}.`);
  }

  wrong(message: string): UsageError {
    return new UsageError(message, this.#help);
  }
}
