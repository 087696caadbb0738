/** The theme's colours as the canvas needs them: resolved text, read from the custom properties of style.css. */
export type Palette = {
  readonly background: string;
  readonly foreground: string;
  readonly muted: string;
  readonly line: string;
  readonly node: string;
  readonly error: string;
  readonly token: string;
  readonly logit: string;
  readonly positive: string;
  readonly negative: string;
  readonly focus: string;
  readonly match: string;
  /** Colours of groups, in the order in which they are given out. */
  readonly groups: readonly string[];
  readonly fontFamily: string;
  readonly fontSize: number;
  /** High contrast themes draw outlines and full opacity instead of tints. */
  readonly isHighContrast: boolean;
};

const groupColorCount = 6;

/** Reads the colours that are in force; call again when the theme changes. */
export function readPalette(body: HTMLElement): Palette {
  const style = getComputedStyle(body);
  const color = (name: string) => style.getPropertyValue(`--pc-${name}`).trim() || style.color;
  return {
    background: color('background'),
    foreground: color('foreground'),
    muted: color('muted'),
    line: color('line'),
    node: color('node'),
    error: color('error'),
    token: color('token'),
    logit: color('logit'),
    positive: color('positive'),
    negative: color('negative'),
    focus: color('focus'),
    match: color('match'),
    groups: Array.from({ length: groupColorCount }, (_, index) => color(`group-${index + 1}`)),
    fontFamily: style.fontFamily,
    fontSize: Number.parseFloat(style.fontSize) || 13,
    isHighContrast: body.classList.contains('vscode-high-contrast') || body.dataset.contrast === 'high',
  };
}

/** Calls back when VS Code changes the theme: it writes to the root's style and the body's class. */
export function watchTheme(onChange: () => void): void {
  const observer = new MutationObserver(onChange);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  observer.observe(document.body, { attributes: true, attributeFilter: ['class'] });
}
