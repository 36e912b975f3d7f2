/** A test that asserts nothing cannot fail for the right reason. */
import { lineAt, type Node, type Problem, type Source, walk } from './sources.ts'

/** Calls that assert by themselves: an assertion, a suite of a test kit, a proof written in another file. */
const assertsItself = /^(assert|expect|eventually|prove|check)|Suite$/

const nameOf = (callee: unknown): string => {
  const node = callee as Node
  if (node.type === 'Identifier') return String(node['name'])
  if (node.type === 'MemberExpression') {
    const object = nameOf(node['object'])
    return object === 't' || object === 'context' ? nameOf(node['property']) : object
  }
  return ''
}

const isFunction = (node: unknown): node is Node =>
  /^(ArrowFunction|Function)/.test((node as Node | undefined)?.type ?? '')

/** Tests whose function, and the functions of the same file that it calls, never assert. */
export const checkAssertions = (sources: readonly Source[]): readonly Problem[] =>
  sources.filter((source) => source.path.endsWith('.test.ts')).flatMap(bareTests)

const bareTests = (source: Source): readonly Problem[] => {
  const bodies = new Map<string, Node>()
  walk(source.program, (node) => {
    if (node.type === 'FunctionDeclaration') bodies.set(String((node['id'] as Node)['name']), node)
    if (node.type === 'VariableDeclarator' && isFunction(node['init']))
      bodies.set(String((node['id'] as Node)['name']), node['init'])
  })
  const asserts = (body: Node, seen: ReadonlySet<Node>): boolean => {
    let found = false
    walk(body, (node) => {
      if (found || node.type !== 'CallExpression') return
      const name = nameOf(node['callee'])
      const inner = bodies.get(name)
      found =
        assertsItself.test(name) ||
        (inner !== undefined && !seen.has(inner) && asserts(inner, new Set([...seen, inner])))
    })
    return found
  }
  const problems: Problem[] = []
  walk(source.program, (node) => {
    if (node.type !== 'CallExpression' || !['it', 'test'].includes(nameOf(node['callee']))) return
    const body = (node['arguments'] as Node[]).findLast(isFunction)
    if (body !== undefined && !asserts(body, new Set([body]))) {
      problems.push(`${source.path}:${lineAt(source.text, node.start)}: a test without an assertion`)
    }
  })
  return problems
}
