import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { Decimal } from './json.ts'
import { decodeTransit, encodeTransit, fromJson, toJson } from './transit.ts'
import {
  Char,
  Instant,
  Keyword,
  Link,
  Tagged,
  TransitList,
  TransitMap,
  TransitSet,
  TransitSymbol,
  Uri,
  Uuid,
} from './transit-values.ts'

interface TransitJs {
  reader(type: string): { read(text: string): unknown }
  writer(type: string): { write(value: unknown): string }
}
const transitJs = createRequire(import.meta.url)('transit-js') as TransitJs

const kw = (name: string): Keyword => new Keyword(name)
const at = (ms: number): Instant => new Instant(ms)

/** The format's vectors: name, value, JSON, JSON-verbose where it is another text. */
const vectors: readonly (readonly [string, unknown, string, string?])[] = [
  [
    'a record of 2016',
    {
      type: 'RECORD',
      record: {
        orgId: 9999,
        name: 'Stitch Support',
        id: 9999,
        status: 'ENABLED',
        createdAt: at(1468435557000),
        openConversationCount: 24,
        totalConversationCount: 616,
      },
      stream: 'inboxes',
      key_fields: ['id'],
    },
    '["^ ","type","RECORD","record",["^ ","orgId",9999,"name","Stitch Support","id",9999,"status","ENABLED","createdAt","~m1468435557000","openConversationCount",24,"totalConversationCount",616],"stream","inboxes","key_fields",["id"]]',
  ],
  [
    'a bookmark',
    { type: 'BOOKMARK', value: { commits: '2016-11-01T17:15:02Z' } },
    '["^ ","type","BOOKMARK","value",["^ ","commits","2016-11-01T17:15:02Z"]]',
    '{"type":"BOOKMARK","value":{"commits":"2016-11-01T17:15:02Z"}}',
  ],
  [
    'a record whose fields share the cache with the envelope',
    { type: 'RECORD', stream: 's', key_fields: ['id'], record: { id: 1, type: 'x', stream: 'y' } },
    '["^ ","type","RECORD","stream","s","key_fields",["id"],"record",["^ ","id",1,"^0","x","^1","y"]]',
  ],
  ['a string alone', 'hello', `["~#'","hello"]`, `{"~#'":"hello"}`],
  ['null alone', null, `["~#'",null]`, `{"~#'":null}`],
  ['strings to escape', ['~', '^', '`', '^0', '#x', '~:kw', '^ '], '["~~","~^","~`","~^0","#x","~~:kw","~^ "]'],
  [
    'keys of three and four characters',
    [{ abc: 1 }, { abc: 2 }, { abcd: 1 }, { abcd: 1 }],
    '[["^ ","abc",1],["^ ","abc",2],["^ ","abcd",1],["^ ","^0",1]]',
    '[{"abc":1},{"abc":2},{"abcd":1},{"abcd":1}]',
  ],
  [
    'keywords',
    [kw('abcd'), kw('abcd'), kw('ab'), kw('ab'), kw('a'), kw('a')],
    '["~:abcd","^0","~:ab","^1","~:a","~:a"]',
    '["~:abcd","~:abcd","~:ab","~:ab","~:a","~:a"]',
  ],
  ['sets', [new TransitSet([1]), new TransitSet([2])], '[["~#set",[1]],["^0",[2]]]', '[{"~#set":[1]},{"~#set":[2]}]'],
  [
    'composite keys',
    new TransitMap([
      [[1, 2], 'x'],
      [[3], 'y'],
    ]),
    '["~#cmap",[[1,2],"x",[3],"y"]]',
    '{"~#cmap":[[1,2],"x",[3],"y"]}',
  ],
  [
    'integer keys',
    new TransitMap([
      [1, 'one'],
      [2, 'two'],
    ]),
    '["^ ","~i1","one","~i2","two"]',
    '{"~i1":"one","~i2":"two"}',
  ],
  ['a boolean key', new TransitMap([[true, 1]]), '["^ ","~?t",1]', '{"~?t":1}'],
  ['a null key', new TransitMap([[null, 1]]), '["^ ","~_",1]', '{"~_":1}'],
  ['an instant as key', new TransitMap([[at(0), 1]]), '["^ ","~m0",1]', '{"~t1970-01-01T00:00:00.000Z":1}'],
  [
    'integers of every size',
    [9007199254740991, 9007199254740993n, 9223372036854775807n, 123456789012345678901234567890n],
    '[9007199254740991,"~i9007199254740993","~i9223372036854775807","~n123456789012345678901234567890"]',
  ],
  [
    'instants',
    [at(-6106017600000), at(0), at(946728000000), at(1396909037000)],
    '["~m-6106017600000","~m0","~m946728000000","~m1396909037000"]',
    '["~t1776-07-04T12:00:00.000Z","~t1970-01-01T00:00:00.000Z","~t2000-01-01T12:00:00.000Z","~t2014-04-07T22:17:17.000Z"]',
  ],
  ['special floats', [Number.NaN, Infinity, -Infinity], '["~zNaN","~zINF","~z-INF"]'],
  ['bytes', [new Uint8Array(Buffer.from('hello transit'))], '["~baGVsbG8gdHJhbnNpdA=="]'],
  ['a decimal keeps its zero', [new Decimal('1.10')], '["~f1.10"]'],
  ['escaped keys are cached as they are written', [{ '~abc': 1 }, { '~abc': 2 }], '[["^ ","~~abc",1],["^ ","^0",2]]'],
  [
    'a cmap and a keyword used again',
    [
      new TransitMap([
        [
          kw('any-value'),
          new TransitMap([
            [['this vector makes this a cmap'], 'any value'],
            ['any string', kw('victim')],
          ]),
        ],
      ]),
      new TransitMap([[kw('victim'), kw('any-other-value')]]),
    ],
    '[["^ ","~:any-value",["~#cmap",[["this vector makes this a cmap"],"any value","any string","~:victim"]]],["^ ","^2","~:any-other-value"]]',
  ],
  ['an unknown tag', new Tagged('point', [1, 2]), '["~#point",[1,2]]', '{"~#point":[1,2]}'],
  ['an unknown scalar', [new Tagged('X', 'v')], '["~Xv"]'],
  [
    'a set in a set',
    new TransitSet([new TransitSet([1, 3, 2])]),
    '["~#set",[["^0",[1,3,2]]]]',
    '{"~#set":[{"~#set":[1,3,2]}]}',
  ],
  [
    'long keys that are no strings',
    [new TransitMap([[1234, 1]]), new TransitMap([[1234, 1]])],
    '[["^ ","~i1234",1],["^ ","^0",1]]',
  ],
  [
    'a list, a symbol, a character',
    new TransitList([new TransitSymbol('sym'), new Char('z')]),
    '["~#list",["~$sym","~cz"]]',
  ],
  [
    'a uuid and an address',
    [new Uuid('531a379e-31bb-4ce1-8690-158dceb64be6'), new Uri('http://x.org/')],
    '["~u531a379e-31bb-4ce1-8690-158dceb64be6","~rhttp://x.org/"]',
  ],
  [
    'a link',
    new Link({ href: new Uri('http://x.org/'), rel: 'self' }),
    '["~#link",["^ ","href","~rhttp://x.org/","rel","self"]]',
  ],
  ['an empty map and an empty array', [{}, []], '[["^ "],[]]', '[{},[]]'],
]

