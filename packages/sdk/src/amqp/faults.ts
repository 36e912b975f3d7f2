/** What an AMQP 0-9-1 broker and the way to it say, in our words: by the reply codes of the protocol, and the words of RabbitMQ where one code says two things. */
import { systemCode } from '../errors/error.ts'
import { networkFault } from '../http/failures.ts'

/** Why a broker did not do what it was asked for. */
export interface BrokerFault {
  /** `refused`: another try does not change it, somebody has to. */
  readonly kind: 'refused' | 'unavailable'
  /** The broker's words hold names of queues and users; no passwords and no data. */
  readonly why: string
  readonly fix: string | undefined
}

const unavailable = (why: string, fix?: string): BrokerFault => ({ kind: 'unavailable', why, fix })
const refused = (why: string, fix: string): BrokerFault => ({ kind: 'refused', why, fix })

/** Replies that another try does not change, but for what {@link ofReply} knows better. */
const lasting: Readonly<Record<string, string>> = {
  ACCESS_REFUSED: 'Give the user the right to it (rabbitmqctl set_permissions), or use another user.',
  NOT_ALLOWED: 'Check the virtual host in the url, and that the user may enter it.',
  NOT_FOUND: 'Check its name and the virtual host, or make it at the broker.',
  PRECONDITION_FAILED: 'It is there with other properties: take it as it is, or make it anew.',
  RESOURCE_LOCKED: 'Another connection has it for itself: use another name.',
  INVALID_PATH: 'Check the virtual host in the url.',
  COMMAND_INVALID: 'The broker does not take such a request: check the settings, and that its version knows them.',
  NOT_IMPLEMENTED: 'The broker does not do that: check the settings, and that its version knows them.',
  VERSION_MISMATCH: 'Give the port on which it speaks AMQP 0-9-1, usually 5672 (5671 with TLS).',
}

/** Puts an error of the client library, the broker or the network into our words. */
export const brokerFault = (error: unknown): BrokerFault => {
  const code = systemCode(error) ?? ''
  // Before the colon stands the method that it answers to.
  const words = (error instanceof Error ? error.message : String(error)).replace(/^[A-Z]\w+: /, '')
  const known = ofReply(code, words)
  if (known !== undefined) return known
  const fix = lasting[code]
  if (fix !== undefined) return refused(words || code, fix)
  const network = networkFault(error)
  if (network.refused)
    return refused(
      network.why,
      /EPROTO|ERR_SSL/.test(code)
        ? 'Check url: amqp without TLS is usually on port 5672, amqps on 5671.'
        : (network.fix ?? 'Have its certificate mended.'),
    )
  if (/^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|EPIPE)$/.test(code)) return unavailable(network.why, network.fix)
  return unavailable(words || code || 'the connection was lost')
}

const ofReply = (code: string, words: string): BrokerFault | undefined => {
  switch (code) {
    case 'ACCESS_REFUSED':
      return /login was refused/i.test(words)
        ? refused(
            'user or password were not accepted (ACCESS_REFUSED)',
            'Check user and password in the url; guest may log in from the machine of the broker only.',
          )
        : undefined
    case 'NOT_ALLOWED':
      if (/limit/i.test(words))
        return unavailable(words, 'Close other connections of this user, or raise the limit at the broker.')
      return /not found/i.test(words)
        ? refused(
            words,
            'Check the virtual host in the url (nothing behind the port is the default one), or make it: rabbitmqctl add_vhost.',
          )
        : undefined
    case 'NOT_FOUND':
      return /down or inaccessible/i.test(words) ? unavailable(words) : undefined
    case 'PRECONDITION_FAILED':
      // A stream queue while its broker is starting.
      if (/does not have a replica/i.test(words)) return unavailable(words)
      return /larger than/i.test(words)
        ? refused(words, 'Raise max_message_size at the broker, or make the records smaller.')
        : undefined
    case 'NACK':
      return unavailable(
        'it refused a message (nack): a queue is at its limit, its disk is full, or its node is going',
        'Let its consumers empty the queue, raise its limit or free disk, and run again.',
      )
    case 'CONN_CLOSE':
      return unavailable('it closed the connection')
    default:
      return undefined
  }
}
