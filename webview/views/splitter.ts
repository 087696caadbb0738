import { make } from '../dom.ts';

export type Splitter = { readonly element: HTMLElement; set(size: number): void };

const keyStep = 20;

/**
 * A bar between two parts of the page that sets the size of the part after it: by pointer or arrow keys.
 * @param direction of the bar: a vertical one sets a width
 */
export function createSplitter(
  direction: 'vertical' | 'horizontal',
  label: string,
  range: { readonly min: number; readonly max: number },
  onSize: (size: number) => void,
): Splitter {
  let size = range.min;
  let drag: { readonly from: number; readonly size: number } | null = null;
  const along = (event: PointerEvent) => (direction === 'vertical' ? event.clientX : event.clientY);
  const change = (next: number) => onSize(Math.min(range.max, Math.max(range.min, Math.round(next))));
  const element = make('div', {
    class: `splitter ${direction}`,
    attributes: {
      role: 'separator',
      tabindex: 0,
      'aria-label': label,
      'aria-orientation': direction,
      'aria-valuemin': range.min,
      'aria-valuemax': range.max,
    },
    on: {
      pointerdown: (event) => {
        drag = { from: along(event), size };
        element.setPointerCapture(event.pointerId);
      },
      pointermove: (event) => {
        if (drag) change(drag.size - (along(event) - drag.from));
      },
      pointerup: () => {
        drag = null;
      },
      keydown: (event) => {
        const step = { ArrowLeft: keyStep, ArrowUp: keyStep, ArrowRight: -keyStep, ArrowDown: -keyStep }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        change(size + step);
      },
    },
  });
  return {
    element,
    set(next) {
      size = next;
      element.setAttribute('aria-valuenow', String(next));
    },
  };
}