describe('transit vectors', () => {
  for (const [name, value, json, verbose] of vectors) {
    it(`${name}: JSON, both ways`, () => {
      assert.deepEqual(decodeTransit(json), value)
      assert.equal(encodeTransit(value), json)
    })
    if (verbose !== undefined) it(`${name}: verbose, read`, () => assert.deepEqual(decodeTransit(verbose), value))
  }

  it('reads what other writers write differently', () => {
    const id = new Uuid('531a379e-31bb-4ce1-8690-158dceb64be6')
    assert.deepEqual(decodeTransit('["~#u",[5988159807121214689,-8750470377178248218]]'), id)
    assert.deepEqual(decodeTransit('["~#u",["~i5988159807121214689","~i-8750470377178248218"]]'), id)
    assert.deepEqual(decodeTransit('["~#m",0]'), at(0))
    assert.deepEqual(decodeTransit('["~#t","1970-01-01T00:00:00.000Z"]'), at(0))
    assert.deepEqual(
      decodeTransit('["^ ","~i1.5",1,"~d2.5",2]'),
      new TransitMap([
        [1.5, 1],
        [2.5, 2],
      ]),
    )
    assert.deepEqual(decodeTransit('[9007199254740993]'), [9007199254740993n])
    assert.deepEqual(
      decodeTransit('["~f1E+2","~f.5","~f+7","~f007"]'),
      ['1E+2', '0.5', '7', '7'].map((d) => new Decimal(d)),
    )
  })

  it('keeps microseconds of an instant', () => {
    const [instant] = decodeTransit('["~t2016-07-13T20:45:57.123456+02:00"]') as Instant[]
    assert.equal(instant?.text, '2016-07-13T18:45:57.123456Z')
    assert.equal(encodeTransit([instant]), '["~t2016-07-13T18:45:57.123456Z"]')
  })
})

