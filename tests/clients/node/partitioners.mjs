// Partitioners by the campaign's words.
import { crc32 } from './crc32.mjs'
import kafkajs from 'kafkajs'

const hashedByCrc32 = () => ({ message, partitionMetadata }) => crc32(Buffer.from(message.key)) % partitionMetadata.length

export const PARTITIONERS = {
  default: kafkajs.Partitioners.DefaultPartitioner,
  legacy: kafkajs.Partitioners.LegacyPartitioner,
  crc32: hashedByCrc32,
}
