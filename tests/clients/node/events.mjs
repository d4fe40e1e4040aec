// The events of one run, as messages of KafkaJS: JSON by JSON.stringify, envelopes by the CloudEvents SDK.
import { randomUUID } from 'node:crypto'
import { CloudEvent, Kafka as InKafka } from 'cloudevents'

const TIMES = {
  millis: () => Date.now(),
  'Date.toISOString': () => new Date().toISOString(),
  'Date in JSON.stringify': () => new Date(),
  'Date.toString': () => String(new Date()),
  'Date.toUTCString': () => new Date().toUTCString(),
  'performance.now': () => performance.timeOrigin + performance.now(),
}

// Every second group of four is as usual, so that a no in the special form meets intents that can be read.
const isSpecial = (number) => Math.floor(number / 4) % 2 === 0

export const saying = (number) => ['opt_out', 'opt_out', 'stop', null][number % 4]

export class Events {
  constructor(topics, run) {
    this.topics = topics
    this.run = run
  }

  customer(number) {
    return this.run.customer_prefix + number
  }

  no(number) {
    const at = this.#time(number)
    if (saying(number) === 'stop') {
      const fields = { customer_id: this.customer(number), type: 'reply', detail: 'stop', channel: 'sms', occurred_at: at }
      return { topic: this.topics.outcomes, message: this.#message(number, fields) }
    }
    const fields = { event_id: randomUUID(), customer_id: this.customer(number), type: 'opt_out', effective_at: at }
    return { topic: this.topics.preferences, message: this.#message(number, fields) }
  }

  intent(number) {
    const fields = {
      intent_id: randomUUID(),
      customer_id: this.customer(number),
      channel: 'sms',
      purpose: 'service',
      created_at: this.#time(number),
    }
    return { topic: this.topics.intents, message: this.#message(number, fields, isSpecial(number)) }
  }

  #time(number) {
    const form = TIMES[isSpecial(number) ? this.run.time : 'millis']
    if (form === undefined) throw new Error(`no form of time: ${this.run.time}`)
    return form()
  }

  #message(number, fields, isBrokenWithHeaders = false) {
    const key = this.customer(number)
    const value = JSON.stringify(fields)
    switch (this.run.form) {
      case 'plain':
        return { key, value }
      case 'headers':
        return {
          key,
          value: isBrokenWithHeaders ? value.slice(0, -1) : value,
          // KafkaJS cannot write a header that is null: it throws.
          headers: { trace: ['', Buffer.from([0, 255, 10])], '': 'nameless', kafka_correlationId: '' },
        }
      case 'binary':
      case 'structured': {
        const event = new CloudEvent({
          source: '/clients/node',
          type: 'mesura.test',
          subject: key,
          datacontenttype: 'application/json',
          partitionkey: key,
          data: fields,
        })
        const message = this.run.form === 'binary' ? InKafka.binary(event) : InKafka.structured(event)
        // What the SDK leaves to its user: KafkaJS takes text and bytes, not objects, and no header that is undefined.
        const value = typeof message.value === 'string' ? message.value : JSON.stringify(message.value)
        const headers = Object.entries(message.headers).filter(([, content]) => content !== undefined)
        return { ...message, value, headers: Object.fromEntries(headers) }
      }
      default:
        throw new Error(`no form: ${this.run.form}`)
    }
  }
}
