/** Makes a function that says how wide a text is in pixels, in one font; widths are kept. */
export function createTextMeasure(family: string, size: number, weight = ''): (text: string) => number {
  const context = document.createElement('canvas').getContext('2d')!;
  const known = new Map<string, number>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    context.font = `${weight} ${size}px ${family}`;
    const { width } = context.measureText(text);
    known.set(text, width);
    return width;
  };
}
