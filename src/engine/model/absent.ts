/** Stands in for packages that the tokenizer library imports and the engine never calls (images, browser runtimes). */
export default {};
