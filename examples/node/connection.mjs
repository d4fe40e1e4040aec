// What both examples are told by environment variables; docs/clients.md has the list.
import { readFileSync } from 'node:fs'
import kafkajs from 'kafkajs'

/**
 * A variable, or the default; ends the program with a sentence if there is neither.
 * @param {string} name
 * @param {string} [otherwise]
 */
export function setting(name, otherwise) {
  const value = process.env[name] || otherwise
  if (value === undefined) {
    console.error(`${name} is not set; docs/clients.md says what it is for`)
    process.exit(1)
  }
  return value
}

// With TLS if there is a certificate authority or KAFKA_TLS is on, with a login if there is a mechanism.
export function connect() {
  const trusted = process.env.KAFKA_SSL_CA_LOCATION
  const isEncrypted = trusted !== undefined || process.env.KAFKA_TLS === 'on'
  return new kafkajs.Kafka({
    brokers: setting('KAFKA_BOOTSTRAP_SERVERS', 'localhost:9092').split(','),
    logLevel: kafkajs.logLevel.WARN,
    ...(isEncrypted ? { ssl: trusted === undefined ? true : { ca: [readFileSync(trusted, 'utf8')] } } : {}),
    ...login(),
  })
}

/** @returns {{ sasl?: import('kafkajs').SASLOptions }} */
function login() {
  const mechanism = process.env.KAFKA_SASL_MECHANISM?.toLowerCase()
  if (mechanism === undefined) return {}
  if (mechanism !== 'plain' && mechanism !== 'scram-sha-256' && mechanism !== 'scram-sha-512') {
    console.error(`KAFKA_SASL_MECHANISM is ${mechanism}; it can be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`)
    process.exit(1)
  }
  const password = readFileSync(setting('KAFKA_SASL_PASSWORD_FILE'), 'utf8').trimEnd()
  const sasl = { mechanism, username: setting('KAFKA_SASL_USERNAME'), password }
  return { sasl: /** @type {import('kafkajs').SASLOptions} */ (sasl) }
}

/**
 * A producer as mesura asks for it: idempotent, and with the partitioner that hashes as Kafka's own clients do.
 * @param {import('kafkajs').Kafka} kafka
 */
export async function openProducer(kafka) {
  const producer = kafka.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1, // or KafkaJS may store records out of order
  })
  await producer.connect()
  return producer
}

/** All replicas in sync. */
export const ACKS = -1
