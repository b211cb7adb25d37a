import type { NotificationListener } from './rpc-session.js';

export const lockTopic = (name: string): string => `lock ${name}`;
export const monitorTopic = (id: string): string => `monitor ${id}`;
const topicOf = (method: string, subject: string): string =>
  method === 'locked' || method === 'stolen' ? lockTopic(subject) : monitorTopic(subject);

/** Notifications begin with what they are about: a monitor's id or a lock's name (RFC 7047 §4.1.6, §4.1.9). */
export class NotificationRouter {
  readonly #listeners = new Map<string, NotificationListener>();

  listen(topic: string, listener: NotificationListener): void {
    this.#listeners.set(topic, listener);
  }

  forget(topic: string): void {
    this.#listeners.delete(topic);
  }

  /** What nobody listens to was for somebody who has just left. */
  readonly route: NotificationListener = (method, params) => {
    const [subject] = params;
    if (typeof subject === 'string') this.#listeners.get(topicOf(method, subject))?.(method, params);
  };
}