describe('transit cache', () => {
  const keywords = (n: number): Keyword[] => Array.from({ length: n }, (_, i) => kw(`key${String(i).padStart(4, '0')}`))

  it('holds 1936 strings; the second pass is all codes', () => {
    const all = [...keywords(1936), ...keywords(1936)]
    const text = encodeTransit(all)
    const raw = JSON.parse(text) as string[]
    assert.ok(raw.slice(0, 1936).every((s) => s.startsWith('~:')))
    assert.ok(raw.slice(1936).every((s) => s.startsWith('^')))
    assert.deepEqual(
      [raw[1936], raw[1946], raw[1936 + 43], raw[1936 + 44], raw[1936 + 88], raw.at(-1)],
      ['^0', '^:', '^[', '^10', '^20', '^[['],
    )
    assert.deepEqual(decodeTransit(text), all)
  })

  it('begins anew with the 1937th; the second pass is all literal', () => {
    const all = [...keywords(1937), ...keywords(1937)]
    const text = encodeTransit(all)
    assert.ok(!text.includes('"^'))
    assert.deepEqual(decodeTransit(text), all)
  })

  it('stays in step with transit-js around the wrap', () => {
    for (const n of [1935, 1936, 1937, 2000, 4000]) {
      const all = [...keywords(n), ...keywords(50), ...keywords(n)]
      const theirs = transitJs.writer('json').write(transitJs.reader('json').read(encodeTransit(all)))
      assert.deepEqual(decodeTransit(theirs), all, `${n} keywords`)
    }
  })

  it('begins empty for each element', () => {
    decodeTransit('["~:abcd"]')
    assert.throws(() => decodeTransit('["^0"]'), /an unknown cache code/)
  })
})

/** A small generator with a seed (mulberry32). */
const randomOf = (seed: number) => {
  let a = seed
  const next = (): number => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return (n: number): number => Math.floor(next() * n)
}

const randomValue = (r: (n: number) => number, depth: number): unknown => {
  const text = (): string =>
    Array.from({ length: r(7) }, () => '~^`#:abcdé😀 "\\\n'[r(14)] ?? 'x')
      .join('')
      .toWellFormed()
  const size = (): number[] => Array.from({ length: r(5) }, (_, i) => i)
  const distinct = (): string[] => size().map((i) => `${text()}${i}`)
  switch (r(depth > 4 ? 11 : 15)) {
    case 0:
      return r(2) === 0
    case 1:
      return null
    case 2:
      return r(2 ** 31) * (r(2) === 0 ? 1 : -1) || 0
    case 3:
      return r(1e9) / 1024 + 1 / 4096
    case 4:
      return kw(`k${r(40)}long`)
    case 5:
      return at(r(2 ** 31) * 1000)
    case 6:
      return new Uuid(`531a379e-31bb-4ce1-8690-${String(r(1e9)).padStart(12, '0')}`)
    case 7:
      return new Uint8Array(Array.from({ length: r(9) }, () => r(256)))
    case 8:
      return 2n ** 62n + BigInt(r(1000))
    case 9:
    case 10:
      return text()
    case 11:
      return size().map(() => randomValue(r, depth + 1))
    case 12:
      return new TransitSet(distinct())
    case 13:
      return Object.fromEntries(distinct().map((key) => [key, randomValue(r, depth + 1)]))
    default:
      return new TransitMap([
        [[r(9)], randomValue(r, depth + 1)],
        ...distinct().map((key): [unknown, unknown] => [key, randomValue(r, depth + 1)]),
      ])
  }
}

