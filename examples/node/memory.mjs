// Remembers which decisions were acted on, in a file of this process's own: a line for each, on disk before anything is
// sent. Where several processes serve a channel they need a memory that they share, such as a table of a database with
// the decision as its primary key.
import { closeSync, existsSync, fdatasyncSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'

export class Memory {
  /** @type {Map<string, number>} until when, by decision */
  #claimed = new Map()
  #path
  #file

  /** @param {string} path */
  constructor(path) {
    this.#path = path
    if (existsSync(path)) {
      // What follows the last line's end was being written when the process died, so nothing was sent for it.
      for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
        const [untilMs, decision] = line.split(' ')
        this.#claimed.set(decision, Number(untilMs))
      }
    }
    this.#file = this.#rewritten(Date.now())
  }

  /**
   * Remembers a decision until then, durably, before it returns; whether nobody had claimed it.
   * @param {string} decision
   * @param {number} untilMs
   */
  claim(decision, untilMs) {
    if (this.#claimed.has(decision)) return false
    writeSync(this.#file, `${untilMs} ${decision}\n`)
    fdatasyncSync(this.#file)
    this.#claimed.set(decision, untilMs)
    return true
  }

  /**
   * Forgets what has had its time, in the file too.
   * @param {number} nowMs
   */
  forget(nowMs) {
    closeSync(this.#file)
    this.#file = this.#rewritten(nowMs)
  }

  close() {
    closeSync(this.#file)
  }

  /** @param {number} nowMs */
  #rewritten(nowMs) {
    for (const [decision, untilMs] of this.#claimed) if (untilMs < nowMs) this.#claimed.delete(decision)
    const lines = Array.from(this.#claimed, ([decision, untilMs]) => `${untilMs} ${decision}\n`)
    const file = openSync(`${this.#path}.new`, 'w', 0o600)
    writeSync(file, lines.join(''))
    fsyncSync(file)
    renameSync(`${this.#path}.new`, this.#path)
    return file
  }
}
