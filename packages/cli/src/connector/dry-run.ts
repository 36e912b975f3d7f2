import type { Persister, PersisterSession } from '@millrace/sdk'

/** The same persister with a destination that takes everything and keeps nothing. */
export const dryRun = (persister: Persister): Persister => ({
  ...persister,
  open: async (): Promise<PersisterSession> => ({
    declare: async () => {},
    write: async () => {},
    activateVersion: async () => {},
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }),
})
