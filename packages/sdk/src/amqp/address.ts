/** The address of an AMQP 0-9-1 broker, as connectors and engines are given it. */

const ports: Readonly<Record<string, number>> = { 'amqp:': 5672, 'amqps:': 5671 }

const isDecodable = (part: string): boolean => {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** What is wrong with the URL of a broker, without showing it; undefined where nothing is. */
export const brokerUrlProblem = (text: string): string | undefined => {
  const url = URL.parse(text)
  if (url === null || ports[url.protocol] === undefined || url.hostname === '')
    return 'url is not a URL of amqp or amqps (amqp://user:password@host:5672/vhost; @ : / in a password are written %40 %3A %2F)'
  if (![url.username, url.password, url.pathname].every(isDecodable))
    return 'url holds a % that begins no escape (a % itself is written %25)'
  if (url.pathname.slice(1).includes('/'))
    return 'url names a virtual host with / in it: that is written %2F, so that the default one is /%2F or nothing'
  return undefined
}

/** Host, port and virtual host, as an error names them: no user, no password. */
export const brokerName = (text: string): string => {
  const { hostname, port, protocol, pathname } = new URL(text)
  const vhost = decodeURIComponent(pathname.slice(1)) || '/'
  return `broker ${hostname}:${port || ports[protocol]} vhost ${vhost}`
}
