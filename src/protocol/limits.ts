// How much the engine keeps in memory. The engine keeps to these, and what a trace will take is told from them beforehand.

const megabyte = 2 ** 20;

/** Adaptive mode attributes at most this many features; the result says how much influence is left. */
export const mostAdaptiveFeatures = 4096;
/** Weights of models that take less than this as float32 are kept so; others are read from their files again. */
export const mostHeldModelBytes = 256 * megabyte;
/** Attention weights, as the sweep needs them, that take more than this are made again layer by layer. */
export const mostCarryBytes = 512 * megabyte;
/** Attention patterns are kept up to this size; those of longer prompts are made again in parts. */
export const mostPatternBytes = 1024 * megabyte;
/** What features write is kept up to this size; beyond, it is read again for each batch of targets. */
export const mostWrittenBytes = 2048 * megabyte;
/** The same as a share of the memory that is free. */
export const mostWrittenShare = 1 / 2;
/** Gradients and effects of the rows that are swept together when a prompt is swept in pieces, about. */
export const pieceBatchBytes = 1024 * megabyte;
/** All rows of effects take at most this much where how much is enough may be chosen. */
export const mostRowBytes = 2048 * megabyte;
/** Threads that sweep at most: each takes some 30 MB, and memory's speed is used up before that many cores are. */
export const mostSweepThreads = 8;
/** What the effects of rows that are swept side by side may take in a thread's memory, beyond those of one batch. */
export const mostEffectBytes = 128 * megabyte;
/** Where decoder rows, each once, take less than this part of what all features write takes, they are kept instead. */
export const worthTables = 1 / 2;
