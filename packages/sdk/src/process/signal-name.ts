/** The name of the signal (`SIGINT`) that an abort was asked by, where its reason says one. */
export const signalName = (signal: AbortSignal | undefined): string | undefined => {
  const said = signal?.reason instanceof DOMException ? signal.reason.message : signal?.reason
  return typeof said === 'string' && /^SIG[A-Z]+$/.test(said) ? said : undefined
}
