// A messaging gateway's side of the contract with mesura, small enough to copy. See docs/gateway.md.
//
//     PROVIDER_URL=https://provider.example.com/messages node gateway.mjs
//
// 1. A decision is acted on once: its id is claimed, on disk, right before the message is sent. If the process dies in
//    between, the message is not sent. That is the safe side: it had been counted.
// 2. What is withdrawn is not sent, also if the withdrawal was read together with the approval.
// 3. Nothing is sent after `valid_until`; the clock is asked right before each send.
// 4. Outcomes are reported without a transaction and acknowledged before the position is committed.
// 5. What may or may not have been sent is not reported: until a report comes, mesura counts it as sent.
//
// Several processes for one channel must share one memory, because after a rebalance one of them reads again what another
// has acted on.
import { ACKS, connect, openProducer, setting } from './connection.mjs'
import { Memory } from './memory.mjs'
import { Refused, UnknownFate, send } from './provider.mjs'

/**
 * @typedef {import('./events/approved.js').Approval} Approval
 * @typedef {import('./events/approved.js').ApprovalOrWithdrawal} ApprovalOrWithdrawal
 * @typedef {import('./events/outcome.js').Outcome} Outcome
 */

/**
 * How long a decision is remembered after its approval has ended. Approvals read again later than that are ignored, and
 * nothing is reported about them: whether they were sent is not known any more.
 */
const MEMORY_MS = 7 * 24 * 3_600_000
const FORGET_EVERY_MS = 3_600_000
/** So few that outcomes are reported, and the position is committed, every now and then. */
const STEP_MAX = 20
/** The ids of the policy's obligations that are fulfilled here. A message with any other is not sent. */
const FULFILLED = ['include-opt-out']

const url = setting('PROVIDER_URL')
const channel = setting('CHANNEL', 'sms')
const outcomeTopic = setting('OUTCOME_TOPIC', 'contact-outcome')
const memory = new Memory(setting('MEMORY', 'gateway.journal'))
let isStopping = false

/**
 * Acts on an event; what is known of its decision now, if anything is.
 * @param {ApprovalOrWithdrawal} event
 * @param {Set<string>} withdrawn the decisions that are withdrawn in the same batch
 * @returns {Promise<Outcome | undefined>}
 */
async function outcomeOf(event, withdrawn) {
  const untilMs = event.valid_until + MEMORY_MS
  if (event.channel !== channel || untilMs < Date.now()) return undefined
  if (event.type === 'withdrawn') {
    // If it had not been claimed it has not been sent, and now never will be.
    return memory.claim(event.decision_id, untilMs) ? report(event, 'expired') : undefined
  }
  if (event.type !== 'approved') return undefined // of a version that is not known here
  return !withdrawn.has(event.decision_id) && memory.claim(event.decision_id, untilMs) ? act(event) : undefined
}

/**
 * @param {Approval} approval
 * @returns {Promise<Outcome | undefined>}
 */
async function act(approval) {
  const sent = report(approval, 'sent')
  if (sent.occurred_at > approval.valid_until) return { ...sent, type: 'expired' }
  if (!approval.obligations.every((obligation) => FULFILLED.includes(obligation))) {
    console.error(`not sent: an obligation of ${approval.obligations} that we do not fulfil`)
    return { ...sent, type: 'failed', detail: 'unfulfilled_obligation' }
  }
  try {
    await send(url, approval)
    return sent
  } catch (error) {
    if (error instanceof Refused) return { ...sent, type: 'failed', detail: error.message }
    if (!(error instanceof UnknownFate)) throw error
    console.error(`decision ${approval.decision_id} may or may not have been sent: ${error.message}`)
    return undefined
  }
}

/**
 * @param {ApprovalOrWithdrawal} event
 * @param {Outcome['type']} type
 * @returns {Outcome}
 */
function report(event, type) {
  return { customer_id: event.customer_id, type, occurred_at: Date.now(), decision_id: event.decision_id }
}

/**
 * Some of a batch: act, report, and return the offset that everything before is done of.
 * @param {import('kafkajs').KafkaMessage[]} messages
 * @param {Set<string>} withdrawn
 * @param {import('kafkajs').Producer} producer
 * @param {() => Promise<void>} heartbeat
 */
async function step(messages, withdrawn, producer, heartbeat) {
  /** @type {import('kafkajs').Message[]} */
  const reports = []
  let done
  for (const message of messages) {
    if (isStopping) break // what is left is read again; what was claimed is not sent again
    const outcome = await outcomeOf(JSON.parse(String(message.value)), withdrawn)
    if (outcome !== undefined) reports.push({ key: outcome.customer_id, value: JSON.stringify(outcome) })
    done = message.offset
    await heartbeat() // or the group takes this process for dead while a slow provider is waited for
  }
  // Without a transaction: mesura waits for what is acknowledged here, and an open one would hold it back.
  if (reports.length > 0) await producer.send({ topic: outcomeTopic, acks: ACKS, messages: reports })
  return done
}

const kafka = connect()
const producer = await openProducer(kafka)
const consumer = kafka.consumer({
  groupId: setting('GROUP', `gateway-${channel}`),
  readUncommitted: false, // or approvals would be read that never came to be
  // How soon another process takes over from one that died without leaving the group.
  sessionTimeout: Number(setting('SESSION_TIMEOUT_MS', '45000')),
  heartbeatInterval: 1_000,
  maxWaitTimeInMs: 500,
})
await consumer.connect()
await consumer.subscribe({ topic: setting('APPROVED_TOPIC', 'approved-send'), fromBeginning: true })

async function stop() {
  if (isStopping) return
  isStopping = true
  await consumer.disconnect() // once the step that is under way has ended
  await producer.disconnect()
  memory.close()
}
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
consumer.on(consumer.events.CRASH, async ({ payload }) => {
  if (payload.restart) return // KafkaJS tries again
  console.error(`${payload.error}; nothing more is committed, and what was sent is not sent again`)
  process.exitCode = 1
  await stop()
})

let forgottenMs = Date.now()
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  partitionsConsumedConcurrently: 1,
  eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, uncommittedOffsets, isRunning, isStale }) => {
    if (Date.now() - forgottenMs > FORGET_EVERY_MS) memory.forget((forgottenMs = Date.now()))
    /** @type {ApprovalOrWithdrawal[]} */
    const events = batch.messages.map((message) => JSON.parse(String(message.value)))
    const withdrawn = new Set(events.filter(({ type }) => type === 'withdrawn').map(({ decision_id }) => decision_id))
    for (let first = 0; first < batch.messages.length && isRunning() && !isStale(); first += STEP_MAX) {
      const done = await step(batch.messages.slice(first, first + STEP_MAX), withdrawn, producer, heartbeat)
      if (done === undefined) return
      resolveOffset(done)
      await commitOffsetsIfNecessary(uncommittedOffsets())
    }
  },
})
