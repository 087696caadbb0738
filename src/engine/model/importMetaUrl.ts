/** `import.meta.url` in bundles of CommonJS form. */
export const importMetaUrl = require('node:url').pathToFileURL(__filename).href as string;
