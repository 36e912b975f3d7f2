import assert from 'node:assert/strict'
import net from 'node:net'
import { after, describe, it } from 'node:test'
import { findBroker } from '@millrace/sdk/testing'
import { Link } from './link.ts'

const broker = await findBroker()

describe('a connection to the broker', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  after(() => broker[Symbol.asyncDispose]())

  it('takes several blocks before they are handed to the system', async (t) => {
    // The client and Node pass this option on without saying so.
    const connected = t.mock.method(net, 'connect')
    const link = new Link(broker.url, 10_000)
    await link.connect()
    const socket = connected.mock.calls[0]?.result as net.Socket
    await link.close()
    assert.equal(socket.writableHighWaterMark, 1024 * 1024)
  })
})
