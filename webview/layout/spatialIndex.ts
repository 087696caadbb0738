/** Points in square buckets, to find the one nearest to the pointer without looking at all of them. */
export type SpatialIndex = {
  /** The nearest point within `radius` on screen, or null. Scales are screen pixels per unit, by axis. */
  nearest(x: number, y: number, radius: number, scaleX: number, scaleY: number): number | null;
  /** All points in a rectangle of the points' own units. */
  within(left: number, top: number, right: number, bottom: number): number[];
};

const bucketSize = 32;
/** More rows of buckets than any grid has: a bucket's number is made of its column and its row. */
const mostRows = 1 << 20;

function bucketAt(column: number, row: number): number {
  return column * mostRows + row;
}

/**
 * @param points which entries of x and y to index
 */
export function spatialIndex(points: Uint32Array, x: Float32Array, y: Float32Array): SpatialIndex {
  const buckets = new Map<number, number[]>();
  for (const point of points) {
    const key = bucketAt(Math.floor(x[point] / bucketSize), Math.floor(y[point] / bucketSize));
    const bucket = buckets.get(key);
    if (bucket) bucket.push(point);
    else buckets.set(key, [point]);
  }
  const within = (left: number, top: number, right: number, bottom: number) => {
    const found: number[] = [];
    for (let column = Math.floor(left / bucketSize); column <= Math.floor(right / bucketSize); column++) {
      for (let row = Math.floor(top / bucketSize); row <= Math.floor(bottom / bucketSize); row++) {
        for (const point of buckets.get(bucketAt(column, row)) ?? []) {
          if (x[point] >= left && x[point] <= right && y[point] >= top && y[point] <= bottom) found.push(point);
        }
      }
    }
    return found;
  };
  return {
    within,
    nearest(px, py, radius, scaleX, scaleY) {
      const reachX = radius / scaleX;
      const reachY = radius / scaleY;
      let best: number | null = null;
      let bestDistance = radius;
      for (const point of within(px - reachX, py - reachY, px + reachX, py + reachY)) {
        const distance = Math.hypot((x[point] - px) * scaleX, (y[point] - py) * scaleY);
        if (distance < bestDistance || (distance === bestDistance && best !== null && point < best)) {
          best = point;
          bestDistance = distance;
        }
      }
      return best;
    },
  };
}
