/**
 * JSON of this service.
 * @returns undefined for what is not there (404)
 */
export async function get(path, options = {}) {
  const response = await fetch(path, { headers: { accept: 'application/json' }, ...options });
  if (response.status === 404) return undefined;
  const body = await response.json().catch(() => undefined);
  if (!response.ok) throw new Error(body?.error?.message ?? `${response.status} ${response.statusText}`);
  return body;
}

/** Asked once: it changes only with the Profile. */
const kept = new Map();
export function once(path) {
  if (!kept.has(path)) {
    const answer = get(path);
    answer.catch(() => kept.delete(path));
    kept.set(path, answer);
  }
  return kept.get(path);
}

/** Asks for it anew: the Profile is another one. */
export function forget() {
  kept.clear();
}

/** Verdicts and transitions as they come; the browser connects again by itself. */
export function follow({ onVerdict, onTransition, onState }) {
  const events = new EventSource('/events');
  events.addEventListener('open', () => onState('live'));
  events.addEventListener('error', () => onState('reconnecting'));
  events.addEventListener('verdict', ({ data }) => onVerdict(JSON.parse(data)));
  events.addEventListener('transition', ({ data }) => onTransition(JSON.parse(data)));
  // Some were missed: whoever shows them asks anew.
  events.addEventListener('missed', () => onTransition(undefined));
  return events;
}
