import { UserError } from '../../protocol/errors.ts';
import { readJsonFile } from '../model/readJson.ts';
import { wholeTensor } from '../transcoders/floatTensor.ts';
import { openTensorFile } from '../transcoders/setFiles.ts';

export type Direction = { readonly label: string; readonly vector: Float32Array };

/** Directions that one trace explains at once, as for other targets. */
const mostDirections = 1000;

/**
 * Directions of a person's own, from a file: every vector of a .safetensors or .npz file by its name, rows of a matrix
 * numbered; or a JSON object of lists of numbers by name.
 * UserError where a vector is not as wide as the model, holds what is no finite number, or the file holds none.
 * @param dModel the model's width
 */
export function readDirections(file: string, dModel: number): Direction[] {
  const found = /\.json$/i.test(file) ? jsonDirections(file) : tensorDirections(file, dModel);
  if (found.length === 0) throw refused(file, 'it holds no vectors');
  if (found.length > mostDirections) {
    throw refused(file, `it holds ${found.length} vectors; at most ${mostDirections} can be explained at once`);
  }
  for (const { label, vector } of found) {
    const name = JSON.stringify(label.slice(0, 60));
    if (vector.length !== dModel) {
      throw refused(file, `${name} has ${vector.length} numbers; the model's width is ${dModel}`);
    }
    const wrong = vector.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) throw refused(file, `${name} has ${vector[wrong]} at place ${wrong}`);
    if (vector.every((value) => value === 0)) throw refused(file, `${name} has only zeros`);
  }
  return found;
}

function tensorDirections(file: string, dModel: number): Direction[] {
  if (!/\.(safetensors|npz)$/i.test(file)) throw refused(file, 'it is of no known kind');
  using opened = openTensorFile(file);
  const directions: Direction[] = [];
  for (const [name, tensor] of opened.tensors) {
    const rows = tensor.shape.length === 2 ? tensor.shape[0] : 1;
    if (tensor.shape.length > 2 || tensor.isReversed) throw refused(file, `${JSON.stringify(name)} is no vector`);
    if (directions.length + rows > mostDirections || tensor.size > mostDirections * dModel) {
      throw refused(file, `it holds more than ${mostDirections} vectors of the model's width ${dModel}`);
    }
    const values = wholeTensor(tensor);
    const width = values.length / rows;
    for (let row = 0; row < rows; row++) {
      const label = rows === 1 ? name : `${name} ${row}`;
      directions.push({ label, vector: values.slice(row * width, (row + 1) * width) });
    }
  }
  return directions;
}

function jsonDirections(file: string): Direction[] {
  return Object.entries(readJsonFile(file)).map(([label, list]) => ({ label, vector: vectorOf(file, list) }));
}

function vectorOf(file: string, list: unknown): Float32Array {
  if (!Array.isArray(list)) throw refused(file, 'it holds what is no list of numbers');
  const wrong = list.findIndex((value) => typeof value !== 'number');
  if (wrong >= 0) throw refused(file, `a vector has ${JSON.stringify(list[wrong])?.slice(0, 40)} at place ${wrong}`);
  return Float32Array.from(list);
}

function refused(file: string, why: string): UserError {
  return new UserError(
    'targets.directions',
    `${file}: ${why}.`,
    'Give vectors as wide as the model in a .safetensors, .npz or .json file.',
  );
}
