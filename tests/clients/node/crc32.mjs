// CRC-32 as zlib has it: Node's own `zlib.crc32` came with version 22.
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let found = byte
  for (let bit = 0; bit < 8; bit += 1) found = found & 1 ? (found >>> 1) ^ 0xedb88320 : found >>> 1
  return found
})

export function crc32(bytes) {
  let found = 0xffffffff
  for (const byte of bytes) found = TABLE[(found ^ byte) & 0xff] ^ (found >>> 8)
  return (found ^ 0xffffffff) >>> 0
}