describe('transit beside transit-js', () => {
  const seed = Number(process.env['SEED'] ?? 20161101)
  it(`2,000 random values go there and back, in both modes (SEED=${seed})`, () => {
    const r = randomOf(seed)
    for (let i = 0; i < 2000; i++) {
      const value = [randomValue(r, 0), randomValue(r, 0)]
      const ours = encodeTransit(value)
      assert.deepEqual(decodeTransit(ours), value, ours)
      const read = transitJs.reader('json').read(ours)
      for (const mode of ['json', 'json-verbose'])
        assert.deepEqual(decodeTransit(transitJs.writer(mode).write(read)), value, `${mode}: ${ours}`)
    }
  })
})

describe('hostile transit', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['a code never stored', '["^0"]', /an unknown cache code/],
    ['a code beyond the table', '["~:abcd","^[["]', /an unknown cache code/],
    ['a code of wrong digits', '["~:abcd","^!"]', /an unknown cache code/],
    ['a code too long', '["~:abcd","^000"]', /an unknown cache code/],
    ['a caret alone', '["~:abcd","^"]', /an unknown cache code/],
    ['a key without value', '["^ ","a"]', /a key and no value/],
    ['a cmap without its last value', '["~#cmap",[[1]]]', /a key and no value/],
    ['a cmap that is no array', '["~#cmap",1]', /cmap that is not an array/],
    ['a tag with two values', '["~#set",[],[]]', /exactly one value/],
    ['a tag alone', '["~#set"]', /exactly one value/],
    ['a tag as a value', '[1,"~#set"]', /a tag without a value/],
    ['a tag as a key', '["^ ","~#set",1]', /a tag without a value/],
    ['a tag without a name', '["~#",1]', /a tag without a name/],
    ['a map marker in the middle', '[1,"^ "]', /a map marker/],
    ['a tilde alone', '["~"]', /nothing behind it/],
    ['an integer of letters', '["~iabc"]', /an integer/],
    ['a boolean of neither sort', '["~?x"]', /a boolean/],
    ['an instant of letters', '["~mabc"]', /an instant/],
    ['an instant in the year 300,000', '["~m9999999999999999"]', /beyond the calendar/],
    ['a time that is none', '["~t2016-13-45T99:00:00Z"]', /RFC 3339/],
    ['a time in words', '["~tyesterday"]', /RFC 3339/],
    ['a uuid too short', '["~u531a"]', /a uuid/],
    ['bytes that are not base64', '["~b!!!"]', /base64/],
    ['an unknown special float', '["~zoo"]', /special float/],
    ['a set of a number', '["~#set",1]', /a set/],
    ['half an element', '["^ ","a"', /unexpected text at character 9/],
  ]
  for (const [name, text, reason] of cases)
    it(`refuses ${name}`, () =>
      assert.throws(
        () => decodeTransit(text),
        (e) => e instanceof SyntaxError && reason.test(e.message),
      ))

  it('refuses 1,001 levels, of 100,000 too, without ending the process', () => {
    for (const levels of [1001, 100_000]) {
      assert.throws(() => decodeTransit('['.repeat(levels) + ']'.repeat(levels)), /nested deeper than 1000/)
      assert.throws(() => decodeTransit(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`), /nested deeper than 1000/)
    }
    assert.ok(decodeTransit('['.repeat(999) + ']'.repeat(999)))
    let deep: unknown = 1
    for (let i = 0; i < 20_000; i++) deep = [deep]
    assert.throws(() => encodeTransit(deep), /nested deeper than 1000/)
  })

  it('takes __proto__ for a key like any other', () => {
    for (const text of [
      '["^ ","__proto__",["^ ","polluted",1]]',
      '{"__proto__":{"polluted":1},"b":2}',
      '{"__proto__":{"polluted":1}}',
    ]) {
      const value = decodeTransit(text) as Record<string, unknown>
      assert.equal(Object.getPrototypeOf(value), Object.prototype)
      assert.ok(Object.hasOwn(value, '__proto__'))
      assert.equal(value['polluted'], undefined)
      const json = toJson(value) as Record<string, unknown>
      assert.ok(Object.hasOwn(json, '__proto__'))
      assert.match(encodeTransit(value), /^\["\^ ","__proto__",\["\^ ","polluted",1\]/)
    }
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  })

  it('keeps its reason free of the text', () => {
    assert.throws(
      () => decodeTransit('["secret-value" oops'),
      (e) => e instanceof Error && !e.message.includes('secret'),
    )
  })
})

describe('transit as JSON', () => {
  it('maps each type as the reference says', () => {
    const read = (text: string): unknown => toJson(decodeTransit(text))
    assert.deepEqual(
      read(
        '["~m1468435557000","~i9007199254740993","~n123456789012345678901234567890","~f1.10","~baGk=","~:kw","~$sym","~cz","~rhttp://x.org/",["~#set",[1]],["~#list",[2]],["~#point",[3]],"~zNaN","~z-INF","~fNaN"]',
      ),
      [
        '2016-07-13T18:45:57.000Z',
        9007199254740993n,
        123456789012345678901234567890n,
        new Decimal('1.10'),
        'aGk=',
        'kw',
        'sym',
        'z',
        'http://x.org/',
        [1],
        [2],
        [3],
        'NaN',
        '-Infinity',
        'NaN',
      ],
    )
    assert.deepEqual(read('["^ ","~i1","one","~m0","two","~:k","three"]'), {
      '1': 'one',
      '1970-01-01T00:00:00.000Z': 'two',
      k: 'three',
    })
    assert.deepEqual(read('["~#cmap",[[1,2],"x","k","y"]]'), [
      [[1, 2], 'x'],
      ['k', 'y'],
    ])
    assert.deepEqual(read('["^ ","~i1","one","1","two"]'), [
      [1, 'one'],
      ['1', 'two'],
    ])
  })

  it('writes a time as an instant where the schema says so and the text is the same again', () => {
    const schema = {
      type: 'object',
      properties: {
        at: { type: ['null', 'string'], format: 'date-time' },
        n: { type: 'string' },
        all: { type: 'array', items: { format: 'date-time' } },
      },
    }
    const times = [
      '2016-07-13T18:45:57.000Z',
      '2016-07-13T18:45:57Z',
      '2016-07-13T18:45:57.123456Z',
      '2016-07-13T20:45:57.000+02:00',
      'soon',
    ]
    assert.equal(
      encodeTransit(fromJson({ at: times[0] as string, n: times[0] as string, all: times }, schema)),
      `["^ ","at","~m1468435557000","n","2016-07-13T18:45:57.000Z","all",["~m1468435557000",${times
        .slice(1)
        .map((t) => JSON.stringify(t))
        .join(',')}]]`,
    )
    assert.deepEqual(toJson(decodeTransit(encodeTransit(fromJson({ at: times[0] as string }, schema)))), {
      at: times[0],
    })
  })

  it('writes exact numbers exactly', () => {
    const json = {
      a: 9007199254740993n,
      b: new Decimal('0.1234567890123456789'),
      c: 1e300,
      d: 5n,
      e: 1e23,
      f: 2n ** 70n,
    }
    assert.deepEqual(toJson(decodeTransit(encodeTransit(fromJson(json)))), { ...json, d: 5 })
  })
})
