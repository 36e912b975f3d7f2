/** A server that is known by its certificate. */
import type { PeerCertificate } from 'node:tls'

export interface KnownByCertificate {
  readonly ca: string
  readonly allowPartialTrustChain: true
  readonly checkServerIdentity: (host: string, shown: PeerCertificate) => Error | undefined
}

/** Settings of a TLS connection to whoever has this certificate (PEM) and its key, whatever name it is for and whoever signed it. */
export const knownByCertificate = (certificate: string): KnownByCertificate => {
  const known = Buffer.from(certificate.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  return {
    ca: certificate,
    allowPartialTrustChain: true,
    // The authority that signed it is trusted as little as any other here.
    checkServerIdentity: (_host, shown) =>
      known.equals(shown.raw) ? undefined : new Error('it shows another certificate than its note says'),
  }
}
