/** What is used of a connection of `rabbitmq-client`; the socket is not part of its contract, so that nothing is done where there is none. */
export interface GatheringConnection {
  on(event: 'connection', listener: () => void): unknown
}

interface CorkableSocket {
  cork: () => void
  readonly uncork: () => void
}

/**
 * The client hands each message to the system on its own, which costs more than all else that it does to publish. So the socket
 * holds back what is written in one turn, and hands it over at its end.
 */
export const gatherWrites = (connection: GatheringConnection): void => {
  connection.on('connection', () => {
    const { _socket: socket } = connection as unknown as { readonly _socket?: CorkableSocket }
    if (typeof socket?.cork !== 'function') return
    const cork = socket.cork.bind(socket)
    let isHeld = false
    const release = (): void => {
      isHeld = false
      socket.uncork()
    }
    socket.cork = () => {
      cork()
      if (isHeld) return
      isHeld = true
      cork()
      process.nextTick(release)
    }
  })
}
