import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { SignJWT } from 'jose'
import type { TokenVerdict } from '../control/types.ts'
import { Tokens } from './tokens.ts'

const secret = Buffer.alloc(32, 7)
const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Tokens over a control plane in memory, at a time that can be moved. */
const world = () => {
  let now = Date.parse('2026-11-01T00:00:00.750Z')
  let verdict: TokenVerdict = { is: 'good', isAdministrator: false }
  let checks = 0
  const key = { id: 'k1', algorithm: 'HS256', secret, createdAt: new Date(0), retiredAt: undefined }
  let ids = 0
  const tokens = new Tokens({
    now: () => new Date(now),
    newId: () => `t${ids++}`,
    logins: {
      signingKey: async () => key,
      signingKeys: async () => [key],
      check: async () => {
        checks++
        return verdict
      },
    },
  })
  return {
    tokens,
    pass: (ms: number): void => {
      now += ms
    },
    say: (v: TokenVerdict): void => {
      verdict = v
    },
    checks: (): number => checks,
    seconds: (): number => now / 1000,
  }
}
const actor = { type: 'client', id: 'c1' } as const

describe('access tokens', () => {
  it('say who one is, for an hour', async () => {
    const { tokens, pass } = world()
    const { token, seconds } = await tokens.issue(actor, ['records:read', 'streams:manage'])
    assert.equal(seconds, 3600)
    const { principal, tokenId } = await tokens.verify(token)
    assert.deepEqual(principal, { ...actor, scopes: ['records:read', 'streams:manage'], isAdministrator: false })
    assert.equal(tokenId, 't0')
    pass(3_599_000)
    await tokens.verify(token)
    pass(2_000)
    await assert.rejects(tokens.verify(token), { code: 'TOKEN_INVALID', message: 'the token has expired' })
    await assert.rejects(new Promise((_, no) => tokens.verify(token).catch(no)), { code: 'TOKEN_INVALID' })
  })

  it('are asked about again after a second, and at once where it is said so', async () => {
    const { tokens, pass, say, checks } = world()
    const { token } = await tokens.issue(actor, ['records:read'])
    await tokens.verify(token)
    await tokens.verify(token)
    assert.equal(checks(), 1)
    say({ is: 'revoked' })
    await tokens.verify(token)
    pass(1000)
    await assert.rejects(tokens.verify(token), { message: 'the token was revoked' })
    say({ is: 'good', isAdministrator: true })
    assert.equal((await tokens.verify(token)).principal.isAdministrator, true)
    say({ is: 'actor-gone' })
    await tokens.forget()
    await assert.rejects(tokens.verify(token), { message: 'the holder of the token is gone' })
  })

  it('that were forged, are foreign or malformed are refused', async () => {
    const { tokens, seconds } = world()
    const { token } = await tokens.issue(actor, ['records:read'])
    const [head = '', body = '', signature = ''] = token.split('.')
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>
    const signed = (header: object, payload: object, key: Buffer = secret): string => {
      const text = `${b64(header)}.${b64(payload)}`
      return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
    }
    const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>
    // The way of making these makes good ones too.
    await tokens.verify(signed(header, claims))
    const { privateKey } = generateKeyPairSync('ed25519')
    const foreign = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'k1' })
      .sign(privateKey)
    const without = (name: string): object => Object.fromEntries(Object.entries(claims).filter(([n]) => n !== name))
    const bad: Readonly<Record<string, string>> = {
      'no token': '',
      'no JWT': 'abc',
      'two parts': `${head}.${body}`,
      'alg none': `${b64({ ...header, alg: 'none' })}.${body}.`,
      'alg none with a signature': `${b64({ ...header, alg: 'none' })}.${body}.${signature}`,
      'another key': signed(header, claims, Buffer.alloc(32, 8)),
      'an unknown kid': signed({ ...header, kid: 'k2' }, claims),
      'no kid': signed({ alg: 'HS256', typ: 'at+jwt' }, claims),
      'another algorithm of the same kind': signed({ ...header, alg: 'HS384' }, claims),
      'a signature of another kind': foreign,
      'another type': signed({ ...header, typ: 'JWT' }, claims),
      'another issuer': signed(header, { ...claims, iss: 'other' }),
      'another audience': signed(header, { ...claims, aud: 'other' }),
      'an actor that is none': signed(header, { ...claims, actor: 'root' }),
      'a body that was changed': `${head}.${b64({ ...claims, sub: 'c2' })}.${signature}`,
      'not yet': signed(header, { ...claims, iat: seconds() + 60, exp: seconds() + 3600 }),
      'too long a life': signed(header, { ...claims, iat: seconds() - 4000, exp: seconds() + 3600 }),
      'a crit that is not known': signed({ ...header, crit: ['x'], x: 1 }, claims),
      'too long a text': `${head}.${'A'.repeat(5000)}.${signature}`,
      ...Object.fromEntries(
        ['sub', 'jti', 'iat', 'exp', 'scope', 'actor'].map((n) => [`no ${n}`, signed(header, without(n))]),
      ),
    }
    for (const [what, text] of Object.entries(bad))
      await assert.rejects(tokens.verify(text), { code: 'TOKEN_INVALID' }, what)
  })

  it('of this machine are compared whole', async () => {
    const { tokens } = world()
    const principal = { type: 'user', id: 'u', scopes: ['admin'], isAdministrator: true } as const
    await assert.rejects(tokens.verify('local_abc'), { code: 'TOKEN_INVALID' })
    tokens.local = { text: 'local_abc', principal }
    assert.equal((await tokens.verify('local_abc')).principal, principal)
    for (const text of ['local_', 'local_ab', 'local_abcd', 'local_abC'])
      await assert.rejects(tokens.verify(text), { code: 'TOKEN_INVALID' }, text)
  })
})
