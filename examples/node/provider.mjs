// A provider that takes JSON; put your own provider's client here. Most providers know a repetition by a key. With such a
// one, try again until `valid_until` if the fate of a message is unknown.

/** The provider did not take the message. The text is a code. */
export class Refused extends Error {}

/** Nobody can say whether the message was sent. */
export class UnknownFate extends Error {}

const PATIENCE_MS = 5_000

/**
 * @param {string} url
 * @param {import('./events/approved.js').Approval} approval
 */
export async function send(url, approval) {
  const { decision_id, customer_id, valid_until, obligations } = approval
  let status
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': decision_id },
      body: JSON.stringify({ decision_id, customer_id, valid_until, obligations }),
      redirect: 'manual', // it would be followed with GET, which sends nothing
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    await response.arrayBuffer() // so that the connection can be used again
    status = response.status
  } catch (error) {
    throw new UnknownFate(String(error))
  }
  if (status >= 400 && status < 500) throw new Refused(String(status))
  if (status >= 300) throw new UnknownFate(`the provider answered ${status}`)
}
