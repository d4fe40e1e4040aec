// Asks mesura whether customers may be contacted: one intent for each customer id that is read from standard input.
//
//     CAMPAIGN=spring-sale node producer.mjs < customers.txt
//
// 1. `intent_id` is made from the campaign and the customer, so it is the same whenever the program is run again. What
//    had arrived already is then suppressed as `duplicate`, and nobody is contacted twice.
// 2. The key is the customer's id and the partitioner murmur2, or the gate has to forward the record.
// 3. The program succeeds only if every intent was acknowledged by all replicas in sync.
import { createInterface } from 'node:readline'
import { CloudEvent, Kafka as InKafka } from 'cloudevents'
import { v5 as uuid } from 'uuid'
import { ACKS, connect, openProducer, setting } from './connection.mjs'

/** The namespace of our intents' ids (RFC 9562, version 5). Make one of your own. */
const INTENTS = '5b0f8d9e-3f5c-4f0e-9d43-0c1f6d2f7a11'
const BATCH_MAX = 500

/**
 * @param {string} campaign
 * @param {string} customer
 * @param {string} channel
 * @returns {import('./events/intent.js').Intent}
 */
function intentFor(campaign, customer, channel) {
  return {
    intent_id: uuid(`${campaign}/${customer}`, INTENTS),
    customer_id: customer,
    channel,
    purpose: 'service',
    campaign_id: campaign,
    created_at: Date.now(),
  }
}

/**
 * Plain JSON, or a CloudEvent in one of its two modes.
 * @param {import('./events/intent.js').Intent} intent
 * @param {string} mode
 * @returns {import('kafkajs').Message}
 */
function messageOf(intent, mode) {
  const key = intent.customer_id
  if (mode === 'none') return { key, value: JSON.stringify(intent) }
  const event = new CloudEvent({
    id: intent.intent_id,
    source: '/examples/node',
    type: 'mesura.intent',
    subject: key,
    datacontenttype: 'application/json',
    data: intent,
  })
  const message = mode === 'structured' ? InKafka.structured(event) : InKafka.binary(event)
  // What the SDK leaves to its user: KafkaJS takes text and bytes, not objects, and no header that is undefined.
  const value = typeof message.value === 'string' ? message.value : JSON.stringify(message.value)
  const headers = Object.entries(message.headers).filter(([, content]) => content !== undefined)
  return { key, value, headers: /** @type {import('kafkajs').IHeaders} */ (Object.fromEntries(headers)) }
}

const mode = setting('CLOUDEVENTS', 'none')
if (!['none', 'structured', 'binary'].includes(mode)) {
  console.error(`CLOUDEVENTS is ${mode}; it can be none, structured or binary`)
  process.exit(1)
}
const campaign = setting('CAMPAIGN')
const channel = setting('CHANNEL', 'sms')
const topic = setting('INTENT_TOPIC', 'outbound-intent')
let count = 0
let acknowledged = 0
try {
  const producer = await openProducer(connect())
  /** @type {import('kafkajs').Message[]} */
  let batch = []
  const publish = async () => {
    await producer.send({ topic, acks: ACKS, messages: batch })
    acknowledged += batch.length
    batch = []
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const customer = line.trim()
    if (customer === '') continue
    count += 1
    batch.push(messageOf(intentFor(campaign, customer, channel), mode))
    if (batch.length === BATCH_MAX) await publish()
  }
  if (batch.length > 0) await publish()
  await producer.disconnect()
} catch (error) {
  console.error(`${error}; run it again, the ids will be the same`)
  process.exitCode = 1
}
console.log(`${acknowledged} of ${count} intents acknowledged`)
