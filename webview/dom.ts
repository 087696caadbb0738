type Child = Node | string | null | false;

export type Properties = {
  readonly class?: string;
  readonly text?: string;
  readonly title?: string;
  readonly attributes?: Readonly<Record<string, string | number | boolean | null>>;
  /** CSS custom properties and properties, set through the object model: the page's policy forbids style attributes. */
  readonly style?: Readonly<Record<string, string>>;
  readonly on?: { readonly [Type in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Type]) => void };
};

/** Makes an element. All text goes in as text, never as markup. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  applyTo(made, properties);
  append(made, children);
  return made;
}

/** Replaces an element's children. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren(...children.filter((child): child is Node | string => child !== null && child !== false));
}

/** Sets class, text, attributes, styles and listeners on any element, custom ones too. */
export function applyTo(target: HTMLElement, properties: Properties): void {
  if (properties.class) target.className = properties.class;
  if (properties.text !== undefined) target.textContent = properties.text;
  if (properties.title) target.title = properties.title;
  for (const [name, value] of Object.entries(properties.attributes ?? {})) setAttribute(target, name, value);
  for (const [name, value] of Object.entries(properties.style ?? {})) target.style.setProperty(name, value);
  for (const [type, listener] of Object.entries(properties.on ?? {})) {
    target.addEventListener(type, listener as EventListener);
  }
}

/** Sets an attribute; null and false take it away, true sets it empty. */
export function setAttribute(target: Element, name: string, value: string | number | boolean | null): void {
  if (value === null || value === false) {
    if (name.startsWith('aria-') && value === false) target.setAttribute(name, 'false');
    else target.removeAttribute(name);
    return;
  }
  target.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : String(value));
}

const svgNamespace = 'http://www.w3.org/2000/svg';

/** Makes an SVG element, for the small pictures inside text. */
export function makeSvg(
  tag: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: readonly Node[]
): SVGElement {
  const made = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

function append(parent: Element, children: readonly Child[]): void {
  parent.append(...children.filter((child): child is Node | string => child !== null && child !== false));
}
