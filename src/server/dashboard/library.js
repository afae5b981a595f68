// @ts-check
import htm from './htm.mjs';
import { Component, h, render } from './preact.mjs';

/**
 * Templates of elements. Text is always text: names of cameras and files come from elsewhere, and nothing here parses HTML.
 * @example html`<p class="soft">${name}</p>`
 */
export const html = /** @type {{ bind(make: typeof h): (strings: TemplateStringsArray, ...values: any[]) => any }} */ (
  /** @type {unknown} */ (htm)
).bind(h);
export { Component, render };

/** @type {Map<string, Promise<void>>} */
const styles = new Map();

/**
 * Loads the style sheet of a page with the page's code, so that nothing is drawn without it.
 * @param {string} name
 */
export function loadStyle(name) {
  const known = styles.get(name);
  if (known) return known;
  const loaded = new Promise((resolve, reject) => {
    const link = document.createElement('link');
    Object.assign(link, {
      rel: 'stylesheet',
      href: `dashboard/${name}`,
      onload: () => resolve(undefined),
      onerror: reject,
    });
    document.head.append(link);
  });
  styles.set(name, loaded);
  return loaded;
}
