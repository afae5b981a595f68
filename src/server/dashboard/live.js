// @ts-check
import { tellHeadline } from './answer.js';
import { forgetProfile } from './api.js';
import { Cameras } from './cameras.js';

/** @import { Contact } from './answer.js' */
/** @import { Readiness, TransitionEvent, VerdictEvent } from './types.js' */

/** How often the service is asked whether it is there, and what it answers of its cameras; how long it may take to say so. */
const pollMs = 5000;
const answerMs = 8000;
/** Every so-many-th time the cameras are read also where no image came: their images grow old. */
const pollsToReload = 6;
/** Bursts of events are drawn together. */
const drawMs = 250;

/**
 * What a page wants to be told.
 * @typedef {object} Listener
 * @property {(event: VerdictEvent) => void} [verdict]
 * @property {(event: TransitionEvent) => void} [transition]
 * @property {() => void} [missed] events were lost, or the service is another one: ask anew
 * @property {() => void} [profile] another Profile is in force
 * @property {() => void} [change] cameras or contact may look otherwise
 */

/** The connection to the service: its events, whether it answers at all, and the cameras as they are told of. */
export class Live {
  cameras = new Cameras();
  /** @type {Contact} */
  contact = 'connecting';
  /** When the service last answered, by the clock of this computer. */
  heardAt = 0;
  /** @type {Readiness | undefined} */
  readiness;
  /** Why the cameras could not be read, if they could not. @type {string | undefined} */
  failure;
  /** @type {Set<Listener>} */
  #listeners = new Set();
  /** @type {string | undefined} */
  #profile;
  /** How far the clock of the service is ahead of this one. */
  #skewMs = 0;
  #polls = 0;
  #isStreaming = false;
  #isLoaded = false;
  #isDrawing = false;
  /** Whether images came since the answers were read. */
  #isDirty = false;

  async start() {
    this.#follow();
    addEventListener('visibilitychange', () => void (document.hidden || this.#poll()));
    setInterval(() => this.#poll(), pollMs);
    await this.#poll();
  }

  /** The time by the clock of the service, which all its times are told in. */
  now() {
    return Date.now() + this.#skewMs;
  }

  headline() {
    const { contact, heardAt, readiness, failure } = this;
    const cameras = this.#isLoaded ? this.cameras.list() : undefined;
    return tellHeadline({ contact, heardAt, readiness, failure, cameras });
  }

  /** @param {Listener} listener @returns {() => void} call it to be told no more */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #follow() {
    const events = new EventSource('events');
    events.addEventListener('open', () => {
      this.#isStreaming = true;
      // While there is contact, only what it is called changes.
      if (this.contact === 'polling') this.contact = 'live';
      else if (this.contact === 'lost') void this.#poll();
      this.#change();
    });
    events.addEventListener('error', () => {
      this.#isStreaming = false;
      // The browser gives up for good where it was refused; it tries again by itself where the connection broke.
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.#follow(), pollMs);
      void this.#poll();
    });
    events.addEventListener('verdict', ({ data }) => this.#takeVerdict(JSON.parse(data)));
    events.addEventListener('transition', ({ data }) => this.#takeTransition(JSON.parse(data)));
    events.addEventListener('attention', () => void this.#load());
    events.addEventListener('missed', () => void this.#reload());
  }

  /** @param {VerdictEvent} event */
  #takeVerdict(event) {
    if (this.#profile !== undefined && this.#profile !== event.profile) {
      forgetProfile();
      for (const listener of this.#listeners) listener.profile?.();
    }
    this.#profile = event.profile;
    this.cameras.takeVerdict(event);
    this.#isDirty = true;
    for (const listener of this.#listeners) listener.verdict?.(event);
    this.#change();
  }

  /** @param {TransitionEvent} event */
  #takeTransition(event) {
    for (const listener of this.#listeners) listener.transition?.(event);
    void this.#load();
  }

  async #poll() {
    try {
      const sent = Date.now();
      const response = await fetch('health/ready', { cache: 'no-store', signal: AbortSignal.timeout(answerMs) });
      const told = await response.json();
      this.#hear(response, sent, typeof told?.ready === 'boolean' ? told : undefined);
    } catch {
      this.contact = 'lost';
    }
    this.#change();
  }

  /** @param {Response} response @param {number} sent @param {Readiness | undefined} readiness */
  #hear(response, sent, readiness) {
    const wasLost = this.contact === 'lost';
    this.heardAt = Date.now();
    this.readiness = readiness;
    this.contact = this.#isStreaming ? 'live' : 'polling';
    // The header tells whole seconds.
    const skew = Date.parse(response.headers.get('date') ?? '') + 500 - (sent + this.heardAt) / 2;
    this.#skewMs = Math.abs(skew) > 2000 ? skew : 0;
    this.#polls++;
    if (wasLost) void this.#reload();
    else if (!this.#isLoaded || this.#isDirty || !this.#isStreaming || this.#polls % pollsToReload === 0)
      void this.#load();
  }

  async #load() {
    this.#isDirty = false;
    try {
      await this.cameras.load();
      this.#isLoaded = true;
      this.failure = undefined;
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
    this.#change();
  }

  async #reload() {
    forgetProfile();
    await this.#load();
    for (const listener of this.#listeners) listener.missed?.();
  }

  #change() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    setTimeout(() => {
      this.#isDrawing = false;
      for (const listener of this.#listeners) listener.change?.();
    }, drawMs);
  }
}
