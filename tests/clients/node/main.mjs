// The JavaScript team of `make clients`: called with the file of a task; publishes its runs.
import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import kafkajs from 'kafkajs'
import { CODECS, register } from './codecs.mjs'
import { Events, saying } from './events.mjs'
import { PARTITIONERS } from './partitioners.mjs'

const task = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const kafka = new kafkajs.Kafka({
  clientId: task.client,
  brokers: [task.bootstrap_servers],
  logLevel: kafkajs.logLevel.ERROR,
})

async function openProducer(partitioner, transactionalId) {
  const createPartitioner = PARTITIONERS[partitioner]
  if (createPartitioner === undefined) throw new Error(`no partitioner: ${partitioner}`)
  const producer = kafka.producer({
    createPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
    ...(transactionalId ? { transactionalId } : {}),
  })
  await producer.connect()
  return producer
}

function byTopic(entries) {
  const found = new Map()
  for (const { topic, message } of entries) found.set(topic, [...(found.get(topic) ?? []), message])
  return [...found].map(([topic, messages]) => ({ topic, messages }))
}

// One run, wave by wave: the noes of a wave, then, once all of them are acknowledged, an intent of every customer.
// With transactions each wave's intents are one; every third is aborted. Noes never are in one.
async function publish(run, results) {
  const events = new Events(task.topics, run)
  const sending = { acks: -1, compression: CODECS[run.codec] }
  const noes = await openProducer(run.noes_partitioner)
  const intents = await openProducer(run.partitioner, run.is_transactional && `${run.customer_prefix}transactions`)
  for (let first = 0; first < run.customers; first += run.wave) {
    const numbers = Array.from({ length: Math.min(run.wave, run.customers - first) }, (_, index) => first + index)
    const said = numbers.filter((number) => saying(number) !== null).map((number) => events.no(number))
    await noes.sendBatch({ ...sending, topicMessages: byTopic(said) })
    const acknowledged_ms = Date.now()
    const topicMessages = byTopic(numbers.map((number) => events.intent(number)))
    let fate = 'sent'
    if (run.is_transactional) {
      const transaction = await intents.transaction()
      await transaction.sendBatch({ ...sending, topicMessages })
      fate = (first / run.wave) % 3 === 2 ? 'aborted' : 'committed'
      await (fate === 'aborted' ? transaction.abort() : transaction.commit())
    } else {
      await intents.sendBatch({ ...sending, topicMessages })
    }
    for (const number of numbers) {
      const wasSaid = saying(number)
      const line = {
        run: run.name,
        number,
        customer: events.customer(number),
        said: wasSaid,
        acknowledged_ms: wasSaid === null ? null : acknowledged_ms,
        intent: fate,
      }
      await results.write(`${JSON.stringify(line)}\n`)
    }
  }
  await Promise.all([noes.disconnect(), intents.disconnect()])
}

await register()
const results = await open(task.results, 'w')
for (const run of task.runs) await publish(run, results)
await results.close()
